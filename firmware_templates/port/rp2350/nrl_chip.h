/*
 * nrl_chip.h: where the RP2350 has its blocks. RP2350 Datasheet, sections 2.2 (addresses), 3.2 (interrupts), 5.4 (boot ROM),
 * 7.5 (resets), 8.1 (clocks), 8.2 (XOSC), 8.5 (ticks), 8.6 (PLL), 9.11 (GPIO), 12.1 (UART), 12.8 (timers).
 */
#ifndef NRL_CHIP_H
#define NRL_CHIP_H

#include <stdint.h>

#include "nrl_cpu.h"

#define RESETS_BASE UINT32_C(0x40020000)
#define RESET_IO_BANK0 (1u << 6)
#define RESET_PADS_BANK0 (1u << 9)
#define RESET_PLL_SYS (1u << 14)
#define RESET_TIMER (1u << 23)
#define RESET_TRNG (1u << 25)
#define RESET_UART0 (1u << 26)

#define CLOCKS_BASE UINT32_C(0x40010000)
#define XOSC_BASE UINT32_C(0x40048000)
#define PLL_BASE UINT32_C(0x40050000)
#define IO_BANK0_BASE UINT32_C(0x40028000)
#define PADS_BANK0_BASE UINT32_C(0x40038000)

#define UART_BASE UINT32_C(0x40070000)
#define UART_INTERRUPT 33u

#define TIMER_BASE UINT32_C(0x400b0000)
#define TIMER_RAISED NRL_REGISTER(TIMER_BASE + 0x3cu)
#define TIMER_ENABLE_INTERRUPTS NRL_REGISTER(TIMER_BASE + 0x40u)

/* The timer counts what a divider of its own makes of the reference clock: microseconds. */
static inline void nrl_tick_start(uint32_t reference_mhz)
{
    NRL_REGISTER(UINT32_C(0x4010801c)) = reference_mhz;
    NRL_REGISTER(UINT32_C(0x40108018)) = 1u;
}

/* Where the boot ROM has the address of the function that looks others up. */
#define ROM_LOOKUP 0x16u
/* Of what kind the function is: Arm code for the secure state, which the core is in. */
#define ROM_ARM_SECURE 4u

/* It knows the table itself. */
static inline uintptr_t nrl_rom_look_up(uintptr_t lookup, uintptr_t table, uint32_t code)
{
    (void)table;
    return ((uintptr_t(*)(uint32_t, uint32_t))lookup)(code, ROM_ARM_SECURE);
}

#endif
