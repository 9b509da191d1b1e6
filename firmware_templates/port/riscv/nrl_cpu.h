/*
 * nrl_cpu.h: a RISC-V core in machine mode: interrupts and sleep.
 */
#ifndef NRL_CPU_H
#define NRL_CPU_H

#include <stdint.h>

#define NRL_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define NRL_REGISTER_8(address) (*(volatile uint8_t *)(uintptr_t)(address))

/* Bits of mie. */
#define NRL_CPU_TIMER_INTERRUPT (1u << 7)
#define NRL_CPU_EXTERNAL_INTERRUPT (1u << 11)

static inline void nrl_cpu_mask_interrupts(void)
{
    __asm__ volatile("csrci mstatus, 8" ::: "memory");
}

static inline void nrl_cpu_unmask_interrupts(void)
{
    __asm__ volatile("csrsi mstatus, 8" ::: "memory");
}

/* Wait for an interrupt; a masked one ends the wait too. */
static inline void nrl_cpu_sleep(void)
{
    __asm__ volatile("wfi" ::: "memory");
}

static inline void nrl_cpu_enable_interrupts(uint32_t sources)
{
    __asm__ volatile("csrs mie, %0" ::"r"(sources) : "memory");
}

/* Of the port: any interrupt. */
void nrl_port_interrupt(void);

#endif
