/*
 * nrl_guard.c: tags of requests that change the agent.
 */
#include "nrl_guard.h"

#include "nrl_blake2s.h"
#include "nrl_key.h"
#include "nrl_port.h"

static const uint8_t nrl_guard_key[NRL_KEY_BYTES] = NRL_LINK_KEY;

void nrl_guard_start(nrl_guard_t *guard, uint16_t session)
{
    const uint32_t milliseconds = nrl_port_milliseconds();

    guard->counter = 0;
    guard->is_armed = false;
    if (!nrl_port_entropy_read(NULL, guard->nonce, NRL_NONCE_BYTES)) {
        /* No generator: a nonce need not be secret, only new. The session is that, for 65,535 starts. */
        for (unsigned i = 0; i < NRL_NONCE_BYTES; ++i) {
            guard->nonce[i] = 0;
        }
    }
    guard->nonce[0] ^= (uint8_t)(session & 0xffu);
    guard->nonce[1] ^= (uint8_t)(session >> 8);
    for (unsigned i = 0; i < 4u; ++i) {
        guard->nonce[2u + i] ^= (uint8_t)(milliseconds >> (8u * i));
    }
}

bool nrl_guard_authorize(nrl_guard_t *guard, uint32_t counter, const uint8_t tag[NRL_GUARD_TAG_BYTES])
{
    guard->is_armed = counter > guard->counter;
    if (guard->is_armed) {
        guard->counter = counter;
        for (unsigned i = 0; i < NRL_GUARD_TAG_BYTES; ++i) {
            guard->tag[i] = tag[i];
        }
    }
    return guard->is_armed;
}

bool nrl_guard_allows(nrl_guard_t *guard, uint8_t type, const uint8_t *payload, uint16_t length)
{
    nrl_blake2s_t state;
    uint8_t head[5];
    uint8_t tag[NRL_TAG_BYTES];
    uint8_t difference = 0;

    for (unsigned i = 0; i < 4u; ++i) {
        head[i] = (uint8_t)(guard->counter >> (8u * i));
    }
    head[4] = type;
    nrl_blake2s_start(&state, nrl_guard_key);
    nrl_blake2s_add(&state, guard->nonce, NRL_NONCE_BYTES);
    nrl_blake2s_add(&state, head, sizeof(head));
    nrl_blake2s_add(&state, payload, length);
    nrl_blake2s_finish(&state, tag);
    /* All bytes, always: the time must not tell how many of them were right. */
    for (unsigned i = 0; i < NRL_TAG_BYTES; ++i) {
        difference |= (uint8_t)(tag[i] ^ guard->tag[i]);
    }
    if (!guard->is_armed) {
        return false;
    }
    guard->is_armed = false;
    return difference == 0;
}
