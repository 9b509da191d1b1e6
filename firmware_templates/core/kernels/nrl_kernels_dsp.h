/*
 * nrl_kernels_dsp.h: Arm cores with the DSP extension: Cortex-M4, M7, M33, M55.
 *
 * A pair is two int16 side by side, as in memory.
 */
#ifndef NRL_KERNELS_DSP_H
#define NRL_KERNELS_DSP_H

#define NRL_KERNEL_NAME "dsp"
#define NRL_KERNEL_MULTIPLIES 1
#define NRL_KERNEL_UNROLLS 1
#define NRL_KERNEL_PAIRS 1
#define NRL_KERNEL_CONDITIONAL 1

typedef uint32_t nrl_pair_t __attribute__((may_alias));
typedef uint32_t nrl_unaligned_pair_t __attribute__((may_alias, aligned(2)));

static NRL_INLINE nrl_pair_t nrl_pair(int32_t low, int32_t high)
{
    nrl_pair_t pair;

    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}

static NRL_INLINE int32_t nrl_pair_low(nrl_pair_t pair)
{
    return (int16_t)(pair & 0xffffu);
}

static NRL_INLINE int32_t nrl_pair_high(nrl_pair_t pair)
{
    return (int32_t)pair >> 16;
}

static NRL_INLINE nrl_pair_t nrl_pair_add(nrl_pair_t pair, nrl_pair_t other)
{
    nrl_pair_t sum;

    /* Changes the GE flags, which nothing here reads and no compiler keeps anything in. */
    __asm__("sadd16 %0, %1, %2" : "=r"(sum) : "r"(pair), "r"(other));
    return sum;
}

static NRL_INLINE nrl_pair_t nrl_pair_subtract(nrl_pair_t pair, nrl_pair_t other)
{
    nrl_pair_t difference;

    __asm__("ssub16 %0, %1, %2" : "=r"(difference) : "r"(pair), "r"(other));
    return difference;
}

/* pair + share or pair - share, as bit 0 of `signs` says; both at once cost less than a branch. */
static NRL_INLINE nrl_pair_t nrl_pair_move(nrl_pair_t pair, nrl_pair_t share, unsigned signs)
{
    __asm__("tst %2, #1\n\tite ne\n\tsadd16ne %0, %0, %1\n\tssub16eq %0, %0, %1"
            : "+r"(pair)
            : "r"(share), "r"(signs)
            : "cc");
    return pair;
}

static NRL_INLINE void nrl_pair_move_two(nrl_pair_t *pairs, nrl_pair_t share, nrl_pair_t next_share, unsigned signs)
{
    nrl_pair_t pair = pairs[0];
    nrl_pair_t next = pairs[1];

    __asm__("tst %4, #1\n\titete ne\n\tsadd16ne %0, %0, %2\n\tssub16eq %0, %0, %2\n\tsadd16ne %1, %1, %3\n\t"
            "ssub16eq %1, %1, %3"
            : "+r"(pair), "+r"(next)
            : "r"(share), "r"(next_share), "r"(signs)
            : "cc");
    pairs[0] = pair;
    pairs[1] = next;
}

/* `factor` fits int16. */
static NRL_INLINE void nrl_pair_products(nrl_pair_t pair, int32_t factor, int32_t half, int32_t *low, int32_t *high)
{
    __asm__("smlabb %0, %1, %2, %3" : "=r"(*low) : "r"(pair), "r"(factor), "r"(half));
    __asm__("smlatb %0, %1, %2, %3" : "=r"(*high) : "r"(pair), "r"(factor), "r"(half));
}

static NRL_INLINE uint64_t nrl_pair_add_squares(uint64_t sum, nrl_pair_t pair)
{
    __asm__("smlald %Q0, %R0, %1, %1" : "+r"(sum) : "r"(pair));
    return sum;
}

static NRL_INLINE int32_t nrl_pair_read(const int16_t *trace)
{
    return *trace;
}

static NRL_INLINE void nrl_pair_change(int16_t *trace, int32_t change)
{
    *trace = (int16_t)(*trace + change);
}

/* Two products in an instruction. `count` is a constant; words that are not aligned are no matter to these cores. */
static NRL_INLINE int32_t nrl_kernel_dot(const int16_t *weights, const int16_t *values, unsigned count, int32_t sum)
{
    const nrl_pair_t *weight = (const nrl_pair_t *)(const void *)weights;
    const nrl_unaligned_pair_t *value = (const nrl_unaligned_pair_t *)(const void *)values;

    NRL_UNROLLED
    for (unsigned j = 0; j + 1u < count; j += 2u) {
        __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(*weight++), "r"(*value++));
    }
    if ((count & 1u) != 0u) {
        sum += (int32_t)weights[count - 1u] * values[count - 1u];
    }
    return sum;
}

/* smmulr gives the upper half of a 64-bit product, rounded just so: the factor is moved up for it where there is room. */
static NRL_INLINE int32_t nrl_kernel_factor(int32_t error, unsigned shift)
{
    return shift >= 16u ? error * (INT32_C(1) << (32u - shift)) : error;
}

static NRL_INLINE int32_t nrl_kernel_scale(int32_t value, int32_t factor, unsigned shift)
{
    int32_t scaled;

    if (shift < 16u) {
        return nrl_round_shift(value * factor, shift);
    }
    __asm__("smmulr %0, %1, %2" : "=r"(scaled) : "r"(value), "r"(factor));
    return scaled;
}

static NRL_INLINE int32_t nrl_kernel_leak(int32_t value)
{
    int32_t leaked;

    __asm__("smmulr %0, %1, %2" : "=r"(leaked) : "r"(value), "r"(INT32_C(205) << 21));
    return leaked;
}

/* `shift` is a constant. Conditional instructions: no branch, whatever the signs are. */
static NRL_INLINE int32_t nrl_kernel_activate(int32_t sum, unsigned shift, int32_t *slope)
{
    int32_t activation;
    int32_t noise;

    __asm__("asrs %0, %2, %3\n\tmov.w %1, %5\n\titt mi\n\tsmmulrmi %0, %0, %4\n\tmovwmi %1, %6"
            : "=&r"(activation), "=&r"(noise)
            : "r"(sum), "I"(shift), "r"(INT32_C(205) << 21), "i"(NRL_NOISE), "i"(NRL_LEAKED_NOISE)
            : "cc");
    *slope = noise;
    return activation;
}

static NRL_INLINE int32_t nrl_kernel_signed(int32_t value, unsigned signs)
{
    __asm__("tst %1, #1\n\tit eq\n\trsbeq %0, %0, #0" : "+r"(value) : "r"(signs) : "cc");
    return value;
}

static NRL_INLINE void nrl_kernel_two_products(const int16_t *weights, int32_t value, int32_t *sum, int32_t *next_sum)
{
    const nrl_pair_t pair = *(const nrl_pair_t *)(const void *)weights;

    __asm__("smlabb %0, %1, %2, %0" : "+r"(*sum) : "r"(pair), "r"(value));
    __asm__("smlatb %0, %1, %2, %0" : "+r"(*next_sum) : "r"(pair), "r"(value));
}

static NRL_INLINE int32_t nrl_kernel_descale(int32_t sum, unsigned shift)
{
    return sum >> shift;
}

#define NRL_KERNEL_LONG_PRODUCTS 1
static NRL_INLINE int32_t nrl_kernel_product_16(int32_t factor, int32_t value)
{
    int32_t product;

    __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(factor), "r"(value * 65536));
    return product;
}

/* A trace less (64 - numerator) / 64 of it: that factor has a sign, and fits 32 bits. */
static NRL_INLINE int32_t nrl_kernel_decay(int32_t trace, int32_t numerator)
{
    int32_t decayed;

    __asm__("smmlar %0, %1, %2, %1" : "=r"(decayed) : "r"(trace), "r"((numerator - 64) * (INT32_C(1) << 26)));
    return decayed;
}

#endif
