/*
 * nrl_blake2s.h: BLAKE2s with a key (RFC 7693), as a message authentication code of 16 bytes.
 *
 *     nrl_blake2s_start(state, key)             begin, with a key of NRL_KEY_BYTES
 *     nrl_blake2s_add(state, bytes, length)     any number of times
 *     nrl_blake2s_finish(state, tag)            NRL_TAG_BYTES
 */
#ifndef NRL_BLAKE2S_H
#define NRL_BLAKE2S_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_KEY_BYTES 32u
#define NRL_TAG_BYTES 16u
#define NRL_BLAKE2S_BLOCK_BYTES 64u

typedef struct nrl_blake2s {
    uint32_t chain[8];
    uint32_t length; /* bytes hashed so far: far below 2^32 here */
    uint8_t filled;  /* bytes in the block */
    uint8_t block[NRL_BLAKE2S_BLOCK_BYTES];
} nrl_blake2s_t;

void nrl_blake2s_start(nrl_blake2s_t *state, const uint8_t key[NRL_KEY_BYTES]);
void nrl_blake2s_add(nrl_blake2s_t *state, const uint8_t *bytes, uint16_t length);
void nrl_blake2s_finish(nrl_blake2s_t *state, uint8_t tag[NRL_TAG_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
