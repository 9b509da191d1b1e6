/*
 * nrl_rom.h: where constant tables live.
 *
 * Most chips read constants straight from flash and need nothing here. AVR does not, and takes nrl_port_rom.h from where
 * its compiler finds headers. On another Harvard architecture the port names a header of its own on the compiler's
 * command line, -DNRL_ROM_HEADER='"nrl_port_rom.h"', which defines them all.
 */
#ifndef NRL_ROM_H
#define NRL_ROM_H

#ifdef NRL_ROM_HEADER
#include NRL_ROM_HEADER
#elif defined(__AVR__)
#include "nrl_port_rom.h"
#endif

#ifndef NRL_ROM
#define NRL_ROM                                /* attribute of a table, after its declarator */
#define NRL_ROM_READ_U8(address) (*(address))  /* one uint8_t of a table */
#define NRL_ROM_READ_U16(address) (*(address)) /* one uint16_t of a table */
#define NRL_ROM_READ_U32(address) (*(address)) /* one uint32_t of a table */
#endif

#endif
