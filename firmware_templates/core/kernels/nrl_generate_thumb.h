/*
 * nrl_generate_thumb.h: the generator of nrl_entropy.c for Arm's Thumb, many words at a time: its state and its counts of
 * rotation stay in registers. What it computes is nrl_next in nrl_entropy.c.
 */
#ifndef NRL_GENERATE_THUMB_H
#define NRL_GENERATE_THUMB_H

#include <stdint.h>

#include "nrl_kernels.h"

#if NRL_KERNEL_GENERATES && !defined(__thumb2__)
/* Words up to `end`, at least one. Registers: r0 words, r1 a word, r2-r5 the state, r6 and r7 counts, r12 where the state is, lr the end. */
__attribute__((naked, noinline)) static void nrl_kernel_generate(uint32_t state[4] NRL_UNUSED, uint32_t *words NRL_UNUSED,
                                                                 const uint32_t *end NRL_UNUSED)
{
    __asm__(".syntax unified\n\t"
            "push {r4-r7, lr}\n\t"
            "mov r12, r0\n\t"
            "mov lr, r2\n\t"
            "ldmia r0!, {r2-r5}\n\t"
            "movs r0, r1\n\t"
            "movs r6, #25\n\t" /* to the right, which is 7 to the left */
            "movs r7, #21\n\t" /* 11 to the left */
            "1:\n\t"
            "adds r1, r2, r5\n\t"
            "rors r1, r6\n\t"
            "adds r1, r1, r2\n\t"
            "stmia r0!, {r1}\n\t"
            "lsls r1, r3, #9\n\t"
            "eors r4, r2\n\t"
            "eors r5, r3\n\t"
            "eors r3, r4\n\t"
            "eors r2, r5\n\t"
            "eors r4, r1\n\t"
            "rors r5, r7\n\t"
            "cmp r0, lr\n\t"
            "bne 1b\n\t"
            "mov r0, r12\n\t"
            "stmia r0!, {r2-r5}\n\t"
            "pop {r4-r7, pc}\n\t");
}
#elif NRL_KERNEL_GENERATES
/* A word, in two steps: after the first the state's second part is in r7, and the second brings it back. */
#define NRL_FIRST_OF_TWO_WORDS \
            "add.w r12, r3, r6\n\t" \
            "add.w r12, r3, r12, ror #25\n\t" /* 7 to the left */ \
            "str r12, [r1], #4\n\t" \
            "eors r5, r3\n\t" \
            "eors r6, r4\n\t" \
            "eor.w r7, r4, r5\n\t" \
            "eor.w r5, r5, r4, lsl #9\n\t" \
            "eors r3, r6\n\t" \
            "ror.w r6, r6, #21\n\t" /* 11 to the left */
#define NRL_SECOND_OF_TWO_WORDS \
            "add.w r12, r3, r6\n\t" \
            "add.w r12, r3, r12, ror #25\n\t" \
            "str r12, [r1], #4\n\t" \
            "eors r5, r3\n\t" \
            "eors r6, r7\n\t" \
            "eor.w r4, r7, r5\n\t" \
            "eor.w r5, r5, r7, lsl #9\n\t" \
            "eors r3, r6\n\t" \
            "ror.w r6, r6, #21\n\t"
/*
 * Words up to `end`, at least one, four a round, of which the first may do fewer. Registers: r0 where the state is, r1 words, r2 the end,
 * r3-r6 the state, r12 a word.
 */
__attribute__((naked, noinline)) static void nrl_kernel_generate(uint32_t state[4] NRL_UNUSED, uint32_t *words NRL_UNUSED,
                                                                 const uint32_t *end NRL_UNUSED)
{
    __asm__(".syntax unified\n\t"
            "push {r4-r7, lr}\n\t"
            "ldmia r0, {r3-r6}\n\t"
            "sub.w r12, r2, r1\n\t"
            "mov r7, r4\n\t" /* for rounds that begin with a second word */
            "movs.w r12, r12, lsl #29\n\t" /* carry: two words more than fours; negative: one more */
            "bcc 1f\n\t"
            "bmi 2f\n\t"
            "b 3f\n\t"
            "1:\n\t"
            "bmi 4f\n\t"
            "5:\n\t"
            NRL_FIRST_OF_TWO_WORDS
            "2:\n\t"
            NRL_SECOND_OF_TWO_WORDS
            "3:\n\t"
            NRL_FIRST_OF_TWO_WORDS
            "4:\n\t"
            NRL_SECOND_OF_TWO_WORDS
            "cmp r1, r2\n\t"
            "bne 5b\n\t"
            "stmia r0, {r3-r6}\n\t"
            "pop {r4-r7, pc}\n\t");
}
#undef NRL_FIRST_OF_TWO_WORDS
#undef NRL_SECOND_OF_TWO_WORDS
#endif

#endif
