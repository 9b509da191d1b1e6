/*
 * nrl_cpu.h: in place of the core's own: every register of a port under test is a word that fake_registers.c answers for.
 */
#ifndef NRL_CPU_H
#define NRL_CPU_H

#include <stdint.h>

volatile uint32_t *fake_register(uint32_t address);

#define NRL_REGISTER(address) (*fake_register(address))
#define NRL_SYSTICK_VALUE NRL_REGISTER(UINT32_C(0xe000e018))

static inline void nrl_cpu_mask_interrupts(void)
{
}

static inline void nrl_cpu_unmask_interrupts(void)
{
}

static inline void nrl_cpu_sleep(void)
{
}

static inline void nrl_cpu_enable_interrupt(uint32_t interrupt)
{
    (void)interrupt;
}

void nrl_port_interrupt(void);
void nrl_systick_start(uint32_t hz);
uint32_t nrl_systick_milliseconds(void);

#endif
