/*
 * nrl_rp2.h: what the parts of the port to RP2040 and RP2350 share.
 */
#ifndef NRL_RP2_H
#define NRL_RP2_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_chip.h"
#include "nrl_cpu.h"

/* What is written here sets or clears those bits of a register alone. */
#define SET_BITS(address) NRL_REGISTER((address) + 0x2000u)
#define CLEAR_BITS(address) NRL_REGISTER((address) + 0x3000u)

#define RESETS_DONE NRL_REGISTER(RESETS_BASE + 0x8u)
#define TIMER_MICROSECONDS NRL_REGISTER(TIMER_BASE + 0x28u)

/* The bound of a wait for clocks and resets, in turns of a loop. */
#define START_TURNS UINT32_C(200000)

/* Wait until all of some bits are there. */
static inline bool nrl_wait_for(volatile const uint32_t *status, uint32_t bits)
{
    for (uint32_t i = 0; i < START_TURNS; ++i) {
        if ((*status & bits) == bits) {
            return true;
        }
    }
    return false;
}

static inline void nrl_leave_reset(uint32_t blocks)
{
    CLEAR_BITS(RESETS_BASE) = blocks;
    (void)nrl_wait_for(&RESETS_DONE, blocks);
}

/* Of the chip: start the generator. */
void nrl_generator_start(void);

#endif
