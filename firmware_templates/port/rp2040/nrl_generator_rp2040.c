/*
 * nrl_generator_rp2040.c: the random bit of the RP2040's ring oscillator (RP2040 Datasheet 2.17). It is biased and
 * correlated: the noise is conditioned.
 */
#include "nrl_port.h"
#include "nrl_rp2.h"
#include "nrl_trng.h"

#define ROSC_BASE UINT32_C(0x40060000)
#define ROSC_CONTROL NRL_REGISTER(ROSC_BASE + 0x00u)
#define ROSC_STATUS NRL_REGISTER(ROSC_BASE + 0x18u)
#define ROSC_RANDOM_BIT NRL_REGISTER(ROSC_BASE + 0x1cu)
#define ROSC_ENABLE (UINT32_C(0xfab) << 12)
#define ROSC_DISABLE (UINT32_C(0xd1e) << 12)
#define ROSC_STABLE (1u << 31)
#define ROSC_RANGE UINT32_C(0xfff)

/* The ring oscillator runs at some MHz: bits a microsecond apart are some of its periods apart. */
#define BIT_MICROSECONDS 1u
/* The bounds of that wait and of its start, which takes microseconds, in turns of a loop. */
#define BIT_TURNS UINT32_C(10000)
#define ROSC_TURNS UINT32_C(10000)

static nrl_trng_health_t health;

void nrl_generator_start(void)
{
    /* It runs from reset on. */
}

/* One bit, some periods of the oscillator after the one before. */
static bool nrl_rosc_bit(uint8_t *bit)
{
    const uint32_t since = TIMER_MICROSECONDS;

    for (uint32_t i = 0; i < BIT_TURNS; ++i) {
        if (TIMER_MICROSECONDS - since >= BIT_MICROSECONDS) {
            *bit = (uint8_t)(ROSC_RANDOM_BIT & 1u);
            return true;
        }
    }
    return false;
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    if (length == 0u) {
        return true;
    }
    health = NRL_TRNG_SILENT;
    if ((ROSC_STATUS & ROSC_STABLE) == 0u) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i) {
        uint8_t byte = 0;

        for (unsigned place = 0; place < 8u; ++place) {
            uint8_t bit;

            if (!nrl_rosc_bit(&bit)) {
                return false;
            }
            byte = (uint8_t)(byte | bit << place);
        }
        bytes[i] = byte;
    }
    health = NRL_TRNG_HEALTHY;
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return (uint8_t)health;
}

void nrl_port_entropy_restart(void)
{
    const uint32_t range = ROSC_CONTROL & ROSC_RANGE;

    /* The core does not run from it. */
    ROSC_CONTROL = ROSC_DISABLE | range;
    ROSC_CONTROL = ROSC_ENABLE | range;
    for (uint32_t i = 0; i < ROSC_TURNS && (ROSC_STATUS & ROSC_STABLE) == 0u; ++i) {
    }
}
