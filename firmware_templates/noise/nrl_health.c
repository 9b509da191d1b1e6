/*
 * nrl_health.c: the continuous health tests of NIST SP 800-90B.
 */
#include "nrl_health.h"

#include "nrl_project.h"

void nrl_health_start(nrl_health_t *health)
{
    health->run = 0;
    health->seen = 0;
    health->count = 0;
    health->long_seen = 0;
    health->long_ones = 0;
    health->last = 0;
    health->first = 0;
    health->last_byte = 0;
    health->byte_run = 0;
}

/* Section 4.4.1. A run raises one alarm a level, at its cut-off. */
static unsigned nrl_health_repetition(nrl_health_t *health, uint8_t bit)
{
    if (health->run == 0u || bit != health->last) {
        health->last = bit;
        health->run = 1;
    } else if (health->run <= NRL_REPETITION_HARD) {
        ++health->run; /* beyond the last cut-off the length does not matter */
    }
    if (health->run == NRL_REPETITION_HARD) {
        return NRL_HEALTH_HARD_REPETITION;
    }
    return health->run == NRL_REPETITION_SOFT ? NRL_HEALTH_SOFT_REPETITION : 0u;
}

/* Section 4.4.2. A window raises one alarm a level, at the bit that reaches the cut-off. */
static unsigned nrl_health_proportion(nrl_health_t *health, uint8_t bit)
{
    unsigned alarm = 0;

    if (health->seen == 0u) {
        health->first = bit;
        health->count = 0;
    }
    if (bit == health->first) {
        ++health->count;
        if (health->count == NRL_PROPORTION_HARD) {
            alarm = NRL_HEALTH_HARD_PROPORTION;
        } else if (health->count == NRL_PROPORTION_SOFT) {
            alarm = NRL_HEALTH_SOFT_PROPORTION;
        }
    }
    ++health->seen;
    if (health->seen == NRL_HEALTH_WINDOW) {
        health->seen = 0;
    }
    return alarm;
}

/* The repetition count over bytes, which finds a period of 2, 4 or 8 bits. */
static unsigned nrl_health_bytes(nrl_health_t *health, uint8_t byte)
{
    if (health->byte_run == 0u || byte != health->last_byte) {
        health->last_byte = byte;
        health->byte_run = 1;
    } else if (health->byte_run <= NRL_BYTES_HARD) {
        ++health->byte_run;
    }
    if (health->byte_run == NRL_BYTES_HARD) {
        return NRL_HEALTH_HARD_BYTES;
    }
    return health->byte_run == NRL_BYTES_SOFT ? NRL_HEALTH_SOFT_BYTES : 0u;
}

/* Which cut-off a count has come to, of bits of a byte that had not come to it before. */
static unsigned nrl_health_reached(uint32_t before, uint32_t after)
{
    if (before < NRL_SHARE_HARD && after >= NRL_SHARE_HARD) {
        return NRL_HEALTH_HARD_SHARE;
    }
    return before < NRL_SHARE_SOFT && after >= NRL_SHARE_SOFT ? NRL_HEALTH_SOFT_SHARE : 0u;
}

/* The share of ones and of zeros in a long window, which raises one alarm a level. */
static unsigned nrl_health_share(nrl_health_t *health, unsigned ones)
{
    const uint32_t seen = 8u * (uint32_t)health->long_seen;
    const uint32_t before = health->long_ones;
    const uint32_t after = before + ones;
    const unsigned alarms = nrl_health_reached(before, after) | nrl_health_reached(seen - before, seen + 8u - after);

    ++health->long_seen;
    health->long_ones = (uint16_t)after;
    if (health->long_seen == NRL_HEALTH_LONG_WINDOW_BYTES) {
        health->long_seen = 0;
        health->long_ones = 0;
    }
    return alarms;
}

unsigned nrl_health_test(nrl_health_t *health, uint8_t byte)
{
    unsigned alarms = nrl_health_bytes(health, byte);
    unsigned ones = 0;

    for (unsigned i = 0; i < 8u; ++i) {
        const uint8_t bit = (uint8_t)(((unsigned)byte >> i) & 1u);

        alarms |= nrl_health_repetition(health, bit) | nrl_health_proportion(health, bit);
        ones += bit;
    }
    return alarms | nrl_health_share(health, ones);
}

unsigned nrl_health_running(const nrl_health_t *health)
{
    return (health->run >= NRL_REPETITION_SOFT ? NRL_HEALTH_SOFT_REPETITION : 0u) |
           (health->byte_run >= NRL_BYTES_SOFT ? NRL_HEALTH_SOFT_BYTES : 0u);
}
