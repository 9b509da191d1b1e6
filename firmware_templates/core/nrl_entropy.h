/*
 * nrl_entropy.h: the one source of an agent's random bytes (section 3 of docs/arithmetic.md).
 *
 *   seeded     a xoshiro128++ generator inside: nrl_entropy_seed
 *   raw        the bytes of a hardware generator, as they are
 *   expanded   bytes of a generator that is keyed from a hardware generator
 *   replay     the bytes of a recorded stream
 *
 * All but `seeded` come from a callback: nrl_entropy_use. The number of bytes that an agent draws never depends on its
 * data, so a recording of them replays a run exactly.
 */
#ifndef NRL_ENTROPY_H
#define NRL_ENTROPY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NRL_ENTROPY_SEEDED = 0,
    NRL_ENTROPY_RAW = 1,
    NRL_ENTROPY_EXPANDED = 2,
    NRL_ENTROPY_REPLAY = 3
} nrl_entropy_mode_t;

/*
 * Fills `bytes` with `length` random bytes. May block. Returns false where it cannot (unhealthy generator, end of a
 * recording): it must then have taken nothing, so that the same bytes are there for the next call.
 */
typedef bool (*nrl_entropy_read_t)(void *context, uint8_t *bytes, uint16_t length);

typedef struct nrl_entropy {
    nrl_entropy_mode_t mode;
    uint32_t state[4];    /* xoshiro128++; zeros in every mode but seeded */
    uint32_t bytes_drawn; /* modulo 2^32 */
    nrl_entropy_read_t read;
    void *context; /* handed to `read` */
} nrl_entropy_t;

/* Seeded mode. `state` must not be all zeros; nrl_config.h has NRL_DEFAULT_SEED_STATE. */
void nrl_entropy_seed(nrl_entropy_t *entropy, const uint32_t state[4]);

/* Any other mode. */
void nrl_entropy_use(nrl_entropy_t *entropy, nrl_entropy_mode_t mode, nrl_entropy_read_t read, void *context);

/* One word of xoshiro128++ 1.0 (D. Blackman and S. Vigna, https://prng.di.unimi.it/); `state` is not all zeros. */
uint32_t nrl_xoshiro128_next(uint32_t state[4]);

/* One draw. On false nothing was taken and `bytes` are not to be used. */
bool nrl_entropy_draw(nrl_entropy_t *entropy, uint8_t *bytes, uint16_t length);

/*
 * `rows` draws of `length` bytes each, one after the other; each begins in a word of its own, with its first byte first in
 * memory. Returns how many succeeded: where one fails, no more are made.
 */
unsigned nrl_entropy_draw_rows(nrl_entropy_t *entropy, uint32_t *words, unsigned rows, uint16_t length);

#ifdef __cplusplus
}
#endif

#endif
