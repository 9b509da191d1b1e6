/*
 * nrl_rng_stm32.c: the random number generator of STM32F4, STM32L4 and STM32G4, and how it is brought back after an error.
 *
 * Registers and recovery: ST RM0090, RM0351, RM0394 and RM0440, chapter RNG; all have the block at the same address. Parts
 * whose generator has a CONDRST bit (STM32L4P5, L5, WL, U5) recover in another way and are not served here.
 */
#include <stddef.h>

#include "nrl_port.h"
#include "nrl_stm32.h"
#include "nrl_trng.h"

#define RNG_BASE UINT32_C(0x50060800)
#define RNG_CONTROL NRL_REGISTER(RNG_BASE + 0x00u)
#define RNG_STATUS NRL_REGISTER(RNG_BASE + 0x04u)
#define RNG_DATA NRL_REGISTER(RNG_BASE + 0x08u)
#define RNG_ON (1u << 2)
#define RNG_READY (1u << 0)
#define RNG_CLOCK_ERROR_NOW (1u << 1)
#define RNG_SEED_ERROR_NOW (1u << 2)
#define RNG_CLOCK_ERROR (1u << 5)
#define RNG_SEED_ERROR (1u << 6)
/* Words to throw away after a seed error: they come from the noise that was wrong. */
#define RNG_DISCARD 12u

#define RNG_TURNS 2000u /* some ten thousand cycles; a number takes 40 of 48 MHz */

static uint32_t last_word;
static nrl_trng_health_t health;

/* Wait for a number, whatever else the status says, and throw it away. */
static bool nrl_rng_discard(void)
{
    if (!nrl_wait_for(&RNG_STATUS, RNG_READY, RNG_READY, RNG_TURNS)) {
        return false;
    }
    (void)RNG_DATA;
    return true;
}

/* After a seed error: start again, and see whether the noise is good now. */
static bool nrl_rng_recover(void)
{
    RNG_STATUS = 0; /* clears both latched errors */
    RNG_CONTROL = 0;
    RNG_CONTROL = RNG_ON;
    for (uint32_t i = 0; i < RNG_DISCARD; ++i) {
        if (!nrl_rng_discard()) {
            return false;
        }
    }
    return (RNG_STATUS & (RNG_SEED_ERROR | RNG_SEED_ERROR_NOW)) == 0u;
}

static nrl_trng_health_t nrl_rng_word(uint32_t *word)
{
    const bool seed_error = (RNG_STATUS & (RNG_SEED_ERROR | RNG_SEED_ERROR_NOW)) != 0u;

    if (seed_error && !nrl_rng_recover()) {
        return NRL_TRNG_SEED;
    }
    if ((RNG_STATUS & RNG_CLOCK_ERROR_NOW) != 0u) {
        return NRL_TRNG_CLOCK;
    }
    if (!nrl_wait_for(&RNG_STATUS, RNG_READY, RNG_READY, RNG_TURNS)) {
        return NRL_TRNG_SILENT;
    }
    *word = RNG_DATA;
    if ((RNG_STATUS & (RNG_SEED_ERROR | RNG_SEED_ERROR_NOW)) != 0u) {
        return NRL_TRNG_SEED;
    }
    /* A ready flag alone proves nothing: a generator that is not clocked gives 0, a dead one the same word again. */
    if (*word == 0u || *word == last_word) {
        return NRL_TRNG_CONSTANT;
    }
    last_word = *word;
    return NRL_TRNG_HEALTHY;
}

void nrl_rng_start(void)
{
    uint32_t ignored;

    RNG_CONTROL = RNG_ON;
    /* The first word tells only what the second must not be; and health is known before anybody draws. */
    health = nrl_rng_word(&ignored);
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    uint32_t word = 0;

    (void)context;
    for (uint16_t i = 0; i < length; ++i) {
        if ((i & 3u) == 0u) {
            health = nrl_rng_word(&word);
            if (health != NRL_TRNG_HEALTHY) {
                return false;
            }
        }
        bytes[i] = (uint8_t)word;
        word >>= 8;
    }
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return (uint8_t)health;
}

void nrl_port_entropy_restart(void)
{
    /* The next word is compared with the first one after the start. */
    if (nrl_rng_recover()) {
        uint32_t ignored;

        (void)nrl_rng_word(&ignored);
    }
}
