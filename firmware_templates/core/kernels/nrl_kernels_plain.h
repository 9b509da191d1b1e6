/*
 * nrl_kernels_plain.h: the operations of nrl_kernels.h in plain C: what every kernel computes is defined here.
 *
 * They serve nrl_kernels_portable.h, and nrl_kernels_word.h where a core has no instruction that does better.
 */
#ifndef NRL_KERNELS_PLAIN_H
#define NRL_KERNELS_PLAIN_H

/* sum + weights[0] * values[0] + ...; the caller knows that no part of it leaves 32 bits. */
static NRL_INLINE int32_t nrl_kernel_dot(const int16_t *weights, const int16_t *values, unsigned count, int32_t sum)
{
    NRL_UNROLLED
    for (unsigned j = 0; j < count; ++j) {
        sum += (int32_t)weights[j] * values[j];
    }
    return sum;
}

/* round_shift(error * value, shift) as nrl_kernel_scale(value, nrl_kernel_factor(error, shift), shift), shift 1..31. */
static NRL_INLINE int32_t nrl_kernel_factor(int32_t error, unsigned shift)
{
    (void)shift;
    return error;
}

static NRL_INLINE int32_t nrl_kernel_scale(int32_t value, int32_t factor, unsigned shift)
{
    return nrl_round_shift(value * factor, shift);
}

/* The negative branch of the leaky ReLU, slope 205/2048. */
static NRL_INLINE int32_t nrl_kernel_leak(int32_t value)
{
    return (value * 205 + 1024) >> 11;
}

/* sum >> shift, which int16 holds, leaked where it is negative; and what becomes of the noise behind it. */
static NRL_INLINE int32_t nrl_kernel_activate(int32_t sum, unsigned shift, int32_t *slope)
{
    const int32_t activation = sum >> shift;

    *slope = activation < 0 ? NRL_LEAKED_NOISE : NRL_NOISE;
    return activation < 0 ? nrl_kernel_leak(activation) : activation;
}

/* +value or -value, as bit 0 of `signs` says. */
static NRL_INLINE int32_t nrl_kernel_signed(int32_t value, unsigned signs)
{
    return (signs & 1u) != 0u ? value : -value;
}

/* Two weights that lie side by side, times one value. */
static NRL_INLINE void nrl_kernel_two_products(const int16_t *weights, int32_t value, int32_t *sum, int32_t *next_sum)
{
    *sum += weights[0] * value;
    *next_sum += weights[1] * value;
}

/* A sum of products as an activation: sum >> shift, which the caller knows to fit int16. */
static NRL_INLINE int32_t nrl_kernel_descale(int32_t sum, unsigned shift)
{
    return sum >> shift;
}

#endif
