/*
 * nrl_session.h: numbers that differ from boot to boot, without a generator.
 */
#ifndef NRL_SESSION_H
#define NRL_SESSION_H

#include <stdint.h>

/* Counts resets in memory that start-up leaves alone, and mixes in `time`, a fast counter that nobody has stopped. */
uint16_t nrl_session_number(uint32_t time);

#endif
