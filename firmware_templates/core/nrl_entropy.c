/*
 * nrl_entropy.c: the one source of an agent's random bytes.
 */
#include "nrl_entropy.h"

#include <stddef.h>

#include "nrl_kernels.h"
#if NRL_KERNEL_AVR
#include "nrl_generate_avr.h"
#else
#include "nrl_generate_thumb.h"
#endif

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#define NRL_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#else
#define NRL_LITTLE_ENDIAN 0 /* not known: the bytes are placed one by one */
#endif

static NRL_INLINE uint32_t nrl_next(uint32_t state[4])
{
    const uint32_t result = nrl_kernel_rotate_left(state[0] + state[3], 7) + state[0];
    const uint32_t shifted = state[1] << 9;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = nrl_kernel_rotate_left(state[3], 11);
    return result;
}

uint32_t nrl_xoshiro128_next(uint32_t state[4])
{
    return nrl_next(state);
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

/*
 * One draw from the generator inside. What a draw leaves of its last word is dropped: a draw then needs no memory of the
 * one before.
 */
static void nrl_generate(uint32_t state[4], uint8_t *bytes, uint16_t length)
{
    uint32_t word = 0;

    for (uint16_t i = 0; i < length; ++i) {
        word = (i & 3u) == 0u ? nrl_xoshiro128_next(state) : word >> 8;
        bytes[i] = (uint8_t)(word & 0xffu);
    }
}

/* One draw from outside. */
static bool nrl_read(nrl_entropy_t *entropy, uint8_t *bytes, uint16_t length)
{
    if (entropy->read == NULL || !entropy->read(entropy->context, bytes, length)) {
        return false;
    }
    entropy->bytes_drawn += length;
    return true;
}

bool nrl_entropy_draw(nrl_entropy_t *entropy, uint8_t *bytes, uint16_t length)
{
    if (entropy->mode != NRL_ENTROPY_SEEDED) {
        return nrl_read(entropy, bytes, length);
    }
    nrl_generate(entropy->state, bytes, length);
    entropy->bytes_drawn += length;
    return true;
}

#if NRL_LITTLE_ENDIAN
#define nrl_draw_row nrl_read /* the generator inside draws all rows at once */
#else
#define nrl_draw_row nrl_entropy_draw
#endif

/* One draw after the other. */
static NRL_NOINLINE unsigned nrl_draw_each_row(nrl_entropy_t *entropy, uint32_t *words, unsigned rows, uint16_t length)
{
    for (unsigned row = 0; row < rows; ++row, words += (length + 3u) / 4u) {
        if (!nrl_draw_row(entropy, (uint8_t *)words, length)) {
            return row;
        }
    }
    return rows;
}

/* An update draws a byte a weight. */
NRL_BEGIN_FAST
unsigned nrl_entropy_draw_rows(nrl_entropy_t *entropy, uint32_t *words, unsigned rows, uint16_t length)
{
#if NRL_LITTLE_ENDIAN
    if (entropy->mode == NRL_ENTROPY_SEEDED) {
        /* All rows at once: the bytes of a word are in memory as they are drawn. */
        const uint32_t *const end = words + rows * ((length + 3u) / 4u);
#if !NRL_KERNEL_GENERATES
        uint32_t state[4] = {entropy->state[0], entropy->state[1], entropy->state[2], entropy->state[3]};
#endif

        entropy->bytes_drawn += (uint32_t)rows * length;
#if NRL_KERNEL_GENERATES
        nrl_kernel_generate(entropy->state, words, end);
#else
        for (; words != end; ++words) {
            *words = nrl_next(state);
        }
        for (unsigned i = 0; i < 4u; ++i) {
            entropy->state[i] = state[i];
        }
#endif
        return rows;
    }
#endif
    return nrl_draw_each_row(entropy, words, rows, length);
}
NRL_END_FAST
