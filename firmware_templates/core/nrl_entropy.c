/*
 * nrl_entropy.c: the one source of an agent's random bytes.
 */
#include "nrl_entropy.h"

#include <stddef.h>

static uint32_t nrl_rotate_left(uint32_t value, unsigned count)
{
    return (value << count) | (value >> (32u - count));
}

uint32_t nrl_xoshiro128_next(uint32_t state[4])
{
    const uint32_t result = nrl_rotate_left(state[0] + state[3], 7) + state[0];
    const uint32_t shifted = state[1] << 9;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = nrl_rotate_left(state[3], 11);
    return result;
}

void nrl_entropy_seed(nrl_entropy_t *entropy, const uint32_t state[4])
{
    entropy->mode = NRL_ENTROPY_SEEDED;
    for (unsigned i = 0; i < 4u; ++i) {
        entropy->state[i] = state[i];
    }
    entropy->bytes_drawn = 0;
    entropy->read = NULL;
    entropy->context = NULL;
}

void nrl_entropy_use(nrl_entropy_t *entropy, nrl_entropy_mode_t mode, nrl_entropy_read_t read, void *context)
{
    entropy->mode = mode;
    for (unsigned i = 0; i < 4u; ++i) {
        entropy->state[i] = 0;
    }
    entropy->bytes_drawn = 0;
    entropy->read = read;
    entropy->context = context;
}

bool nrl_entropy_draw(nrl_entropy_t *entropy, uint8_t *bytes, uint16_t length)
{
    if (entropy->mode == NRL_ENTROPY_SEEDED) {
        uint32_t word = 0;

        /* What a draw leaves of its last word is dropped: a draw then needs no memory of the one before. */
        for (uint16_t i = 0; i < length; ++i) {
            word = (i & 3u) == 0u ? nrl_xoshiro128_next(entropy->state) : word >> 8;
            bytes[i] = (uint8_t)(word & 0xffu);
        }
    } else if (entropy->read == NULL || !entropy->read(entropy->context, bytes, length)) {
        return false;
    }
    entropy->bytes_drawn += length;
    return true;
}
