/*
 * nrl_loop.c: the closed loop on the chip.
 */
#include "nrl_loop.h"

#include <stddef.h>

void nrl_loop_init(nrl_loop_t *loop, nrl_agent_t *agent, const nrl_loop_config_t *config)
{
    loop->config = config;
    loop->agent = agent;
    loop->due_ms = 0;
    loop->is_timed = false;
    loop->late = 0;
    loop->worst_ms = 0;
}

/* Whether the next period has begun, and when the one after it will. */
static bool nrl_loop_is_due(nrl_loop_t *loop)
{
    const uint32_t period = loop->config->period_ms;
    uint32_t now;
    uint32_t delay;

    if (period == 0u) {
        return true;
    }
    now = loop->config->milliseconds(loop->config->context);
    if (!loop->is_timed) {
        loop->is_timed = true;
        loop->due_ms = now;
    }
    delay = now - loop->due_ms;
    /* The clock wraps around: what is more than half its range ahead is still to come. */
    if (delay > UINT32_MAX / 2u) {
        return false;
    }
    loop->worst_ms = delay > loop->worst_ms ? delay : loop->worst_ms;
    if (delay < period) {
        loop->due_ms += period;
    } else {
        /* Too late to catch up: periods go on from here, and none is made shorter. */
        ++loop->late;
        loop->due_ms = now + period;
    }
    return true;
}

int nrl_loop_poll(nrl_loop_t *loop)
{
    const nrl_loop_config_t *const config = loop->config;
    int16_t observation[NRL_INPUTS];
    int32_t reward = 0;
    bool terminated = false;
    bool truncated = false;
    int action;

    if (!nrl_loop_is_due(loop)) {
        return NRL_LOOP_WAITED;
    }
    if (loop->agent->episode_open) {
        reward = config->reward(config->context, &terminated, &truncated);
        if (config->steps_per_episode != 0u && loop->agent->episode_steps >= config->steps_per_episode) {
            truncated = true;
        }
    } else if (config->begin != NULL) {
        config->begin(config->context, loop->agent->episodes);
    }
    config->observe(config->context, observation);
    action = nrl_agent_step(loop->agent, observation, reward, terminated, truncated);
    if (action >= 0) {
#if NRL_OUTPUTS > 0
        config->act(config->context, loop->agent->action);
#else
        config->act(config->context, action);
#endif
        return NRL_LOOP_ACTED;
    }
    if (action != NRL_EPISODE_ENDED) {
        return action;
    }
    if (config->end != NULL) {
        config->end(config->context, loop->agent);
    }
    /* A new episode has nothing to wait for. */
    loop->is_timed = false;
    return NRL_LOOP_EPISODE_ENDED;
}
