/*
 * nrl_guard.h: Lets only a host that has the key change the agent.
 *
 * At every start the device makes a nonce, which CHALLENGE asks for. Before each protected request the host sends
 * AUTHORIZE with a counter that only rises and
 *     tag = BLAKE2s-128(key; nonce, counter, id of the request, its payload)
 * and the device then takes that one request, once. A recorded tag is worth nothing: the counter has passed it, and at
 * the next start the nonce is another. See docs/security.md for what this protects and what it does not.
 */
#ifndef NRL_GUARD_H
#define NRL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_NONCE_BYTES 16u
#define NRL_GUARD_TAG_BYTES 16u

typedef struct nrl_guard {
    uint8_t nonce[NRL_NONCE_BYTES];
    uint32_t counter; /* of the last AUTHORIZE that was taken */
    bool is_armed;    /* a tag waits for its request */
    uint8_t tag[NRL_GUARD_TAG_BYTES];
} nrl_guard_t;

/* Once, when the port runs: `session` makes the nonce another one where the chip has no generator. */
void nrl_guard_start(nrl_guard_t *guard, uint16_t session);

/* A tag for the next request. False: its counter has been used. */
bool nrl_guard_authorize(nrl_guard_t *guard, uint32_t counter, const uint8_t tag[NRL_GUARD_TAG_BYTES]);

/* Whether the tag that waits is that of this request; it is used up either way. */
bool nrl_guard_allows(nrl_guard_t *guard, uint8_t type, const uint8_t *payload, uint16_t length);

#ifdef __cplusplus
}
#endif

#endif
