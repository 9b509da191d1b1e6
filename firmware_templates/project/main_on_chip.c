/*
 * main.c: an agent that learns to balance a pole which this very chip simulates. Nobody has to be at the serial line: who
 * is there may listen (TELEMETRY after each episode), read everything, raw noise included, and begin anew.
 */
#include "nrl_agent.h"
#include "nrl_cartpole.h"
#include "nrl_config.h"
#include "nrl_entropy.h"
#include "nrl_environment.h"
#include "nrl_link.h"
#include "nrl_loop.h"
#include "nrl_noise.h"
#include "nrl_port.h"
#include "nrl_project.h"
#include "nrl_store.h"

static nrl_entropy_t entropy;
static nrl_noise_t noise;
static nrl_agent_t agent;
static nrl_link_t host_link;
static nrl_cartpole_t cartpole;
static nrl_loop_t loop;
#if NRL_STORE_BYTES > 0
static nrl_store_t store;
#endif

/* How the last step ended. */
static bool has_fallen;
static bool is_over;

static void begin_episode(void *context, uint32_t episode)
{
    (void)context;
    nrl_cartpole_reset(&cartpole, nrl_episode_seed(NRL_ENVIRONMENT_SEED, episode));
}

static void observe(void *context, int16_t observation[NRL_INPUTS])
{
    static const uint8_t shifts[NRL_INPUTS] = NRL_ENVIRONMENT_SHIFTS;

    (void)context;
    nrl_cartpole_observe(&cartpole, shifts, observation);
}

static void act(void *context, int action)
{
    (void)context;
    nrl_cartpole_step(&cartpole, action, &has_fallen, &is_over);
}

static int32_t reward(void *context, bool *terminated, bool *truncated)
{
    (void)context;
    *terminated = has_fallen;
    *truncated = is_over;
    return INT32_C(1) << NRL_REWARD_FRAC_BITS;
}

static void end_episode(void *context, const nrl_agent_t *learned)
{
    const uint32_t since = nrl_port_milliseconds();

    (void)context;
    (void)learned;
    while (host_link.server.greeted && nrl_port_write_room() < NRL_TELEMETRY_FRAME_BYTES &&
           nrl_port_milliseconds() - since < NRL_ENVIRONMENT_TELEMETRY_MS) {
        /* The line sends by itself. */
    }
    (void)nrl_link_episode_ended(&host_link);
}

/*
 * Raw noise that somebody reads is not overwritten before it was read: without it the run could not be repeated. Nobody is
 * waited for who has not greeted, nor once something is lost, nor for longer than NRL_ENVIRONMENT_READER_MS.
 */
static bool awaits_reader(void)
{
    static bool is_waiting; /* or has waited long enough: without a reader the steps that follow find the log full, too */
    static uint32_t was_read;
    static uint32_t since;
    const uint32_t unread = noise.position - noise.fetched;

    if (unread == 0u || unread > NRL_NOISE_LOG_BYTES || !host_link.server.greeted || !nrl_noise_log_is_full(&noise)) {
        is_waiting = false;
        return false;
    }
    if (!is_waiting || noise.fetched != was_read) {
        is_waiting = true;
        was_read = noise.fetched;
        since = nrl_port_milliseconds();
    }
    return nrl_port_milliseconds() - since < NRL_ENVIRONMENT_READER_MS;
}

int main(int argc, char **argv)
{
    static const uint32_t seed_state[4] = NRL_DEFAULT_SEED_STATE;
    static const nrl_loop_config_t config = {observe, act, reward, begin_episode, end_episode, NULL, 0, 0, NULL};
    nrl_store_t *kept = NULL;
    uint32_t started;
    int status;

    if (!nrl_port_init(argc, argv)) {
        return 1;
    }
    nrl_noise_start(&noise);
    if (NRL_BOOT_ENTROPY_MODE == NRL_ENTROPY_RAW) {
        nrl_entropy_use(&entropy, NRL_ENTROPY_RAW, nrl_noise_read, &noise);
    } else if (NRL_BOOT_ENTROPY_MODE == NRL_ENTROPY_EXPANDED) {
        nrl_entropy_use(&entropy, NRL_ENTROPY_EXPANDED, nrl_noise_read_expanded, &noise);
    } else {
        nrl_entropy_seed(&entropy, seed_state);
    }
    status = nrl_agent_init(&agent, &entropy);
#if NRL_STORE_BYTES > 0
    kept = &store;
    nrl_store_start(&store);
    if (nrl_store_restore(&store, &agent)) {
        status = NRL_OK;
    }
#endif
    nrl_link_init(&host_link, &agent, &entropy, &noise, kept, status);
    host_link.is_autonomous = true;
    nrl_loop_init(&loop, &agent, &config);
    started = nrl_port_milliseconds();
    while (nrl_port_running() && !host_link.server.greeted &&
           nrl_port_milliseconds() - started < NRL_ENVIRONMENT_GREETING_MS) {
        nrl_link_poll(&host_link);
    }
    while (nrl_port_running()) {
        /* Without weights, during a restore, and after the last episode there is nothing to do but to answer. */
        const bool rests = !host_link.agent_ready || agent.restore_is_staged ||
                           (!agent.episode_open && agent.episodes >= NRL_ENVIRONMENT_EPISODES);

        if (rests || nrl_port_received() || awaits_reader()) {
            nrl_link_poll(&host_link);
        } else {
            (void)nrl_loop_poll(&loop);
        }
    }
    return 0;
}
