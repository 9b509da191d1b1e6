/*
 * nrl_math.c: integer square root, quotient and exponential of section 2 of docs/arithmetic.md.
 */
#include "nrl_math.h"

#include "nrl_rom.h"

/* 2^(-i/64) in Q15. */
static const uint16_t nrl_exp2_table[65] NRL_ROM = {
    32768, 32415, 32066, 31720, 31379, 31041, 30706, 30376, 30048, 29725, 29405,
    29088, 28774, 28464, 28158, 27855, 27554, 27258, 26964, 26674, 26386, 26102,
    25821, 25543, 25268, 24995, 24726, 24460, 24196, 23936, 23678, 23423, 23170,
    22921, 22674, 22430, 22188, 21949, 21713, 21479, 21247, 21019, 20792, 20568,
    20347, 20127, 19911, 19696, 19484, 19274, 19066, 18861, 18658, 18457, 18258,
    18061, 17867, 17674, 17484, 17296, 17109, 16925, 16743, 16562, 16384,
};

uint16_t nrl_isqrt(uint32_t value)
{
    uint32_t root = 0;

    /* One bit of the root at a time, from the top: no division, which the smallest chips lack. */
    for (uint32_t bit = UINT32_C(1) << 30; bit != 0u; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint16_t)root;
}

nrl_scaled_t nrl_quotient(uint32_t numerator, uint32_t denominator)
{
    const int up = 32 - (int)nrl_bit_count(numerator);
    const int down = (int)nrl_bit_count(denominator) - 16;
    nrl_scaled_t result;
    uint32_t quotient;
    int exponent = -up - down;

    denominator = down > 0 ? denominator >> down : denominator << -down;
    quotient = (numerator << up) / denominator;
    /* 2^31 <= numerator < 2^32 and 2^15 <= denominator < 2^16 now, so this takes one shift or two. */
    while (quotient >= UINT32_C(0x8000)) {
        quotient >>= 1;
        ++exponent;
    }
    result.mantissa = (uint16_t)quotient;
    result.exponent = (int16_t)exponent;
    return result;
}

uint32_t nrl_exp_neg(uint32_t z)
{
    uint32_t product;
    uint16_t power, above, below;
    unsigned index;

    if (z >= UINT32_C(65536)) {
        return 0;
    }
    /* e^-z = 2^-power; 23637 is log2(e) in Q14, power is Q12. */
    product = (uint32_t)(uint16_t)z * (uint16_t)23637u + (UINT32_C(1) << 13);
    if (product >= UINT32_C(1) << 30) {
        return 0; /* 2^-16 and less */
    }
    power = (uint16_t)nrl_shift_down((int32_t)product, 14);
    index = (power >> 6) & 63u;
    above = NRL_ROM_READ_U16(&nrl_exp2_table[index]);
    below = NRL_ROM_READ_U16(&nrl_exp2_table[index + 1u]);
    /* 16 bits hold the product: neighbours differ by at most 353. */
    return (uint32_t)(above - ((uint16_t)((uint16_t)(above - below) * (power & 63u) + 32u) >> 6)) >> (power >> 12);
}
