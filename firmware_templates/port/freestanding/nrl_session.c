/*
 * nrl_session.c: a count of resets in memory that no start-up code writes.
 */
#include "nrl_session.h"

/* After power-on the count is whatever the memory holds, which will do: it only has to change at a reset. */
static uint32_t resets __attribute__((section(".noinit")));

uint16_t nrl_session_number(uint32_t time)
{
    uint32_t mixed;

    ++resets;
    /* An odd factor near 2^32 / golden ratio spreads neighbouring numbers apart. */
    mixed = (resets ^ (time << 16) ^ (time >> 16) ^ time) * UINT32_C(0x9e3779b1);
    return (uint16_t)(mixed >> 16);
}
