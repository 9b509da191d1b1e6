/*
 * nrl_store.h: Keeps what an agent has learned over a loss of power.
 *
 *   nrl_store_start     finds the newest whole image, once after the port was initialised
 *   nrl_store_restore   gives it to an agent
 *   nrl_store_save      writes a new one, between episodes
 *   nrl_store_clear     forgets all of them
 *
 * How it loses nothing. Two areas, A and B, each of whole pages that are erased together, hold NRL_STORE_IMAGES records
 * each. A new image goes to the next blank record behind the newest one; where its area is full, the other area is
 * erased and begun anew. The newest whole image is therefore never erased and never written over: whenever the power
 * goes, in the middle of any erase or any word, the next start finds it, or the new one. What is written is read back
 * before it counts.
 *
 * A record, all little-endian:
 *     0   u32 "NRW1"
 *     4   u32 sequence number, one more than that of the image before it
 *     8   u32 length of the snapshot in bytes
 *     12  u32 identity of the agent (NRL_AGENT_IDENTITY): network, formats, learning
 *     16  the snapshot (nrl_agent_snapshot): weights, baseline, counters, state of the entropy source
 *     ..  u32 CRC-32 of all before it; only then is the image whole
 */
#ifndef NRL_STORE_H
#define NRL_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_agent.h"
#include "nrl_project.h"

#ifdef __cplusplus
extern "C" {
#endif

/* No record. */
#define NRL_STORE_NONE UINT16_MAX

typedef enum {
    NRL_STORE_SAVED = 0,
    NRL_STORE_NOT_NOW = 1, /* an episode is open, or the agent has no weights; nothing was written */
    NRL_STORE_FAILED = 2   /* the memory did not take it; the image before it is still there */
} nrl_store_result_t;

typedef struct nrl_store {
    uint32_t sequence;         /* of the newest image */
    uint32_t episodes;         /* of the agent in it, as far as it was saved or restored since the start */
    uint32_t crc;              /* the newest image's CRC-32 */
    uint32_t saves;            /* since the start */
    uint32_t failures;         /* records since the start that did not hold what was written */
    uint32_t longest_pause_ms; /* of a save or a clear since the start */
    uint16_t newest;           /* number of its record; NRL_STORE_NONE: there is none */
    uint16_t damaged;          /* records at the start that held a part of an image, or flipped bits */
    bool restored;             /* an agent has had the newest image since the start */
} nrl_store_t;

void nrl_store_start(nrl_store_t *store);

/* False: there is no image, or the agent refused it and is what it was. */
bool nrl_store_restore(nrl_store_t *store, nrl_agent_t *agent);

/* May stop the core for as long as two erases of an area take. */
nrl_store_result_t nrl_store_save(nrl_store_t *store, const nrl_agent_t *agent);

/* False: the memory cannot be erased. */
bool nrl_store_clear(nrl_store_t *store);

#ifdef __cplusplus
}
#endif

#endif
