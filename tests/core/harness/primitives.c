/*
 * The primitives of the core, made callable from Python.
 */
#include "nrl_crc32.h"
#include "nrl_entropy.h"
#include "nrl_math.h"

int32_t test_saturate(int32_t value, unsigned bits);
int32_t test_round_shift(int32_t value, unsigned shift);
int32_t test_stochastic_shift(int32_t value, unsigned shift, uint8_t random);
uint32_t test_isqrt_mismatch(void);
void test_quotient(uint32_t numerator, uint32_t denominator, int32_t result[2]);
void test_random_bytes(uint32_t state[4], uint8_t *bytes, uint16_t length);

int32_t test_saturate(int32_t value, unsigned bits)
{
    return nrl_saturate(value, bits);
}

int32_t test_round_shift(int32_t value, unsigned shift)
{
    return nrl_round_shift(value, shift);
}

int32_t test_stochastic_shift(int32_t value, unsigned shift, uint8_t random)
{
    return nrl_stochastic_shift(value, shift, random);
}

/* Around every square below 2^32: the first root whose square or neighbours come out wrong; 2^16 where none does. */
uint32_t test_isqrt_mismatch(void)
{
    for (uint32_t root = 0; root < 65536u; ++root) {
        const uint32_t square = root * root;
        const uint32_t last = square + 2u * root;

        if (nrl_isqrt(square) != root || nrl_isqrt(last) != root ||
            (root > 0u && nrl_isqrt(square - 1u) != root - 1u)) {
            return root;
        }
    }
    return 65536u;
}

void test_quotient(uint32_t numerator, uint32_t denominator, int32_t result[2])
{
    const nrl_scaled_t scaled = nrl_quotient(numerator, denominator);

    result[0] = scaled.mantissa;
    result[1] = scaled.exponent;
}

/* Draws from a state and leaves the next state in its place. */
void test_random_bytes(uint32_t state[4], uint8_t *bytes, uint16_t length)
{
    nrl_entropy_t entropy;

    nrl_entropy_seed(&entropy, state);
    (void)nrl_entropy_draw(&entropy, bytes, length);
    for (unsigned i = 0; i < 4u; ++i) {
        state[i] = entropy.state[i];
    }
}
