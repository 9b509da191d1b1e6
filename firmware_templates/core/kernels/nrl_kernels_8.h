/*
 * nrl_kernels_8.h: what the 8-bit formats have of their own, on cores with 32-bit words: four int8 of a row in one word, a quad, the
 * first in the lowest byte. What it computes is what nrl_network.c and nrl_kernels_portable.h do one by one.
 *
 *   NRL_KERNEL_QUADS      1: there are quads
 *   NRL_KERNEL_UNALIGNED  1: a word may lie anywhere in memory
 */
#ifndef NRL_KERNELS_8_H
#define NRL_KERNELS_8_H

#include "nrl_kernels.h"

#define NRL_KERNEL_QUADS NRL_KERNEL_PAIRS

#if NRL_KERNEL_QUADS
#ifdef __ARM_FEATURE_UNALIGNED
#define NRL_KERNEL_UNALIGNED 1
typedef uint32_t nrl_quad_t __attribute__((may_alias, aligned(1)));
#else
#define NRL_KERNEL_UNALIGNED 0
typedef uint32_t nrl_quad_t __attribute__((may_alias));
#endif

#define NRL_QUAD_SIGNS UINT32_C(0x80808080)

/* Of four numbers that int8 holds. */
static NRL_INLINE uint32_t nrl_quad(const int16_t *values)
{
    return ((uint32_t)values[0] & 0xffu) | ((uint32_t)values[1] & 0xffu) << 8 | ((uint32_t)values[2] & 0xffu) << 16 |
           (uint32_t)values[3] << 24;
}

/* Each of the four sums saturates; *saturated grows by the number that did. */
static NRL_INLINE uint32_t nrl_quad_add(uint32_t quad, uint32_t change, uint32_t *saturated)
{
#if NRL_KERNEL_MULTIPLIES
    uint32_t sum;
    uint32_t wrapped;

    __asm__("qadd8 %0, %1, %2" : "=r"(sum) : "r"(quad), "r"(change));
    __asm__("sadd8 %0, %1, %2" : "=r"(wrapped) : "r"(quad), "r"(change));
    /* A sum that wraps has the other sign; nrl_quad_saturated divides. */
    __asm__("usada8 %0, %1, %2, %0" : "+r"(*saturated) : "r"((sum ^ wrapped) & NRL_QUAD_SIGNS), "r"(0));
    return sum;
#else
    const uint32_t unlike = quad ^ change;
    const uint32_t low = (quad & ~NRL_QUAD_SIGNS) + (change & ~NRL_QUAD_SIGNS); /* no carry leaves its byte */
    const uint32_t lost = (quad ^ low) & ~unlike & NRL_QUAD_SIGNS;
    const uint32_t sum = low ^ (unlike & NRL_QUAD_SIGNS);

    if (lost != 0u) {
        const uint32_t ones = lost >> 7;
        const uint32_t bytes = (lost << 1) - ones;
        const uint32_t limits = ~NRL_QUAD_SIGNS + ((quad >> 7) & ones); /* 127, or -128 of negative numbers */

        *saturated += ones * UINT32_C(0x01010101) >> 24;
        return (sum & ~bytes) | (limits & bytes);
    }
    return sum;
#endif
}

/* How many saturated, of what nrl_quad_add added up. */
static NRL_INLINE uint32_t nrl_quad_saturated(uint32_t saturated)
{
#if NRL_KERNEL_MULTIPLIES
    return saturated >> 7;
#else
    return saturated;
#endif
}

/* sum + weights[0] * values[0] + ...; `count` is a constant. */
static NRL_INLINE int32_t nrl_octet_dot(const int8_t *weights, const int16_t *values, unsigned count, int32_t sum)
{
    unsigned j = 0;

#if NRL_KERNEL_MULTIPLIES
    NRL_UNROLLED
    for (; j + 3u < count; j += 4u) {
        const uint32_t quad = *(const nrl_quad_t *)(const void *)(weights + j);
        const nrl_unaligned_pair_t *const pairs = (const nrl_unaligned_pair_t *)(const void *)(values + j);
        uint32_t even, odd, low, high;

        __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(quad));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(quad));
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(low) : "r"(even), "r"(odd));
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(odd), "r"(even));
        __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(low), "r"(pairs[0]));
        __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(high), "r"(pairs[1]));
    }
#endif
    NRL_UNROLLED
    for (; j < count; ++j) {
        sum += (int32_t)weights[j] * values[j];
    }
    return sum;
}

/* round_shift(value * error, shift) + random, factor = nrl_kernel_factor(error, shift). */
static NRL_INLINE int32_t nrl_octet_scale(int32_t value, int32_t factor, unsigned shift, int32_t random)
{
#if NRL_KERNEL_MULTIPLIES
    if (shift >= 16u) {
        int32_t scaled;

        __asm__("smmlar %0, %1, %2, %3" : "=r"(scaled) : "r"(value), "r"(factor), "r"(random));
        return scaled;
    }
#endif
    return nrl_round_shift(value * factor, shift) + random;
}

#endif

#endif
