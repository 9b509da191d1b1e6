/*
 * arduino_generators.c: the generators of SAM D51, i.MX RT and ESP32-C3, against registers that misbehave as told.
 *
 * usage: program FAULT WORDS [RESTARTS]
 *     FAULT: none; silent, never ready; error, always; error:N, in its first N blocks; stopped, neither numbers nor clock.
 * prints: health and word of each of WORDS reads, then counts: starts of the generator, reads of its data register, the
 * least microseconds between two of those, and whether it was read while it was not random.
 *
 * Good words count up from 0x1000. Those that the chips' manuals say to throw away, or that come while the generator is not
 * clocked, not on or not random, are 0xbad00000.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_generator.h"
#include "nrl_registers.h"

#define BAD UINT32_C(0xbad00000)

static const char *fault;
static uint32_t microseconds, last_read, least_gap = UINT32_MAX;
static uint32_t good = 0x1000;
static unsigned starts, reads, errors_left;
static int read_while_bad;
static volatile uint32_t words[32];
static uint32_t addresses[32];

static volatile uint32_t *plain(uint32_t address)
{
    for (unsigned i = 0; i < 32u; ++i) {
        if (addresses[i] == address || addresses[i] == 0u) {
            addresses[i] = address;
            return &words[i];
        }
    }
    abort();
}

uint32_t nrl_microseconds(void)
{
    return strcmp(fault, "stopped") == 0 ? microseconds : ++microseconds;
}

#if defined(SAMD51) || defined(IMXRT)
static int never_ready(void)
{
    return strcmp(fault, "silent") == 0 || strcmp(fault, "stopped") == 0;
}
#endif

static void note_read(int is_good)
{
    ++reads;
    if (reads > 1u && microseconds - last_read < least_gap) {
        least_gap = microseconds - last_read;
    }
    last_read = microseconds;
    read_while_bad |= !is_good;
}

#if defined(SAMD51)
#define APBC_MASK 0x4000081cu
#define CONTROL 0x42002800u
#define FLAGS 0x4200280au
#define DATA 0x42002820u

volatile uint32_t *fake_register(uint32_t address)
{
    static unsigned polls;
    volatile uint32_t *const word = plain(address);
    const int runs = (*plain(APBC_MASK) & 1u << 10) != 0u && (*plain(CONTROL) & 2u) != 0u;

    if (address == FLAGS) {
        /* Ready at every third look. */
        *word = runs && !never_ready() && ++polls % 3u == 0u;
    } else if (address == DATA) {
        note_read(runs && polls % 3u == 0u);
        *word = runs ? good++ : BAD;
    } else if (address == CONTROL) {
        ++starts;
    }
    return word;
}

#elif defined(IMXRT)
#define GATES 0x400fc080u
#define CONTROL 0x400cc000u
#define ENTROPY 0x400cc040u

static uint32_t last_access, shown;
static int runs, has_block, is_first, in_error;
static unsigned polls;

/* Whether a block is there, some looks after it was begun. */
static void settle(void)
{
    if (last_access == CONTROL && *plain(CONTROL) != shown) {
        const uint32_t written = *plain(CONTROL);

        if ((written & 1u << 16) != 0u && (written & 1u << 6) != 0u) {
            runs = has_block = in_error = 0;
            is_first = 1;
            ++starts;
        } else if ((written & 1u << 16) == 0u) {
            runs = (*plain(GATES) & 3u << 12) == 3u << 12 && *plain(0x400cc01cu) >= 30000u;
            polls = 0;
        }
    } else if (last_access == ENTROPY + 60u) {
        has_block = 0;
        polls = 0;
    }
    last_access = 0;
}

volatile uint32_t *fake_register(uint32_t address)
{
    volatile uint32_t *word;

    settle();
    word = plain(address);
    last_access = address;
    if (address == CONTROL) {
        if (runs && !has_block && !in_error && !never_ready() && ++polls == 5u) {
            if (strcmp(fault, "error") == 0 || errors_left != 0u) {
                errors_left -= errors_left != 0u;
                in_error = 1;
            } else {
                has_block = 1;
                if (!is_first) {
                    good = (good + 0xfu) & ~0xfu;
                }
            }
        }
        /* "May be stopped", which nobody writes, tells what was shown from what was written. */
        shown = (has_block ? 1u << 10 : 0u) | (in_error ? 1u << 12 : 0u) | 1u << 13 | 2u;
        *word = shown;
    } else if (address >= ENTROPY && address < ENTROPY + 64u) {
        note_read(has_block);
        *word = !has_block || is_first ? BAD : good++;
        if (address == ENTROPY + 60u) {
            is_first = 0;
        }
    }
    return word;
}

#else
#include "bootloader_random.h"

static int is_random;

void bootloader_random_enable(void)
{
    ++starts;
    is_random = 1;
}

void bootloader_random_disable(void)
{
    is_random = 0;
}

volatile uint32_t *fake_register(uint32_t address)
{
    volatile uint32_t *const word = plain(address);

    if (address != 0x600260b0u) {
        abort();
    }
    note_read(is_random);
    *word = is_random ? good++ : BAD;
    return word;
}
#endif

int main(int argc, char **argv)
{
    const unsigned wanted = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 0u;

    fault = argc > 1 ? argv[1] : "none";
    if (strncmp(fault, "error:", 6) == 0) {
        errors_left = (unsigned)strtoul(fault + 6, NULL, 0);
    }
    nrl_generator_start();
    for (unsigned i = 0; i < wanted; ++i) {
        uint32_t word = 0;
        const nrl_trng_health_t health = nrl_generator_word(&word);

        printf("%d:%lx ", (int)health, (unsigned long)word);
    }
    printf("\n%u %u %lu %d\n", starts, reads, (unsigned long)(least_gap == UINT32_MAX ? 0u : least_gap), read_while_bad);
    return 0;
}
