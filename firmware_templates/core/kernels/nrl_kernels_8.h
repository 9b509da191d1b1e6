/*
 * nrl_kernels_8.h: what the 8-bit formats have of their own, on cores with 32-bit words: four int8 of a row in one word, a quad, the
 * first in the lowest byte. What it computes is what nrl_network.c and nrl_kernels_plain.h do one by one.
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

/* A condition that the code is to be laid out for as if it were false. */
#define NRL_SELDOM_TRUE(condition) (__builtin_expect((condition) ? 1 : 0, 0) != 0)

/* Two rounds of a long loop in one, where flash is not what a core is short of. */
#if NRL_KERNEL_MULTIPLIES && !defined(__clang__)
#define NRL_UNROLLED_LONG _Pragma("GCC unroll 2")
#else
#define NRL_UNROLLED_LONG
#endif

/* A counter stops at its maximum. */
static NRL_INLINE void nrl_count_more(uint32_t *counter, uint32_t count)
{
    *counter = UINT32_MAX - *counter < count ? UINT32_MAX : *counter + count;
}

/* A sum of what int8 holds; *saturated counts. */
static NRL_INLINE int32_t nrl_add_8(int32_t trace, int32_t change, uint32_t *saturated)
{
    const int32_t sum = trace + change;

    if (sum != (int8_t)sum) {
        ++*saturated;
        return sum < 0 ? INT8_MIN : INT8_MAX;
    }
    return sum;
}

/* Of four numbers that int8 holds. */
static NRL_INLINE uint32_t nrl_quad(const int16_t *values)
{
    return ((uint32_t)values[0] & 0xffu) | ((uint32_t)values[1] & 0xffu) << 8 | ((uint32_t)values[2] & 0xffu) << 16 |
           (uint32_t)values[3] << 24;
}

/* Numbers in the bytes of a word, at most 128 each, summed up. */
static NRL_INLINE uint32_t nrl_sum_of_bytes(uint32_t bytes)
{
    const uint32_t halves = (bytes & 0x00ff00ffu) + (bytes >> 8 & 0x00ff00ffu);

    return (halves & 0xffffu) + (halves >> 16);
}

/*
 * Adds four changes to four traces of each of some units, at most 128, or subtracts them, as the unit's sign says: which is to add them
 * to the complement. Traces saturate; returns how many did. `stride` are the bytes from one unit to the next.
 */
#if defined(__thumb__) && !defined(__thumb2__)
/*
 * Registers: r0 traces, r1 signs, r2 the sum, r3 and r5 what is of unlike sign and what is lost, r4 the changes, r6 signs of bytes, r7 the
 * complement, r8 the changes without signs, r9 what sums saturate to, r10 how many did, r11 stride, r12 where signs are, lr the end.
 */
__attribute__((naked, noinline, unused)) static uint32_t nrl_sweep_quads(nrl_quad_t *traces NRL_UNUSED, unsigned stride NRL_UNUSED,
                                                                 const uint8_t *signs NRL_UNUSED, unsigned units NRL_UNUSED,
                                                                 uint32_t changes NRL_UNUSED)
{
    __asm__(".syntax unified\n\t"
            "push {r4-r7, lr}\n\t"
            "mov r4, r8\n\t"
            "mov r5, r9\n\t"
            "mov r6, r10\n\t"
            "mov r7, r11\n\t"
            "push {r4-r7}\n\t"
            "ldr r4, [sp, #36]\n\t"
            "ldr r6, =0x80808080\n\t"
            "mov r11, r1\n\t"
            "mov r12, r2\n\t"
            "muls r3, r1, r3\n\t"
            "adds r3, r3, r0\n\t"
            "mov lr, r3\n\t"
            "movs r5, r4\n\t"
            "bics r5, r6\n\t"
            "mov r8, r5\n\t"
            "movs r5, r4\n\t"
            "ands r5, r6\n\t"
            "lsrs r5, r5, #7\n\t"
            "mvns r7, r6\n\t"
            "adds r5, r5, r7\n\t" /* 127 where a change is positive, else -128 */
            "mov r9, r5\n\t"
            "movs r1, #0\n\t"
            "mov r10, r1\n\t"
            "1:\n\t"
            "lsrs r1, r1, #1\n\t"
            "beq 4f\n\t"
            "2:\n\t"
            "sbcs r7, r7\n\t" /* 0 where the sign is a one, else all ones */
            "ldr r2, [r0]\n\t"
            "eors r2, r7\n\t"
            "movs r3, r2\n\t"
            "eors r3, r4\n\t"
            "bics r2, r6\n\t"
            "add r2, r8\n\t" /* no carry leaves its byte */
            "movs r5, r2\n\t"
            "eors r5, r4\n\t"
            "bics r5, r3\n\t"
            "ands r3, r6\n\t"
            "eors r2, r3\n\t"
            "ands r5, r6\n\t"
            "bne 5f\n\t"
            "3:\n\t"
            "eors r2, r7\n\t"
            "str r2, [r0]\n\t"
            "add r0, r11\n\t"
            "cmp r0, lr\n\t"
            "bne 1b\n\t"
            "mov r0, r10\n\t"
            "pop {r4-r7}\n\t"
            "mov r8, r4\n\t"
            "mov r9, r5\n\t"
            "mov r10, r6\n\t"
            "mov r11, r7\n\t"
            "pop {r4-r7, pc}\n\t"
            "4:\n\t" /* signs of the next eight units, and a one that tells their end */
            "mov r3, r12\n\t"
            "ldrb r1, [r3]\n\t"
            "adds r3, #1\n\t"
            "mov r12, r3\n\t"
            "adds r1, #255\n\t"
            "adds r1, #1\n\t"
            "lsrs r1, r1, #1\n\t"
            "b 2b\n\t"
            "5:\n\t"
            "lsrs r3, r5, #7\n\t"
            "add r10, r3\n\t"
            "lsls r5, r5, #1\n\t"
            "subs r5, r5, r3\n\t" /* all bits of bytes that saturated */
            "bics r2, r5\n\t"
            "mov r3, r9\n\t"
            "ands r3, r5\n\t"
            "orrs r2, r3\n\t"
            "b 3b\n\t"
            ".ltorg\n\t");
}

static inline uint32_t nrl_trace_quads(int8_t *traces, unsigned stride, const uint8_t *signs, unsigned units, uint32_t changes)
{
    return nrl_sum_of_bytes(nrl_sweep_quads((nrl_quad_t *)(void *)traces, stride, signs, units, changes));
}
#else
NRL_BEGIN_FAST
static NRL_NOINLINE NRL_UNUSED uint32_t nrl_trace_quads(int8_t *traces, unsigned stride, const uint8_t *signs, unsigned units, uint32_t changes)
{
#if !NRL_KERNEL_MULTIPLIES
    const uint32_t low_changes = changes & ~NRL_QUAD_SIGNS;
    const uint32_t limits = ~NRL_QUAD_SIGNS + ((changes & NRL_QUAD_SIGNS) >> 7); /* 127 where a change is positive, else -128 */
#endif
    uint32_t saturated = 0;

    for (unsigned i = 0; i < units; i += 8u) {
        const unsigned last = units - i >= 8u ? 0x100u : 1u << (units - i);
        unsigned bits = (*signs++ & (last - 1u)) | last;

        do {
            nrl_quad_t *const place = (nrl_quad_t *)(void *)traces;
            const uint32_t flip = (bits & 1u) - 1u;
            const uint32_t quad = *place ^ flip;
#if NRL_KERNEL_MULTIPLIES
            uint32_t sum, wrapped;

            __asm__("qadd8 %0, %1, %2" : "=r"(sum) : "r"(quad), "r"(changes));
            __asm__("sadd8 %0, %1, %2" : "=r"(wrapped) : "r"(quad), "r"(changes));
            /* A sum that wraps has the other sign: adds up 128 for each. */
            __asm__("usada8 %0, %1, %2, %0" : "+r"(saturated) : "r"((sum ^ wrapped) & NRL_QUAD_SIGNS), "r"(0));
#else
            const uint32_t unlike = quad ^ changes;
            const uint32_t low = (quad & ~NRL_QUAD_SIGNS) + low_changes; /* no carry leaves its byte */
            const uint32_t lost = (low ^ changes) & ~unlike & NRL_QUAD_SIGNS;
            uint32_t sum = low ^ (unlike & NRL_QUAD_SIGNS);

            if (lost != 0u) {
                const uint32_t ones = lost >> 7;
                const uint32_t bytes = (lost << 1) - ones;

                sum = (sum & ~bytes) | (limits & bytes);
                saturated += ones;
            }
#endif
            *place = sum ^ flip;
            traces += stride;
            bits >>= 1;
        } while (bits != 1u);
    }
#if NRL_KERNEL_MULTIPLIES
    return saturated >> 7;
#else
    return nrl_sum_of_bytes(saturated);
#endif
}
NRL_END_FAST
#endif

/* The same of one trace of each unit, that of one input. */
NRL_BEGIN_FAST
static NRL_NOINLINE NRL_UNUSED uint32_t nrl_trace_column(int8_t *trace, unsigned stride, const uint8_t *signs, unsigned units, int32_t change)
{
    uint32_t saturated = 0;

    for (unsigned i = 0; i < units; i += 8u) {
        const unsigned last = units - i >= 8u ? 0x100u : 1u << (units - i);
        unsigned bits = (*signs++ & (last - 1u)) | last;

        do {
            const int32_t flip = (int32_t)(bits & 1u) - 1;

            *trace = (int8_t)(nrl_add_8(*trace ^ flip, change, &saturated) ^ flip);
            trace += stride;
            bits >>= 1;
        } while (bits != 1u);
    }
    return saturated;
}
NRL_END_FAST

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

/* sum + traces[0]^2 + ...; `count` is a constant. */
static NRL_INLINE uint32_t nrl_octet_squares(const int8_t *traces, unsigned count, uint32_t sum)
{
    unsigned j = 0;

#if NRL_KERNEL_MULTIPLIES
    NRL_UNROLLED
    for (; j + 3u < count; j += 4u) {
        const uint32_t quad = *(const nrl_quad_t *)(const void *)(traces + j);
        uint32_t even, odd;

        __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(quad));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(quad));
        __asm__("smlad %0, %1, %1, %0" : "+r"(sum) : "r"(even));
        __asm__("smlad %0, %1, %1, %0" : "+r"(sum) : "r"(odd));
    }
#endif
    NRL_UNROLLED
    for (; j < count; ++j) {
        sum += (uint32_t)((int32_t)traces[j] * traces[j]);
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
