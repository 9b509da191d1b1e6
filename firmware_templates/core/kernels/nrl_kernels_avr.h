/*
 * nrl_kernels_avr.h: AVR with a multiplier of eight bits. A product of two int16 is four of its products.
 */
#ifndef NRL_KERNELS_AVR_H
#define NRL_KERNELS_AVR_H

#define NRL_KERNEL_NAME "avr"
#define NRL_KERNEL_AVR 1
#define NRL_KERNEL_MULTIPLIES 0
#define NRL_KERNEL_UNROLLS 0
#define NRL_KERNEL_PAIRS 0

/* sum + a * b. The high bytes are signed, the low ones are not; mulsu leaves the sign of its result in the carry. */
static NRL_INLINE int32_t nrl_kernel_multiply_add(int32_t sum, int16_t a, int16_t b)
{
    uint8_t zero = 0;

    __asm__("muls %B1, %B2\n\t"
            "add %C0, r0\n\t"
            "adc %D0, r1\n\t"
            "mul %A1, %A2\n\t"
            "add %A0, r0\n\t"
            "adc %B0, r1\n\t"
            "adc %C0, %3\n\t"
            "adc %D0, %3\n\t"
            "mulsu %B1, %A2\n\t"
            "sbc %D0, %3\n\t"
            "add %B0, r0\n\t"
            "adc %C0, r1\n\t"
            "adc %D0, %3\n\t"
            "mulsu %B2, %A1\n\t"
            "sbc %D0, %3\n\t"
            "add %B0, r0\n\t"
            "adc %C0, r1\n\t"
            "adc %D0, %3\n\t"
            "clr __zero_reg__"
            : "+r"(sum)
            : "a"(a), "a"(b), "r"(zero));
    return sum;
}

/* A bit of the quotient at a time. The first sixteen of the numerator are there from the start, the others are zeros. */
#define NRL_KERNEL_RECIPROCAL 1
static NRL_INLINE uint32_t nrl_kernel_reciprocal(uint32_t sum)
{
    uint32_t remainder = UINT32_C(1) << 15;
    uint16_t not_quotient;
    uint8_t left;

    if (sum == remainder) {
        return UINT32_C(65536);
    }
    __asm__("ldi %2, 16\n\t"
            "1:\n\t"
            "lsl %A0\n\t"
            "rol %B0\n\t"
            "rol %C0\n\t"
            "cp %A0, %A3\n\t"
            "cpc %B0, %B3\n\t"
            "cpc %C0, %C3\n\t"
            "brcs 2f\n\t"
            "sub %A0, %A3\n\t"
            "sbc %B0, %B3\n\t"
            "sbc %C0, %C3\n\t" /* leaves no carry */
            "2:\n\t"
            "rol %A1\n\t"
            "rol %B1\n\t"
            "dec %2\n\t"
            "brne 1b"
            : "+r"(remainder), "=&r"(not_quotient), "=&d"(left)
            : "r"(sum));
    return (uint16_t)~not_quotient;
}

/* Most sums fit int16. Up by what is missing to 16 places, then down by two whole bytes. */
#define NRL_KERNEL_LEAKED_NOISE 1
static NRL_INLINE int32_t nrl_kernel_leaked_noise(int32_t sum, unsigned places)
{
    if (places >= 9u && places < 16u && sum == (int16_t)sum) {
        const int32_t product = nrl_kernel_multiply_add(INT32_C(1) << (places - 1u), (int16_t)sum, (int16_t)NRL_LEAKED_NOISE);

        return (int16_t)(((uint32_t)product << (16u - places)) >> 16);
    }
    return nrl_round_shift(NRL_LEAKED_NOISE * sum, places);
}

#define NRL_KERNEL_PROBABILITIES 1
/* Only 65536, where one probability is 1 and all others are 0, has more than 16 bits. */
static NRL_INLINE uint32_t nrl_kernel_probability(uint32_t exponential, uint32_t reciprocal)
{
    const uint16_t a = (uint16_t)exponential;
    const uint16_t b = (uint16_t)reciprocal;
    uint16_t product;
    uint8_t low;

    if (reciprocal == UINT32_C(65536)) {
        return exponential << 1;
    }
    __asm__("mul %A2, %A3\n\t"
            "mov %1, r1\n\t"
            "mul %B2, %B3\n\t"
            "movw %A0, r0\n\t"
            "mul %A2, %B3\n\t"
            "add %1, r0\n\t"
            "adc %A0, r1\n\t"
            "adc %B0, %4\n\t"
            "mul %B2, %A3\n\t"
            "add %1, r0\n\t"
            "adc %A0, r1\n\t"
            "adc %B0, %4\n\t"
            "lsl %1\n\t"
            "rol %A0\n\t"
            "rol %B0\n\t"
            "clr __zero_reg__"
            : "=&r"(product), "=&r"(low)
            : "r"(a), "r"(b), "r"((uint8_t)0));
    return product;
}

static NRL_INLINE int32_t nrl_kernel_weighed(uint32_t probability, int32_t value)
{
    const int16_t b = (int16_t)value;
    const int32_t product = nrl_kernel_multiply_add(0, (int16_t)probability, b);

    /* The upper bit of 16 was taken as a sign, and that of 17 not at all. */
    return (probability >> 15) != 0u ? product + (int32_t)((uint32_t)(int32_t)b << 16) : product;
}

#define NRL_KERNEL_PRODUCT 1
static NRL_INLINE int32_t nrl_kernel_product(int16_t a, int16_t b)
{
    return nrl_kernel_multiply_add(0, a, b);
}

/*
 * The critic's products, of a critic of cubes: `value` is multiplied as if it had no sign, and where it is negative `factor` is taken
 * away once, 16 places up. The lowest eight of 48 bits cannot round, and are not seen.
 */
#define NRL_KERNEL_LONG_PRODUCTS 1
static NRL_INLINE int32_t nrl_kernel_product_16(int32_t factor, int32_t value)
{
    const int16_t short_value = (int16_t)value;
    int32_t product;
    uint16_t middle;

    __asm__("mul %C2, %A3\n\t"
            "movw %A0, r0\n\t"
            "mulsu %D2, %B3\n\t"
            "movw %C0, r0\n\t"
            "mul %B2, %A3\n\t"
            "movw %A1, r0\n\t"
            "mul %A2, %B3\n\t"
            "add %A1, r0\n\t"
            "adc %B1, r1\n\t"
            "adc %B0, %4\n\t"
            "mul %A2, %A3\n\t"
            "add %A1, r1\n\t"
            "adc %B1, %4\n\t"
            "adc %B0, %4\n\t"
            "lsl %A1\n\t" /* its upper bit rounds */
            "adc %A0, %B1\n\t"
            "adc %B0, %4\n\t"
            "mul %B2, %B3\n\t"
            "add %A0, r0\n\t"
            "adc %B0, r1\n\t"
            "adc %C0, %4\n\t"
            "adc %D0, %4\n\t"
            "mul %C2, %B3\n\t"
            "add %B0, r0\n\t"
            "adc %C0, r1\n\t"
            "adc %D0, %4\n\t"
            "mulsu %D2, %A3\n\t"
            "sbc %D0, %4\n\t"
            "add %B0, r0\n\t"
            "adc %C0, r1\n\t"
            "adc %D0, %4\n\t"
            "clr __zero_reg__"
            : "=&r"(product), "=&r"(middle)
            : "a"(factor), "a"(short_value), "r"((uint8_t)0));
    return short_value < 0 ? product - factor : product;
}

/* `numerator` / 64 of a trace, rounded: as many 256ths, and a byte less. */
static NRL_INLINE int32_t nrl_kernel_decay(int32_t trace, int32_t numerator)
{
    int32_t decayed;

    __asm__("mulsu %D1, %2\n\t"
            "movw %C0, r0\n\t"
            "mul %B1, %2\n\t"
            "movw %A0, r0\n\t"
            "mul %A1, %2\n\t"
            "lsl r0\n\t" /* its upper bit rounds */
            "adc %A0, r1\n\t"
            "adc %B0, %3\n\t"
            "adc %C0, %3\n\t"
            "adc %D0, %3\n\t"
            "mul %C1, %2\n\t"
            "add %B0, r0\n\t"
            "adc %C0, r1\n\t"
            "adc %D0, %3\n\t"
            "clr __zero_reg__"
            : "=&r"(decayed)
            : "a"(trace), "a"((uint8_t)(4 * numerator)), "r"((uint8_t)0));
    return decayed;
}

/* `count` is a constant. Few products are written one by one: avr-gcc 5 knows no loop that it would unroll. */
static NRL_INLINE int32_t nrl_kernel_dot(const int16_t *weights, const int16_t *values, unsigned count, int32_t sum)
{
    if (count > 8u) {
        for (unsigned j = 0; j < count; ++j) {
            sum = nrl_kernel_multiply_add(sum, weights[j], values[j]);
        }
        return sum;
    }
#define NRL_TERM(j)                                                     \
    if (count > (j)) {                                                  \
        sum = nrl_kernel_multiply_add(sum, weights[(j)], values[(j)]); \
    }
    NRL_TERM(0u)
    NRL_TERM(1u)
    NRL_TERM(2u)
    NRL_TERM(3u)
    NRL_TERM(4u)
    NRL_TERM(5u)
    NRL_TERM(6u)
    NRL_TERM(7u)
#undef NRL_TERM
    return sum;
}

static NRL_INLINE int32_t nrl_kernel_factor(int32_t error, unsigned shift)
{
    (void)shift;
    return error;
}

/* `value` and `factor` fit int16; so does the result of the longer shifts, whose first 16 places cost nothing. */
static NRL_INLINE int32_t nrl_kernel_scale(int32_t value, int32_t factor, unsigned shift)
{
    const int32_t product =
        nrl_kernel_multiply_add((int32_t)(UINT32_C(1) << (shift - 1u)), (int16_t)value, (int16_t)factor);

    return shift >= 16u ? (int16_t)(product >> 16) >> (shift - 16u) : product >> shift;
}

static NRL_INLINE int32_t nrl_kernel_leak(int32_t value)
{
    /* 5 places up and 16 down are 11 down, and shorter. */
    return (int16_t)((nrl_kernel_multiply_add(1024, (int16_t)value, 205) * 32) >> 16);
}

static NRL_INLINE int32_t nrl_kernel_signed(int32_t value, unsigned signs)
{
    return (signs & 1u) != 0u ? value : -value;
}

static NRL_INLINE void nrl_kernel_two_products(const int16_t *weights, int32_t value, int32_t *sum, int32_t *next_sum)
{
    *sum = nrl_kernel_multiply_add(*sum, weights[0], (int16_t)value);
    *next_sum = nrl_kernel_multiply_add(*next_sum, weights[1], (int16_t)value);
}

/* Up by what is missing to 16 places, then down by two whole bytes. */
static NRL_INLINE int32_t nrl_kernel_descale(int32_t sum, unsigned shift)
{
    return (int16_t)(((uint32_t)sum << (16u - shift)) >> 16);
}

/* Bytes move for nothing: 7 places are 8 to the left and one back, 11 are 8 and three. */
#define NRL_KERNEL_ROTATES 1
static NRL_INLINE uint32_t nrl_kernel_rotate_left(uint32_t value, unsigned count)
{
    value = (value << 8) | (value >> 24);
    for (; count > 8u; --count) {
        value = (value << 1) | (value >> 31);
    }
    for (; count < 8u; ++count) {
        value = (value >> 1) | (value << 31);
    }
    return value;
}

#endif
