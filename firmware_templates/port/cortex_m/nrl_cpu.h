/*
 * nrl_cpu.h: a Cortex-M core: interrupts, sleep and the system timer.
 */
#ifndef NRL_CPU_H
#define NRL_CPU_H

#include <stdint.h>

#define NRL_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define NRL_NVIC_ENABLE(interrupt) NRL_REGISTER(UINT32_C(0xe000e100) + 4u * ((interrupt) / 32u))
#define NRL_SYSTICK_CONTROL NRL_REGISTER(UINT32_C(0xe000e010))
#define NRL_SYSTICK_RELOAD NRL_REGISTER(UINT32_C(0xe000e014))
#define NRL_SYSTICK_VALUE NRL_REGISTER(UINT32_C(0xe000e018))

static inline void nrl_cpu_mask_interrupts(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
}

static inline void nrl_cpu_unmask_interrupts(void)
{
    __asm__ volatile("cpsie i" ::: "memory");
}

/* Wait for an interrupt; a masked one ends the wait too. */
static inline void nrl_cpu_sleep(void)
{
    __asm__ volatile("dsb\n\twfi" ::: "memory");
}

static inline void nrl_cpu_enable_interrupt(uint32_t interrupt)
{
    NRL_NVIC_ENABLE(interrupt) = UINT32_C(1) << (interrupt % 32u);
}

/* Of the port: any of the chip's interrupts. */
void nrl_port_interrupt(void);

/* Start a clock of milliseconds from a core of `hz` cycles a second. Not every chip has this timer: an nRF51 has none. */
void nrl_systick_start(uint32_t hz);

/* Milliseconds since then, modulo 2^32. */
uint32_t nrl_systick_milliseconds(void);

#endif
