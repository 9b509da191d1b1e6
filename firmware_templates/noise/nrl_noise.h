/*
 * nrl_noise.h: raw noise that is watched, and kept until the host has it.
 *
 * Stands between the port's generator and the agent. Every bit passes the health tests of nrl_health.h before the agent
 * gets it. At a soft alarm the bytes are thrown away, the generator is started again, and the alarm is counted. At a
 * hard alarm, at eight soft ones within a million bits, or where the generator gives nothing after several attempts, the
 * noise has failed: every draw fails from
 * then on, so that the agent goes on acting and learns nothing, until nrl_noise_start. That a failure is final makes
 * the run repeatable: a recording of all bytes that were handed out ends just where the draws began to fail.
 *
 * Where the raw bits are biased or correlated (NRL_NOISE_CONDITIONED) they pass the tests as they are, and are then hashed
 * (BLAKE2s, RFC 7693): 32 bytes of at least half a bit of entropy a bit make 16 that are as good as fair.
 *
 * Where the generator is too slow for every bit to come from it, the noise can be expanded: 16 such bytes are mixed into
 * the state of xoshiro128++ for each NRL_NOISE_EXPANSION bytes that it gives. Health tests and failure are the same.
 *
 * The last bytes that were handed out are in a log, from which the host reads them to repeat the run. To repeat it here
 * the host supplies them again (replayed noise); the log then holds those that are still to be drawn.
 */
#ifndef NRL_NOISE_H
#define NRL_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_health.h"
#include "nrl_project.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Conditioning: so many raw bytes are hashed to half as many. */
#define NRL_CONDITIONED_BYTES 16u
#define NRL_NOISE_EXPANSION 1024u /* bytes of expanded noise, at least, for 16 raw ones */

typedef struct nrl_noise {
    nrl_health_t health;
    bool is_proven;       /* the start-up test has passed */
    uint8_t failure;      /* nrl_trng_health_t: why the noise has failed; 0: it has not */
#if NRL_NOISE_CONDITIONED
    uint8_t conditioned_left;                  /* of the bytes in `conditioned`, those that were not drawn: the last */
    uint8_t conditioned[NRL_CONDITIONED_BYTES];
#endif
    uint32_t state[4];    /* of the expanding generator */
    uint32_t expanded;    /* bytes that it has given since it was keyed */
    uint32_t watched;     /* bytes tested since `recent` began */
    uint8_t recent;       /* soft alarms in them */
    uint32_t soft_alarms; /* since nrl_noise_start */
    uint32_t position;    /* bytes handed out since nrl_noise_start, modulo 2^32 */
    uint32_t fetched;     /* those of them that the host has; replayed: bytes that the host has supplied */
    uint32_t logged;      /* how many of the last ones handed out are in the log */
    uint8_t log[NRL_NOISE_LOG_BYTES];
} nrl_noise_t;

/* Begin anew: nothing handed out, nothing failed, start-up test ahead. */
void nrl_noise_start(nrl_noise_t *noise);

/* A draw; of the type nrl_entropy_read_t, its context being a nrl_noise_t. */
bool nrl_noise_read(void *context, uint8_t *bytes, uint16_t length);

/* The same with expanded noise. */
bool nrl_noise_read_expanded(void *context, uint8_t *bytes, uint16_t length);

/* The same with noise that the host supplies: a recording that is replayed. Fails where it has not supplied enough. */
bool nrl_noise_read_replayed(void *context, uint8_t *bytes, uint16_t length);

/*
 * Recorded noise from the host, `position` being its first byte's number; 0 begins a new recording. False: it is not what
 * comes next, or more than there is room for; nothing was taken. The log holds what was supplied and not yet drawn.
 */
bool nrl_noise_supply(nrl_noise_t *noise, uint32_t position, const uint8_t *bytes, uint16_t length);

/* Bytes of recorded noise that there is room for. */
uint32_t nrl_noise_room(const nrl_noise_t *noise);

/*
 * Copy up to `room` bytes of the log from `position` on; the host has all before it, and they may be overwritten. Returns
 * how many there were, or -1 where `position` is not in the log (any more).
 */
int32_t nrl_noise_fetch(nrl_noise_t *noise, uint32_t position, uint8_t *bytes, uint16_t room);

/* Whether the host has to fetch the log now, as the next call of step could overwrite what it does not have. */
bool nrl_noise_log_is_full(const nrl_noise_t *noise);

#ifdef __cplusplus
}
#endif

#endif
