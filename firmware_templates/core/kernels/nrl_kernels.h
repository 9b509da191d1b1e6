/*
 * nrl_kernels.h: the few inner operations that are written anew for each instruction set (docs/kernels.md).
 *
 * nrl_kernels_plain.h is the specification; every header computes the same, bit for bit. The compiler's own macros
 * choose; -DNRL_KERNELS_PORTABLE takes the portable one anywhere.
 *
 *   NRL_KERNEL_NAME        which header it is
 *   NRL_KERNEL_MULTIPLIES  1: a product costs no more than a sum
 *   nrl_kernel_dot         a sum of products of int16
 *   nrl_kernel_factor, nrl_kernel_scale   a product with a constant of the step, shifted and rounded
 *   nrl_kernel_product_16, nrl_kernel_decay  products of the critic, which need more than 32 bits
 *   NRL_KERNEL_PAIRS       1: two traces are handled in one word, by nrl_pair and what follows it
 *
 * A pair is a word in memory that holds two neighbouring traces. What a pair looks like is the kernel's affair: a snapshot
 * has no traces, so nothing but the functions here ever sees it. No sum of a pair may leave int16: the caller proves it.
 */
#ifndef NRL_KERNELS_H
#define NRL_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_math.h"

#define NRL_NOISE INT32_C(4096)       /* one standard deviation, Q12 */
#define NRL_LEAKED_NOISE INT32_C(410) /* the same behind a negative pre-activation */

/* How often a function runs decides what it is made for; compilers that know none of this lose nothing but speed. */
#if defined(__GNUC__)
#define NRL_INLINE inline __attribute__((always_inline, unused))
#define NRL_NOINLINE __attribute__((noinline))
#define NRL_SELDOM __attribute__((noinline, cold))
#define NRL_UNUSED __attribute__((unused))
#else
#define NRL_INLINE inline
#define NRL_NOINLINE
#define NRL_SELDOM
#define NRL_UNUSED
#endif

/*
 * What stands between these two runs once a weight: it is made for speed, also in a firmware that is made to be small
 * (-Os), which all else of the agent stays.
 */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE_SIZE__)
#define NRL_BEGIN_FAST _Pragma("GCC push_options") _Pragma("GCC optimize(\"O2\")")
#define NRL_END_FAST _Pragma("GCC pop_options")
#else
#define NRL_BEGIN_FAST
#define NRL_END_FAST
#endif

/*
 * Loops over a unit's few inputs, whose number the compiler knows, are better without their counters; but for Arm's
 * first Thumb, where what would run often is assembly, and flash is what such chips are short of.
 */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8 && (!defined(__thumb__) || defined(__thumb2__))
#define NRL_UNROLLED _Pragma("GCC unroll 8")
#else
#define NRL_UNROLLED
#endif

#if defined(NRL_KERNELS_PORTABLE) || !defined(__GNUC__)
#include "nrl_kernels_portable.h"
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb__) && !defined(__ARM_BIG_ENDIAN)
#include "nrl_kernels_dsp.h"
#elif (defined(__thumb__) && !defined(__ARM_BIG_ENDIAN)) || (defined(__riscv) && __riscv_xlen == 32)
#include "nrl_kernels_word.h"
#elif defined(__AVR_HAVE_MUL__)
#include "nrl_kernels_avr.h"
#else
#include "nrl_kernels_portable.h"
#endif

#ifndef NRL_KERNEL_AVR
#define NRL_KERNEL_AVR 0
#endif

/* 1: loops of an update, in C, are worth a copy for the usual case. */
#ifndef NRL_KERNEL_SPLITS
#define NRL_KERNEL_SPLITS 0
#endif

#ifndef NRL_KERNEL_RECIPROCAL
/* 2^31 / sum, truncated; sum is 2^15 to 2^19: that of a softmax's exponentials. */
static NRL_INLINE uint32_t nrl_kernel_reciprocal(uint32_t sum)
{
    return UINT32_C(0x80000000) / sum;
}
#endif

/*
 * Functions that run once a step. AVR has registers for few numbers of 32 bits, and instructions that reach 64 bytes of a
 * stack: what has a function of its own there has them for itself.
 */
#if NRL_KERNEL_AVR
#define NRL_APART NRL_NOINLINE
#define NRL_APART_OR_INLINE NRL_NOINLINE
#else
#define NRL_APART
#define NRL_APART_OR_INLINE NRL_INLINE
#endif

#ifndef NRL_KERNEL_PROBABILITIES
/* exponential * reciprocal / 2^15, truncated, of a softmax: 0 to 32768 and 0 to 65536. */
static NRL_INLINE uint32_t nrl_kernel_probability(uint32_t exponential, uint32_t reciprocal)
{
    return nrl_shift_down_unsigned(exponential * reciprocal, 15);
}

/* A probability, 0 to 65536, times a number of int16. */
static NRL_INLINE int32_t nrl_kernel_weighed(uint32_t probability, int32_t value)
{
    return (int32_t)probability * value;
}
#endif

#ifndef NRL_KERNEL_LEAKED_NOISE
/* NRL_LEAKED_NOISE times a sum of weights, `places` places down, rounded. */
static NRL_INLINE int32_t nrl_kernel_leaked_noise(int32_t sum, unsigned places)
{
    return nrl_round_shift(NRL_LEAKED_NOISE * sum, places);
}
#endif

#ifndef NRL_KERNEL_PRODUCT
static NRL_INLINE int32_t nrl_kernel_product(int16_t a, int16_t b)
{
    return (int32_t)a * b;
}
#endif

/* The generator's words many at a time, by nrl_kernel_generate of nrl_generate_thumb.h or nrl_generate_avr.h. */
#if NRL_KERNEL_AVR || \
    (defined(__GNUC__) && defined(__thumb__) && !defined(__ARM_BIG_ENDIAN) && !defined(NRL_KERNELS_PORTABLE))
#define NRL_KERNEL_GENERATES 1
#else
#define NRL_KERNEL_GENERATES 0
#endif

#ifndef NRL_KERNEL_LONG_PRODUCTS
/* factor * value / 2^16, rounded; `value` fits int16. The halves of `factor` are multiplied one by one so that 32 bits hold it. */
static NRL_INLINE int32_t nrl_kernel_product_16(int32_t factor, int32_t value)
{
    return (factor >> 16) * value + (((factor & 65535) * value + 32768) >> 16);
}

/* `numerator` / 64 of a trace, rounded, which has too many bits to be multiplied at once. */
static NRL_INLINE int32_t nrl_kernel_decay(int32_t trace, int32_t numerator)
{
    return numerator * (trace >> 6) + ((numerator * (trace & 63) + 32) >> 6);
}
#endif

#ifndef NRL_KERNEL_ROTATES
/* value rotated by a constant, for the generator: compilers know the pattern. */
static NRL_INLINE uint32_t nrl_kernel_rotate_left(uint32_t value, unsigned count)
{
    return (value << count) | (value >> (32u - count));
}
#endif

#endif
