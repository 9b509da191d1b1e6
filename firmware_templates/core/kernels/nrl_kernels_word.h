/*
 * nrl_kernels_word.h: cores with 32-bit words and nothing for their halves: Cortex-M0, M0+ and M3, RV32.
 *
 * A pair is high * 65536 + low as one number, low signed: where low is negative, the upper half of the word is one less
 * than `high`. So a plain addition adds both halves at once and no carry has to be kept out of the upper one.
 */
#ifndef NRL_KERNELS_WORD_H
#define NRL_KERNELS_WORD_H

#include "nrl_kernels_plain.h"

#define NRL_KERNEL_NAME "word"
#define NRL_KERNEL_MULTIPLIES 0
#ifdef __riscv
#define NRL_KERNEL_UNROLLS 1
#define NRL_KERNEL_SPLITS 1
#else
#define NRL_KERNEL_UNROLLS 0 /* Arm's first Thumb has too few registers to gain by it */
#endif
#define NRL_KERNEL_PAIRS 1
#define NRL_KERNEL_CONDITIONAL 0

typedef uint32_t nrl_pair_t __attribute__((may_alias));

static NRL_INLINE nrl_pair_t nrl_pair(int32_t low, int32_t high)
{
    return ((uint32_t)high << 16) + (uint32_t)low;
}

static NRL_INLINE int32_t nrl_pair_low(nrl_pair_t pair)
{
    return (int16_t)(pair & 0xffffu);
}

static NRL_INLINE int32_t nrl_pair_high(nrl_pair_t pair)
{
    return (int32_t)(pair + 0x8000u) >> 16;
}

static NRL_INLINE nrl_pair_t nrl_pair_add(nrl_pair_t pair, nrl_pair_t other)
{
    return pair + other;
}

static NRL_INLINE nrl_pair_t nrl_pair_subtract(nrl_pair_t pair, nrl_pair_t other)
{
    return pair - other;
}

/* Both traces of a pair, times a factor, and `half`. */
static NRL_INLINE void nrl_pair_products(nrl_pair_t pair, int32_t factor, int32_t half, int32_t *low, int32_t *high)
{
    *low = nrl_pair_low(pair) * factor + half;
    *high = nrl_pair_high(pair) * factor + half;
}

/* 32 bits hold the squares of two int16. */
static NRL_INLINE uint64_t nrl_pair_add_squares(uint64_t sum, nrl_pair_t pair)
{
    const int32_t low = nrl_pair_low(pair);
    const int32_t high = nrl_pair_high(pair);

    return sum + ((uint32_t)(low * low) + (uint32_t)(high * high));
}

/* One trace of a pair in memory. */
static NRL_INLINE int32_t nrl_pair_read(const int16_t *trace)
{
    return ((uintptr_t)trace & 2u) != 0u ? nrl_pair_high(*(const nrl_pair_t *)(const void *)(trace - 1)) : *trace;
}

static NRL_INLINE void nrl_pair_change(int16_t *trace, int32_t change)
{
    if (((uintptr_t)trace & 2u) != 0u) {
        *(nrl_pair_t *)(void *)(trace - 1) += (uint32_t)change << 16;
    } else {
        *(nrl_pair_t *)(void *)trace += (uint32_t)change;
    }
}

#endif
