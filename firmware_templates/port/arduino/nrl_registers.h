/*
 * nrl_registers.h: the registers of a chip, by address.
 */
#ifndef NRL_REGISTERS_H
#define NRL_REGISTERS_H

#include <stdint.h>

#define NRL_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define NRL_REGISTER_BYTE(address) (*(volatile uint8_t *)(uintptr_t)(address))

#endif
