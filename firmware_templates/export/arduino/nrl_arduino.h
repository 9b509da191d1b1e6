/*
 * nrl_arduino.h: noise for boards without a random number generator, by means of Arduino.
 *
 *   nrl_arduino_seed   seeds an agent's generator from what differs from start to start
 *
 * On AVR chips the watchdog's oscillator and the crystal run against each other: 64 ticks of 16 ms are timed in clock cycles,
 * and the lowest bits of an analog pin are read besides. Other chips have the pin and the microseconds that reading takes.
 * It takes a second on AVR, with interrupts off, so call it first in setup().
 *
 * What comes of it is a seed, not noise: it chooses one life of the agent. It has not been measured how many bits of it are
 * unpredictable; for keys it is not fit. A board that has a random number generator should use that (nrl_entropy_use).
 */
#ifndef NRL_ARDUINO_H
#define NRL_ARDUINO_H

#include <stdint.h>

#include "nrl_entropy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `pin` is an analog pin with nothing connected, such as A5. The entropy is then in seeded mode. */
void nrl_arduino_seed(nrl_entropy_t *entropy, uint8_t pin);

#ifdef __cplusplus
}
#endif

#endif
