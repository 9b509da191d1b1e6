/*
 * nrl_math.h: the primitives of section 2 of docs/arithmetic.md.
 *
 * `>>` of a negative number is the arithmetic shift on every compiler that nrl_agent.c accepts (it asserts so).
 */
#ifndef NRL_MATH_H
#define NRL_MATH_H

#include <stdint.h>

#include "nrl_kernels_shift.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A positive ratio as mantissa * 2^exponent with 2^14 <= mantissa < 2^15. */
typedef struct nrl_scaled {
    uint16_t mantissa;
    int16_t exponent;
} nrl_scaled_t;

static inline int32_t nrl_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The nearest number of `bits` bits, 2..32. */
static inline int32_t nrl_saturate(int32_t value, unsigned bits)
{
    const int32_t high = (int32_t)(UINT32_C(0xffffffff) >> (33u - bits));

    return nrl_clamp(value, -high - 1, high);
}

/* value / 2^shift to the nearest integer, halves up; shift 0..31, value + 2^(shift - 1) must fit 32 bits. */
static inline int32_t nrl_round_shift(int32_t value, unsigned shift)
{
    return shift == 0u ? value : nrl_shift_down(value + (int32_t)(UINT32_C(1) << (shift - 1u)), shift);
}

/* value / 2^shift rounded up with a probability equal to the fraction, by a random byte; shift 0..39. */
static inline int32_t nrl_stochastic_shift(int32_t value, unsigned shift, uint8_t random)
{
    if (shift >= 8u) {
        return (nrl_round_shift(value, shift - 8u) + (int32_t)random) >> 8;
    }
    return (value + ((int32_t)random >> (8u - shift))) >> shift;
}

/* Number of bits up to the highest that is set; 0 of 0. */
static inline unsigned nrl_bit_count(uint32_t value)
{
    unsigned bits = 0;

#ifdef __AVR__
    /* Whole bytes move for nothing, other places one by one. */
    uint8_t byte;

    for (; value > 255u; value >>= 8) {
        bits += 8u;
    }
    for (byte = (uint8_t)value; byte != 0u; byte >>= 1) {
        ++bits;
    }
    return bits;
#else
    /* Halves, then quarters: a loop over single bits costs up to 32 rounds, and not every chip counts zeros. */
    for (unsigned step = 16; step != 0u; step >>= 1) {
        if ((value >> step) != 0u) {
            value >>= step;
            bits += step;
        }
    }
    return bits + (unsigned)value;
#endif
}

/* Square root, rounded down. */
uint16_t nrl_isqrt(uint32_t value);

/* numerator / denominator, both above 0, truncated. */
nrl_scaled_t nrl_quotient(uint32_t numerator, uint32_t denominator);

/* e^-z, z in Q12, in Q15: 0..32768. */
uint32_t nrl_exp_neg(uint32_t z);

#ifdef __cplusplus
}
#endif

#endif
