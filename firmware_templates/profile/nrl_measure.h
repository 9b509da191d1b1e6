/*
 * nrl_measure.h: What a build with marks needs from a port, besides nrl_port.h: a counter, and a look at the stack.
 */
#ifndef NRL_MEASURE_H
#define NRL_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Once, when the port runs: start the counter, and paint the memory that the stack may grow into. */
void nrl_measure_start(void);

/* Cycles of the core's clock, modulo 2^32. Two readings in a row are at most as far apart as docs/profile.md says. */
uint32_t nrl_measure_cycles(void);

/* What it counts in a second at the clock that the board's file gives. */
uint32_t nrl_measure_hz(void);

/* The most bytes of stack that were in use at once since the start, interrupts included. */
uint32_t nrl_measure_stack_bytes(void);

/* Keep back the interrupts that would be counted with what they interrupt, or let them come. */
void nrl_measure_hold_interrupts(bool hold);

#ifdef __cplusplus
}
#endif

#endif
