/*
 * nrl_crc32.c: CRC-32 as zlib computes it (reflected polynomial 0xedb88320).
 */
#include "nrl_crc32.h"

#include "nrl_rom.h"

/* Half a byte at a time: 64 bytes of table instead of 1024, at half the speed. */
static const uint32_t nrl_crc32_table[16] NRL_ROM = {
    UINT32_C(0x00000000), UINT32_C(0x1db71064), UINT32_C(0x3b6e20c8), UINT32_C(0x26d930ac),
    UINT32_C(0x76dc4190), UINT32_C(0x6b6b51f4), UINT32_C(0x4db26158), UINT32_C(0x5005713c),
    UINT32_C(0xedb88320), UINT32_C(0xf00f9344), UINT32_C(0xd6d6a3e8), UINT32_C(0xcb61b38c),
    UINT32_C(0x9b64c2b0), UINT32_C(0x86d3d2d4), UINT32_C(0xa00ae278), UINT32_C(0xbdbdf21c),
};

uint32_t nrl_crc32(uint32_t crc, const uint8_t *bytes, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; ++i) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ NRL_ROM_READ_U32(&nrl_crc32_table[crc & 15u]);
        crc = (crc >> 4) ^ NRL_ROM_READ_U32(&nrl_crc32_table[crc & 15u]);
    }
    return ~crc;
}
