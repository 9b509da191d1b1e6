/*
 * nrl_loop.h: an agent with sensors, actuators and a reward of its own: the closed loop on the chip.
 *
 *   nrl_loop_init   once, with an agent that has its weights and what the application can do
 *   nrl_loop_poll   again and again, from the main loop: does nothing until the next period begins
 *
 * The application fills in a nrl_loop_config_t:
 *
 *     static void observe(void *context, int16_t observation[NRL_INPUTS])  { read the sensors }
 *     static void act(void *context, int action)                           { move something }
 *     static int32_t reward(void *context, bool *terminated, bool *truncated)
 *     {
 *         return what the last action was worth, and say whether the episode is over;
 *     }
 *
 *     static const nrl_loop_config_t config = {observe, act, reward, NULL, NULL, milliseconds, 100, 0, NULL};
 *     static nrl_loop_t loop;
 *
 *     nrl_loop_init(&loop, &agent, &config);
 *     for (;;) {
 *         nrl_loop_poll(&loop);
 *     }
 *
 * Where the agent's actions are continuous (NRL_OUTPUTS above 0), act takes `const int16_t action[NRL_OUTPUTS]`.
 *
 * Order of one period: reward of the action before, observe, learn and choose, act. The first period of an episode has
 * begin instead of reward. After the last one of an episode comes end; the next episode begins at the next poll.
 *
 * Nothing is allocated, everything is in the caller's nrl_loop_t and nrl_agent_t. Pure C99; callbacks may be C++.
 */
#ifndef NRL_LOOP_H
#define NRL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_agent.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What nrl_loop_poll did. Negative values are the errors of nrl_agent_step. */
#define NRL_LOOP_WAITED 0        /* the next period has not begun yet */
#define NRL_LOOP_ACTED 1         /* a period went by: an action was taken */
#define NRL_LOOP_EPISODE_ENDED 2 /* the episode is closed, and what it taught is in the weights */

typedef struct nrl_loop_config {
    /* Fill in what the agent sees, in Q NRL_OBSERVATION_FRAC_BITS. */
    void (*observe)(void *context, int16_t observation[NRL_INPUTS]);
#if NRL_OUTPUTS > 0
    /*
     * Carry out an action of NRL_OUTPUTS numbers, each in standard deviations of the policy, Q12: 4096 is one, and 0 the
     * middle. How much that is at the actuator, and where its limits are, is the application's to say.
     */
    void (*act)(void *context, const int16_t action[NRL_OUTPUTS]);
#else
    /* Carry out an action, 0..NRL_ACTIONS-1. */
    void (*act)(void *context, int action);
#endif
    /*
     * What the action was worth, in Q NRL_REWARD_FRAC_BITS. Both flags are false before the call: `terminated`, the task
     * has come to an end of its own; `truncated`, the episode is cut off here.
     */
    int32_t (*reward)(void *context, bool *terminated, bool *truncated);
    /* An episode begins; NULL: nothing is to be done. `episode` counts from 0 over the agent's whole life. */
    void (*begin)(void *context, uint32_t episode);
    /* An episode has ended: show it, save the agent; NULL: nothing is to be done. */
    void (*end)(void *context, const nrl_agent_t *agent);
    /* A clock in milliseconds that wraps around at 2^32; not needed, and may be NULL, where period_ms is 0. */
    uint32_t (*milliseconds)(void *context);
    /* From one action to the next; 0: every poll is a period. */
    uint32_t period_ms;
    /* Steps after which an episode is truncated; 0: it has no limit. */
    uint32_t steps_per_episode;
    /* Handed to every callback. */
    void *context;
} nrl_loop_config_t;

typedef struct nrl_loop {
    const nrl_loop_config_t *config;
    nrl_agent_t *agent;
    uint32_t due_ms;   /* when the next period begins */
    bool is_timed;     /* due_ms has a value */
    uint32_t late;     /* periods that began a whole period late or more: the loop is too slow, or was held up */
    uint32_t worst_ms; /* longest delay of a period's beginning */
} nrl_loop_t;

void nrl_loop_init(nrl_loop_t *loop, nrl_agent_t *agent, const nrl_loop_config_t *config);

/* One turn. NRL_LOOP_WAITED, NRL_LOOP_ACTED, NRL_LOOP_EPISODE_ENDED, or an error of nrl_agent_step, which is negative. */
int nrl_loop_poll(nrl_loop_t *loop);

#ifdef __cplusplus
}
#endif

#endif
