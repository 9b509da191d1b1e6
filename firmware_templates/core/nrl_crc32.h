/*
 * nrl_crc32.h: CRC-32 as zlib computes it.
 */
#ifndef NRL_CRC32_H
#define NRL_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC of `length` bytes, chained: start with crc = 0, pass the result back in for the bytes that follow. */
uint32_t nrl_crc32(uint32_t crc, const uint8_t *bytes, size_t length);

#ifdef __cplusplus
}
#endif

#endif
