/*
 * nrl_generator_rp2350.c: the RP2350's random number generator (RP2350 Datasheet 12.12), with all of its own checks on.
 *
 * It collects 192 bits from a ring oscillator, through a von Neumann corrector. Of its checks, two throw away what they
 * find and go on; the third, autocorrelation, stops it until it is reset.
 */
#include "nrl_port.h"
#include "nrl_rp2.h"
#include "nrl_trng.h"

#define TRNG_BASE UINT32_C(0x400f0000)
#define TRNG_STATUS NRL_REGISTER(TRNG_BASE + 0x104u)
#define TRNG_CLEAR NRL_REGISTER(TRNG_BASE + 0x108u)
#define TRNG_CHAIN NRL_REGISTER(TRNG_BASE + 0x10cu)
#define TRNG_DATA(index) NRL_REGISTER(TRNG_BASE + 0x114u + 4u * (index))
#define TRNG_ENABLE NRL_REGISTER(TRNG_BASE + 0x12cu)
#define TRNG_SAMPLE_CLOCKS NRL_REGISTER(TRNG_BASE + 0x130u)
#define TRNG_BYPASSES NRL_REGISTER(TRNG_BASE + 0x138u)
#define TRNG_SOFT_RESET NRL_REGISTER(TRNG_BASE + 0x140u)
#define STATUS_VALID (1u << 0)
#define STATUS_AUTOCORRELATION (1u << 1)
#define STATUS_SKIPPED (1u << 2 | 1u << 3)
#define DATA_WORDS 6u
/* Oscillator and samples as section 12.12.2 advises for good bits: about two milliseconds for 192 of them. */
#define CHAIN_LENGTH 1u
#define SAMPLE_CLOCKS 25u

/* Ten times what 192 bits take on the average. */
#define BLOCK_LIMIT_MICROSECONDS 20000u
/* The bound of that wait, in turns of a loop, should the clock stand still. */
#define BLOCK_TURNS UINT32_C(1000000)
/* Resets in a row after which its noise is taken for wrong. */
#define RESETS_IN_A_ROW 4u

static uint32_t words[DATA_WORDS];
static unsigned left; /* bytes of them that nobody has taken */
static nrl_trng_health_t health;

void nrl_generator_start(void)
{
    nrl_leave_reset(RESET_TRNG);
    TRNG_SOFT_RESET = 1u;
    TRNG_SOFT_RESET = 0u;
    TRNG_CHAIN = CHAIN_LENGTH;
    TRNG_SAMPLE_CLOCKS = SAMPLE_CLOCKS;
    TRNG_BYPASSES = 0;
    TRNG_ENABLE = 1u;
    left = 0;
}

/* The next 192 bits. */
static nrl_trng_health_t nrl_generator_block(void)
{
    const uint32_t since = TIMER_MICROSECONDS;
    unsigned resets = 0;
    bool is_new = false;

    for (uint32_t i = 0;; ++i) {
        const uint32_t status = TRNG_STATUS;

        if ((status & STATUS_AUTOCORRELATION) != 0u) {
            if (++resets > RESETS_IN_A_ROW) {
                return NRL_TRNG_SEED;
            }
            nrl_generator_start();
        } else if ((status & STATUS_VALID) != 0u) {
            break;
        }
        TRNG_CLEAR = status & STATUS_SKIPPED;
        if (TIMER_MICROSECONDS - since > BLOCK_LIMIT_MICROSECONDS || i > BLOCK_TURNS) {
            return NRL_TRNG_SILENT;
        }
    }
    /* Reading the last word begins the next block. */
    for (unsigned i = 0; i < DATA_WORDS; ++i) {
        const uint32_t word = TRNG_DATA(i);

        is_new = is_new || word != words[i];
        words[i] = word;
    }
    TRNG_CLEAR = STATUS_VALID;
    left = sizeof(words);
    return is_new ? NRL_TRNG_HEALTHY : NRL_TRNG_CONSTANT;
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    for (uint16_t i = 0; i < length; ++i) {
        unsigned at;

        if (left == 0u) {
            health = nrl_generator_block();
            if (health != NRL_TRNG_HEALTHY) {
                left = 0;
                return false;
            }
        }
        at = (unsigned)sizeof(words) - left--;
        bytes[i] = (uint8_t)(words[at / 4u] >> (8u * (at % 4u)));
    }
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return (uint8_t)health;
}

void nrl_port_entropy_restart(void)
{
    nrl_generator_start();
}
