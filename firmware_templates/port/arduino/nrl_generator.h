/*
 * nrl_generator.h: a chip's random number generator. Arduino's interface has none: a file for each family implements it.
 */
#ifndef NRL_GENERATOR_H
#define NRL_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_trng.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Start it, or start it again. */
void nrl_generator_start(void);

/* Its next 32 bits. All waits are bounded. */
nrl_trng_health_t nrl_generator_word(uint32_t *word);

/* Of the port: a clock of microseconds that wraps around at 2^32. */
uint32_t nrl_microseconds(void);

#ifdef __cplusplus
}
#endif

#endif
