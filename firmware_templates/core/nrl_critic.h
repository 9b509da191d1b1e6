/*
 * nrl_critic.h: the critic of an online agent, preset actor-critic (section 11 of docs/arithmetic.md).
 *
 * Part of the agent: nrl_agent.c alone calls it. It predicts the discounted rewards to come as a polynomial of second
 * or third degree in the observation, and learns by itself from the prediction errors that also teach the network.
 */
#ifndef NRL_CRITIC_H
#define NRL_CRITIC_H

#include <stdint.h>

#include "nrl_config.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_CRITIC_WEIGHT_LIMIT (INT32_C(1) << 30)

typedef struct nrl_critic {
    /* Of the constant, each input, each product of two inputs and of three: Q24 within +-2^30, and their eligibility traces, Q28. */
    int32_t weights[NRL_CRITIC_PARAMETERS];
    int32_t traces[NRL_CRITIC_PARAMETERS];
    uint32_t peak; /* of 1 + |observation|^2 in this episode, Q(2 Fx - 6) */
    int32_t value; /* of the observation that was acted on last, Q15 */
} nrl_critic_t;

/* What an episode leaves behind: traces and peak. The weights stay. */
void nrl_critic_clear(nrl_critic_t *critic);

/* The rewards to come after an observation, discounted, divided by 2^G: Q15. */
int32_t nrl_critic_value(const nrl_critic_t *critic, const int16_t observation[NRL_INPUTS]);

/* Takes in an observation that is being acted on: its value, and its share of the traces. */
void nrl_critic_observe(nrl_critic_t *critic, const int16_t observation[NRL_INPUTS]);

/* The first reward of an agent's life, Q Fr, sets the constant: what every step may be worth. */
void nrl_critic_expect(nrl_critic_t *critic, int32_t reward);

/* The prediction error of the step before, Q15, from its reward (Q Fr) and the value after it; learns from it. */
int32_t nrl_critic_learn(nrl_critic_t *critic, int32_t reward, int32_t next_value);

#ifdef __cplusplus
}
#endif

#endif
