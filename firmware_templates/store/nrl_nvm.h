/*
 * nrl_nvm.h: What the weight store needs from a port: a stretch of non-volatile memory, NRL_STORE_BYTES long.
 *
 * Offsets count from its first byte. A port of a board that names such memory implements every function below; nothing
 * else touches the registers of flash or EEPROM. All waits are bounded.
 */
#ifndef NRL_NVM_H
#define NRL_NVM_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_project.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Copy what is there. */
void nrl_port_nvm_read(uint32_t offset, uint8_t *bytes, uint16_t length);

/*
 * Erase the page of NRL_NVM_PAGE_BYTES at `offset`, to bytes of 0xff. False: it did not work. Never called where
 * NRL_NVM_PAGE_BYTES is 1: such memory is written without.
 */
bool nrl_port_nvm_erase(uint32_t offset);

/*
 * Write erased memory (or any, where NRL_NVM_PAGE_BYTES is 1). Offset and length are multiples of NRL_NVM_WORD_BYTES.
 * False: it did not work.
 */
bool nrl_port_nvm_write(uint32_t offset, const uint8_t *bytes, uint16_t length);

#ifdef __cplusplus
}
#endif

#endif
