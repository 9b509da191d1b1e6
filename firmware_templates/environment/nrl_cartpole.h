/*
 * nrl_cartpole.h: a pole on a cart, simulated in integers: the dynamics, limits and rewards of gymnasium's CartPole-v1.
 *
 *   nrl_cartpole_reset     begins an episode from a seed
 *   nrl_cartpole_step      pushes the cart and lets 20 ms pass
 *   nrl_cartpole_observe   the state as an agent takes it
 *   nrl_episode_seed       the seed that episode number k of a run is reset with
 *
 * Pure C99: no float, no libc, no table. docs/on-chip.md derives every constant and says how far it is from gymnasium;
 * nrl_edge/tasks/fixed_cartpole.py is the same in Python, written apart, and equal bit for bit.
 */
#ifndef NRL_CARTPOLE_H
#define NRL_CARTPOLE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_CARTPOLE_INPUTS 4
#define NRL_CARTPOLE_ACTIONS 2
#define NRL_CARTPOLE_FRAC_BITS 24
/* Steps after which an episode is truncated. */
#define NRL_CARTPOLE_TIME_LIMIT 500u

typedef struct nrl_cartpole {
    int32_t position; /* of the cart, m, Q24 */
    int32_t speed;    /* of the cart, m/s, Q24 */
    int32_t angle;    /* of the pole from upright, rad, Q24 */
    int32_t rate;     /* of the angle, rad/s, Q24 */
    uint16_t steps;   /* since the reset */
} nrl_cartpole_t;

/* Begins an episode: all four values within +-0.05, as the seed (31 bits) has it. */
void nrl_cartpole_reset(nrl_cartpole_t *cartpole, uint32_t seed);

/*
 * Pushes the cart with 10 N, to the left (action 0) or to the right (any other), for one step of 20 ms. Every step is worth
 * a reward of 1. `terminated`: the cart has left the track (2.4 m) or the pole leans by more than 12 degrees;
 * `truncated`: the time limit. Not to be called after an end, before a reset.
 */
void nrl_cartpole_step(nrl_cartpole_t *cartpole, int action, bool *terminated, bool *truncated);

/*
 * Position, speed, angle and rate as int16: value i is divided by 2^shifts[i] (1..29), halves to even, and saturated.
 * A shift of 24 - Fx - e gives the value times 2^e in Q Fx.
 */
void nrl_cartpole_observe(const nrl_cartpole_t *cartpole, const uint8_t shifts[NRL_CARTPOLE_INPUTS],
                          int16_t observation[NRL_CARTPOLE_INPUTS]);

/* The 31-bit seed of episode number `episode`, from 0, of a run with `run_seed`; any episode can be made again. */
uint32_t nrl_episode_seed(uint64_t run_seed, uint32_t episode);

#ifdef __cplusplus
}
#endif

#endif
