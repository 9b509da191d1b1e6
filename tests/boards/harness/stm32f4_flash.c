/*
 * stm32f4_flash.c: the STM32F4's weight store port against a model of its flash interface (RM0090).
 *
 * Flash is written through word-sized registers here, too. The model looks at what the access before has done: keys
 * unlock, a start bit erases the sector that is named, a changed word was a write, allowed only while programming, and
 * only from ones to zeros. usage: program FAULT, one of none, busy, error, locked. Prints a line a finding; "done" last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_cpu.h"
#include "nrl_nvm.h"

#define FLASH_BASE 0x40023c00u
#define ACCESS 0u
#define KEY 1u
#define STATUS 3u
#define CONTROL 4u
#define ORIGIN 0x080a0000u /* sector 9; the store has 10 and 11 */
#define SECTOR 0x20000u
#define WORDS (3u * SECTOR / 4u)

static volatile uint32_t registers[5];
static volatile uint32_t flash[WORDS];
static uint32_t shadow[WORDS];
static uint32_t last_access;
static unsigned keys;
static bool locked = true;
static unsigned busy_polls;
static unsigned erases[3];
static const char *fault;

static void finding(const char *what)
{
    printf("%s\n", what);
}

/* The effect of the access before. */
static void settle(void)
{
    if (last_access >= ORIGIN && last_access < ORIGIN + 3u * SECTOR) {
        const uint32_t index = (last_access - ORIGIN) / 4u;

        if (flash[index] != shadow[index]) {
            if (locked || (registers[CONTROL] & 1u) == 0u || (registers[CONTROL] & 3u << 8) != 2u << 8) {
                finding("a word was written while it must not be");
                flash[index] = shadow[index];
            } else {
                shadow[index] &= flash[index];
                flash[index] = shadow[index];
                busy_polls = 3;
            }
        }
    } else if (last_access == FLASH_BASE + 4u) {
        if (registers[KEY] == (keys == 0 ? 0x45670123u : 0xcdef89abu)) {
            locked = ++keys < 2u || strcmp(fault, "locked") == 0;
        }
    } else if (last_access == FLASH_BASE + 16u) {
        if ((registers[CONTROL] & 1u << 31) != 0u) {
            locked = true;
            keys = 0;
        } else if (!locked && (registers[CONTROL] & (1u << 16 | 2u)) == (1u << 16 | 2u)) {
            const uint32_t sector = registers[CONTROL] >> 3 & 0xfu;

            registers[CONTROL] &= ~(1u << 16);
            if (sector < 9u || sector > 11u) {
                finding("a sector of the program was erased");
            } else {
                ++erases[sector - 9u];
                for (uint32_t i = 0; i < SECTOR / 4u; ++i) {
                    flash[(sector - 9u) * SECTOR / 4u + i] = shadow[(sector - 9u) * SECTOR / 4u + i] = 0xffffffffu;
                }
            }
            busy_polls = 5;
        } else if (locked && (registers[CONTROL] & (1u << 16)) != 0u) {
            finding("an erase was started while locked");
        }
    } else if (last_access == FLASH_BASE) {
        if ((registers[ACCESS] & 1u << 12) != 0u && (registers[ACCESS] & 1u << 10) != 0u) {
            finding("the data cache was reset while it was on");
        }
    }
    last_access = 0;
}

volatile uint32_t *fake_register(uint32_t address)
{
    settle();
    last_access = address;
    if (address >= ORIGIN && address < ORIGIN + 3u * SECTOR && address % 4u == 0u) {
        return &flash[(address - ORIGIN) / 4u];
    }
    if (address == FLASH_BASE + 12u) {
        const bool is_busy = strcmp(fault, "busy") == 0 || busy_polls != 0;

        busy_polls -= busy_polls != 0;
        registers[STATUS] = (is_busy ? 1u << 16 : 0u) | (strcmp(fault, "error") == 0 && keys == 2u ? 1u << 4 : 0u);
    }
    if (address < FLASH_BASE || address > FLASH_BASE + 16u) {
        finding("a register that is not of the flash");
        abort();
    }
    return &registers[(address - FLASH_BASE) / 4u];
}

int main(int argc, char **argv)
{
    uint8_t bytes[32];
    uint8_t found[32];
    bool erased;
    bool written;

    fault = argc > 1 ? argv[1] : "none";
    for (uint32_t i = 0; i < WORDS; ++i) {
        flash[i] = shadow[i] = 0x12345678u;
    }
    registers[ACCESS] = 1u << 10;
    for (unsigned i = 0; i < sizeof(bytes); ++i) {
        bytes[i] = (uint8_t)(7u * i + 1u);
    }
    erased = nrl_port_nvm_erase(SECTOR);
    written = erased && nrl_port_nvm_write(SECTOR + 64u, bytes, sizeof(bytes));
    settle();
    nrl_port_nvm_read(SECTOR + 64u, found, sizeof(found));
    settle();
    printf("erased %d written %d equal %d locked %d erases %u %u %u cache %d\n", erased, written,
           memcmp(bytes, found, sizeof(bytes)) == 0, locked, erases[0], erases[1], erases[2],
           (registers[ACCESS] & 1u << 10) != 0u);
    return 0;
}
