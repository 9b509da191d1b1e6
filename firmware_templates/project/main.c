/*
 * main.c: an agent behind a serial link.
 */
#include "nrl_agent.h"
#include "nrl_config.h"
#include "nrl_entropy.h"
#include "nrl_link.h"
#include "nrl_noise.h"
#include "nrl_port.h"
#include "nrl_project.h"

static nrl_entropy_t entropy;
static nrl_noise_t noise;
static nrl_agent_t agent;
static nrl_link_t host_link;

int main(int argc, char **argv)
{
    static const uint32_t seed_state[4] = NRL_DEFAULT_SEED_STATE;

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
    /* An agent that gets no weights here still has a link: the host sees why, and can begin anew or restore. */
    nrl_link_init(&host_link, &agent, &entropy, &noise, nrl_agent_init(&agent, &entropy));
    while (nrl_port_running()) {
        nrl_link_poll(&host_link);
    }
    return 0;
}
