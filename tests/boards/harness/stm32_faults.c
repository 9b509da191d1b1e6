/*
 * stm32_faults.c: the port of an STM32F4, STM32L4 or STM32G4 against oscillators and a generator that misbehave as told.
 *
 * usage: program OSCILLATOR PLL STATUS STATUS_AFTER_RESTART WORD...
 *     OSCILLATOR (an F4's crystal, the 16 MHz of the others) and PLL: 1 where it starts; the statuses: what RNG_SR reads; the words: what RNG_DR gives, again and again.
 * prints: the core's Hz as the system timer is told, the UART's divider, health after start-up, then whether 8 bytes were
 * read, health, the bytes, and how often the generator was started.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nrl_cpu.h"
#include "nrl_port.h"

#if defined(STM32F4)
#define RCC_CR 0x40023800u
#define RCC_CFGR 0x40023808u
#define USART_BRR 0x40011008u
#define ALWAYS_ON 0x83u /* the 16 MHz */
#define OSCILLATOR 16u
#define OSCILLATOR_READY 17u
#define SOURCES_READY(crystal, pll) (1u | (crystal) << 1 | (pll) << 2)
#else
#define RCC_CR 0x40021000u
#define RCC_CFGR 0x40021008u
#define USART_BRR 0x4000440cu
#define ALWAYS_ON 0x63u /* the L4's 4 MHz; a G4 has none, and minds no such bits */
#define OSCILLATOR 8u
#define OSCILLATOR_READY 10u
#define SOURCES_READY(oscillator, pll) (1u | (oscillator) << 1 | (pll) << 3)
#endif
#define RNG_CR 0x50060800u
#define RNG_SR 0x50060804u
#define RNG_DR 0x50060808u

static struct {
    uint32_t address;
    volatile uint32_t value;
} registers[64];

static uint32_t oscillator, pll, status_after_restart, timer_hz;
static unsigned starts;
static char **words;
static int word_count, next_word;

static volatile uint32_t *plain_register(uint32_t address)
{
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); ++i) {
        if (registers[i].address == address || registers[i].address == 0) {
            registers[i].address = address;
            return &registers[i].value;
        }
    }
    abort();
}

volatile uint32_t *fake_register(uint32_t address)
{
    volatile uint32_t *word = plain_register(address);

    if (address == RCC_CR) {
        /* What was switched on is ready at once, or never. */
        *word = ALWAYS_ON | (*word & (1u << OSCILLATOR | 1u << 24)) |
                (*word & 1u << OSCILLATOR && oscillator ? 1u << OSCILLATOR_READY : 0u) |
                (*word & 1u << 24 && pll ? 1u << 25 : 0u);
    } else if (address == RCC_CFGR) {
        /* A source that is not ready is not switched to. */
        if ((SOURCES_READY(oscillator, pll) >> (*word & 3u) & 1u) != 0u) {
            *word = (*word & ~(3u << 2)) | (*word & 3u) << 2;
        }
    } else if (address == RNG_CR) {
        if (++starts > 1) {
            *plain_register(RNG_SR) = status_after_restart;
        }
    } else if (address == RNG_DR) {
        *word = (uint32_t)strtoul(words[next_word++ % word_count], NULL, 0);
    }
    return word;
}

void nrl_systick_start(uint32_t hz)
{
    timer_hz = hz;
}

uint32_t nrl_systick_milliseconds(void)
{
    return 0;
}

int main(int argc, char **argv)
{
    uint8_t bytes[8] = {0};
    bool drawn;

    if (argc < 6) {
        return 2;
    }
    oscillator = (uint32_t)strtoul(argv[1], NULL, 0);
    pll = (uint32_t)strtoul(argv[2], NULL, 0);
    *plain_register(RNG_SR) = (uint32_t)strtoul(argv[3], NULL, 0);
    status_after_restart = (uint32_t)strtoul(argv[4], NULL, 0);
    words = argv + 5;
    word_count = argc - 5;
    if (!nrl_port_init(0, NULL)) {
        return 1;
    }
    printf("%lu %lu %u ", (unsigned long)timer_hz, (unsigned long)*plain_register(USART_BRR), nrl_port_entropy_health());
    drawn = nrl_port_entropy_read(NULL, bytes, sizeof(bytes));
    printf("%d %u ", drawn, nrl_port_entropy_health());
    for (size_t i = 0; i < sizeof(bytes); ++i) {
        printf("%02x", bytes[i]);
    }
    printf(" %u\n", starts);
    return 0;
}
