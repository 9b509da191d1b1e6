/*
 * nrl_link.h: The serial link of an agent: answers the requests of a host (docs/protocol.md).
 *
 * API
 *     nrl_link_init(link, agent, entropy, noise, store, status)   once, after the port and the agent were initialised
 *     nrl_link_poll(link)                                         again and again: reads, executes, answers
 *     nrl_link_episode_ended(link)                                after each episode of an agent that acts by itself
 *     link->server.counters                                       what the line did, readable at any time
 *
 * Flow
 *     Requests come and go through nrl_server.h, each executed exactly once.
 *     TELEMETRY goes out after the reply that ended an episode, and only when the port has room for all of it; otherwise
 *     it is dropped and counted.
 *     Where the firmware has a weight store, the agent is saved at the end of every NRL_STORE_EVERY-th episode, before
 *     the reply: a host that has the reply knows that the image is whole, and sends nothing into the pause of an erase.
 *
 * Memory
 *     Everything is in nrl_link_t: one receive buffer and one reply buffer of the largest frame, one small buffer for
 *     TELEMETRY. NRL_DATA_BYTES (nrl_project.h) sets how much of a snapshot travels in one frame.
 */
#ifndef NRL_LINK_H
#define NRL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_agent.h"
#include "nrl_entropy.h"
#include "nrl_guard.h"
#include "nrl_noise.h"
#include "nrl_server.h"
#include "nrl_store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which firmware this is, as HELLO tells it. A variable of its own (nrl_build.c): host tools read it in an image. */
extern const uint8_t nrl_build_id[NRL_BUILD_ID_BYTES];

/* ACTION: no action, the episode is closed. */
#define NRL_ACTION_EPISODE_ENDED 255u
/* ACTION, status bit: an entropy draw of this call failed. */
#define NRL_ACTION_ENTROPY_FAILED 1u
/* ACTION, status bit: the host has to read the noise before the next STEP, or some of it is lost. */
#define NRL_ACTION_NOISE_WAITS 2u
/* ACTION, status bit: the weight store did not take the agent; the image before it is still there. */
#define NRL_ACTION_STORE_FAILED 4u
/* STEP, flags. */
#define NRL_STEP_TERMINATED 1u
#define NRL_STEP_TRUNCATED 2u

/* HELLO_REPLY and STATUS_REPLY, agent_state. */
typedef enum { NRL_AGENT_NOT_READY = 0, NRL_AGENT_READY = 1, NRL_AGENT_EPISODE_OPEN = 2 } nrl_agent_state_t;

/* Bytes that one TELEMETRY takes on the line. */
#define NRL_TELEMETRY_FRAME_BYTES (NRL_FRAME_BYTES(NRL_TELEMETRY_BYTES) + NRL_FRAME_OVERHEAD)

typedef struct nrl_link {
    nrl_server_t server; /* the first member: nrl_server_execute finds the link by it */
    nrl_agent_t *agent;
    nrl_entropy_t *entropy;
    nrl_noise_t *noise;
#if NRL_LINK_PROTECTED
    nrl_guard_t guard;
#endif
    nrl_store_t *store; /* NULL: this firmware has none */
    uint32_t raw_bytes; /* read by RAW_READ so far */
    bool agent_ready;   /* the agent has its weights */
    bool telemetry_due; /* an episode ended in the request that is being executed */
    bool is_autonomous; /* the agent acts by itself (main_on_chip.c), and takes no STEP from the host */
    uint8_t notice[NRL_TELEMETRY_FRAME_BYTES];
} nrl_link_t;

/*
 * `agent_status` is what nrl_agent_init or else the restored agent says: without weights the agent answers only HELLO,
 * BEGIN, restore and status. `store` is NULL where NRL_STORE_BYTES is 0.
 */
void nrl_link_init(nrl_link_t *link, nrl_agent_t *agent, nrl_entropy_t *entropy, nrl_noise_t *noise, nrl_store_t *store,
                   int agent_status);

void nrl_link_poll(nrl_link_t *link);

/*
 * An autonomous agent has ended an episode: saves it where it is time to, and sends TELEMETRY where there is room. False:
 * the weight store did not take it.
 */
bool nrl_link_episode_ended(nrl_link_t *link);

#ifdef __cplusplus
}
#endif

#endif
