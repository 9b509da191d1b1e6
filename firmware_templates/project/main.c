/*
 * main.c: an agent behind a serial link.
 */
#include "nrl_agent.h"
#include "nrl_config.h"
#include "nrl_entropy.h"
#include "nrl_link.h"
#include "nrl_mark.h"
#include "nrl_noise.h"
#include "nrl_port.h"
#include "nrl_project.h"
#include "nrl_store.h"

static nrl_entropy_t entropy;
static nrl_noise_t noise;
static nrl_agent_t agent;
static nrl_link_t host_link;
#if NRL_STORE_BYTES > 0
static nrl_store_t store;
#endif

int main(int argc, char **argv)
{
    static const uint32_t seed_state[4] = NRL_DEFAULT_SEED_STATE;
    nrl_store_t *kept = NULL;
    int status;

    if (!nrl_port_init(argc, argv)) {
        return 1;
    }
    NRL_MARK(START);
    nrl_noise_start(&noise);
    if (NRL_BOOT_ENTROPY_MODE == NRL_ENTROPY_RAW) {
        nrl_entropy_use(&entropy, NRL_ENTROPY_RAW, nrl_noise_read, &noise);
    } else if (NRL_BOOT_ENTROPY_MODE == NRL_ENTROPY_EXPANDED) {
        nrl_entropy_use(&entropy, NRL_ENTROPY_EXPANDED, nrl_noise_read_expanded, &noise);
    } else {
        nrl_entropy_seed(&entropy, seed_state);
    }
    /* An agent that gets no weights here still has a link: the host sees why, and can begin anew or restore. */
    status = nrl_agent_init(&agent, &entropy);
#if NRL_STORE_BYTES > 0
    kept = &store;
    nrl_store_start(&store);
    if (nrl_store_restore(&store, &agent)) {
        status = NRL_OK;
    }
#endif
    nrl_link_init(&host_link, &agent, &entropy, &noise, kept, status);
    while (nrl_port_running()) {
        nrl_link_poll(&host_link);
    }
    return 0;
}
