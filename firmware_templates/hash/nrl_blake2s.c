/*
 * nrl_blake2s.c: BLAKE2s with a key, written from RFC 7693, for little memory: no table but the permutations.
 */
#include "nrl_blake2s.h"

#include <stdbool.h>

#define ROUNDS 10u

static const uint32_t initial_chain[8] = {
    UINT32_C(0x6a09e667), UINT32_C(0xbb67ae85), UINT32_C(0x3c6ef372), UINT32_C(0xa54ff53a),
    UINT32_C(0x510e527f), UINT32_C(0x9b05688c), UINT32_C(0x1f83d9ab), UINT32_C(0x5be0cd19),
};

/* RFC 7693, section 2.7: which word of the message goes where in each round. */
static const uint8_t permutation[ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

/* The four words of each mixing: columns first, then diagonals. */
static const uint8_t mixed[8][4] = {
    {0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15},
    {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14},
};

static uint32_t nrl_rotate_right(uint32_t value, unsigned count)
{
    return (value >> count) | (value << (32u - count));
}

static uint32_t nrl_block_word(const nrl_blake2s_t *state, unsigned index)
{
    const uint8_t *const bytes = state->block + 4u * index;

    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void nrl_blake2s_compress(nrl_blake2s_t *state, bool is_last)
{
    uint32_t work[16];

    for (unsigned i = 0; i < 8u; ++i) {
        work[i] = state->chain[i];
        work[8u + i] = initial_chain[i];
    }
    work[12] ^= state->length;
    if (is_last) {
        work[14] = ~work[14];
    }
    for (unsigned round = 0; round < ROUNDS; ++round) {
        for (unsigned i = 0; i < 8u; ++i) {
            uint32_t *const a = &work[mixed[i][0]];
            uint32_t *const b = &work[mixed[i][1]];
            uint32_t *const c = &work[mixed[i][2]];
            uint32_t *const d = &work[mixed[i][3]];

            *a += *b + nrl_block_word(state, permutation[round][2u * i]);
            *d = nrl_rotate_right(*d ^ *a, 16);
            *c += *d;
            *b = nrl_rotate_right(*b ^ *c, 12);
            *a += *b + nrl_block_word(state, permutation[round][2u * i + 1u]);
            *d = nrl_rotate_right(*d ^ *a, 8);
            *c += *d;
            *b = nrl_rotate_right(*b ^ *c, 7);
        }
    }
    for (unsigned i = 0; i < 8u; ++i) {
        state->chain[i] ^= work[i] ^ work[8u + i];
    }
}

void nrl_blake2s_start(nrl_blake2s_t *state, const uint8_t key[NRL_KEY_BYTES])
{
    static const uint8_t zeros[NRL_BLAKE2S_BLOCK_BYTES - NRL_KEY_BYTES] = {0};

    for (unsigned i = 0; i < 8u; ++i) {
        state->chain[i] = initial_chain[i];
    }
    /* Depth and fan-out 1, lengths of key and tag. */
    state->chain[0] ^= UINT32_C(0x01010000) | (uint32_t)NRL_KEY_BYTES << 8 | NRL_TAG_BYTES;
    state->length = 0;
    state->filled = 0;
    nrl_blake2s_add(state, key, NRL_KEY_BYTES);
    nrl_blake2s_add(state, zeros, sizeof(zeros));
}

void nrl_blake2s_add(nrl_blake2s_t *state, const uint8_t *bytes, uint16_t length)
{
    for (uint16_t i = 0; i < length; ++i) {
        /* A full block waits: the last one is compressed otherwise. */
        if (state->filled == NRL_BLAKE2S_BLOCK_BYTES) {
            state->length += NRL_BLAKE2S_BLOCK_BYTES;
            nrl_blake2s_compress(state, false);
            state->filled = 0;
        }
        state->block[state->filled++] = bytes[i];
    }
}

void nrl_blake2s_finish(nrl_blake2s_t *state, uint8_t tag[NRL_TAG_BYTES])
{
    state->length += state->filled;
    while (state->filled < NRL_BLAKE2S_BLOCK_BYTES) {
        state->block[state->filled++] = 0;
    }
    nrl_blake2s_compress(state, true);
    for (unsigned i = 0; i < NRL_TAG_BYTES; ++i) {
        tag[i] = (uint8_t)(state->chain[i >> 2] >> (8u * (i & 3u)));
    }
}
