/*
 * nrl_port_rom.h: constant tables stay in flash, which AVR reads with instructions of its own (see nrl_rom.h).
 */
#ifndef NRL_PORT_ROM_H
#define NRL_PORT_ROM_H

#include <avr/pgmspace.h>

#define NRL_ROM PROGMEM
#define NRL_ROM_READ_U8(address) pgm_read_byte(address)
#define NRL_ROM_READ_U16(address) pgm_read_word(address)
#define NRL_ROM_READ_U32(address) pgm_read_dword(address)

#endif
