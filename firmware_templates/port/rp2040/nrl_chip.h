/*
 * nrl_chip.h: where the RP2040 has its blocks. RP2040 Datasheet, sections 2.14 (resets), 2.15 (clocks), 2.16 (XOSC), 2.18
 * (PLL), 2.19 (GPIO), 4.2 (UART), 4.6 (timer), 4.7 (watchdog).
 */
#ifndef NRL_CHIP_H
#define NRL_CHIP_H

#include <stdint.h>

#include "nrl_cpu.h"

#define RESETS_BASE UINT32_C(0x4000c000)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_TIMER (1u << 21)
#define RESET_UART0 (1u << 22)

#define CLOCKS_BASE UINT32_C(0x40008000)
#define XOSC_BASE UINT32_C(0x40024000)
#define PLL_BASE UINT32_C(0x40028000)
#define IO_BANK0_BASE UINT32_C(0x40014000)
#define PADS_BANK0_BASE UINT32_C(0x4001c000)

#define UART_BASE UINT32_C(0x40034000)
#define UART_INTERRUPT 20u

#define TIMER_BASE UINT32_C(0x40054000)
#define TIMER_RAISED NRL_REGISTER(TIMER_BASE + 0x34u)
#define TIMER_ENABLE_INTERRUPTS NRL_REGISTER(TIMER_BASE + 0x38u)

/* The timer counts what the watchdog's divider makes of the reference clock: microseconds. */
static inline void nrl_tick_start(uint32_t reference_mhz)
{
    NRL_REGISTER(UINT32_C(0x4005802c)) = 1u << 9 | reference_mhz;
}

/* Where the boot ROM has the address of the function that looks others up. */
#define ROM_LOOKUP 0x18u

/* The table is named, too. */
static inline uintptr_t nrl_rom_look_up(uintptr_t lookup, uintptr_t table, uint32_t code)
{
    return ((uintptr_t(*)(const uint16_t *, uint32_t))lookup)((const uint16_t *)table, code);
}

#endif
