/*
 * nrl_registers.h: in place of the port's own: every register is a word that arduino_generators.c answers for.
 */
#ifndef NRL_REGISTERS_H
#define NRL_REGISTERS_H

#include <stdint.h>

volatile uint32_t *fake_register(uint32_t address);

#define NRL_REGISTER(address) (*fake_register(address))
#define NRL_REGISTER_BYTE(address) (*(volatile uint8_t *)fake_register(address))

#endif
