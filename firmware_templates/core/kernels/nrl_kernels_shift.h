/*
 * nrl_kernels_shift.h: shifts by constants. AVR has no instruction that shifts by more than one place, but whole bytes move
 * for little; its compiler makes a loop of most of them, and one loop of two shifts, unless it cannot see what is between.
 */
#ifndef NRL_KERNELS_SHIFT_H
#define NRL_KERNELS_SHIFT_H

#include <stdint.h>

#if defined(__AVR__) && defined(__GNUC__)
#define NRL_SHIFT_IN_BYTES(value, shift, half_word)       \
    if (__builtin_constant_p(shift) && (shift) >= 16u) {  \
        half_word high = (half_word)((value) >> 16);      \
                                                          \
        __asm__("" : "+r"(high));                         \
        return high >> ((shift) - 16u);                   \
    }                                                     \
    if (__builtin_constant_p(shift) && (shift) >= 8u) {   \
        (value) >>= 8;                                    \
        __asm__("" : "+r"(value));                        \
        return (value) >> ((shift) - 8u);                 \
    }
#else
#define NRL_SHIFT_IN_BYTES(value, shift, half_word)
#endif

/* value >> shift, the arithmetic shift. */
static inline int32_t nrl_shift_down(int32_t value, unsigned shift)
{
    NRL_SHIFT_IN_BYTES(value, shift, int16_t)
    return value >> shift;
}

/* The same of a number without a sign. */
static inline uint32_t nrl_shift_down_unsigned(uint32_t value, unsigned shift)
{
    NRL_SHIFT_IN_BYTES(value, shift, uint16_t)
#if defined(__AVR__) && defined(__GNUC__)
    if (__builtin_constant_p(shift) && shift >= 6u) {
        const uint8_t low = (uint8_t)value;

        value >>= 8;
        __asm__("" : "+r"(value));
        return (value << (8u - shift)) | (uint32_t)(low >> shift); /* a byte down and up again by what that was too many */
    }
#endif
    return value >> shift;
}

#endif
