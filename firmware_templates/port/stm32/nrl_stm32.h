/*
 * nrl_stm32.h: what ports to ST's STM32 share: bounded waits, pins, the random number generator.
 */
#ifndef NRL_STM32_H
#define NRL_STM32_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_cpu.h"

/* Wait until `mask` of a register is `value`, for at most so many turns of the loop. False: it is not. */
static inline bool nrl_wait_for(volatile uint32_t *word, uint32_t mask, uint32_t value, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; ++i) {
        if ((*word & mask) == value) {
            return true;
        }
    }
    return false;
}

/* Registers of a GPIO port, which all families have at the same distances. */
#define NRL_GPIO_MODE(gpio) NRL_REGISTER((gpio) + 0x00u)
#define NRL_GPIO_PULL(gpio) NRL_REGISTER((gpio) + 0x0cu)
#define NRL_GPIO_FUNCTION(gpio, pin) NRL_REGISTER((gpio) + 0x20u + 4u * ((pin) / 8u))
#define NRL_GPIO_ALTERNATE 2u
#define NRL_GPIO_PULL_UP 1u

/* Give a pin to one of its alternate functions, pulled up: a line that nobody drives is quiet. */
static inline void nrl_pin_to_function(uint32_t gpio, uint32_t pin, uint32_t function)
{
    NRL_GPIO_FUNCTION(gpio, pin) =
        (NRL_GPIO_FUNCTION(gpio, pin) & ~(15u << (pin % 8u * 4u))) | function << (pin % 8u * 4u);
    NRL_GPIO_PULL(gpio) = (NRL_GPIO_PULL(gpio) & ~(3u << (pin * 2u))) | NRL_GPIO_PULL_UP << (pin * 2u);
    NRL_GPIO_MODE(gpio) = (NRL_GPIO_MODE(gpio) & ~(3u << (pin * 2u))) | NRL_GPIO_ALTERNATE << (pin * 2u);
}

/* Start the generator, whose clocks run already, and learn its health. nrl_rng_stm32.c has the rest of it. */
void nrl_rng_start(void);

#endif
