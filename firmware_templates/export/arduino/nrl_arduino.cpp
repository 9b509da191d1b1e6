/*
 * nrl_arduino.cpp: noise for boards without a random number generator.
 */
#ifdef ARDUINO

#include "nrl_arduino.h"

#include <Arduino.h>

#include "nrl_crc32.h"

#if defined(__AVR__) && defined(WDTCSR)
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>
#define NRL_SEED_BY_WATCHDOG 1
#else
#define NRL_SEED_BY_WATCHDOG 0
#endif

/* Each of the four words of a seed is the CRC-32 of so many samples. */
#define SAMPLES_A_WORD 16u
/* Numbers thrown away, so that the words are mixed with each other. */
#define MIXING_TURNS 16u

#if NRL_SEED_BY_WATCHDOG

static uint8_t saved_control_a;
static uint8_t saved_control_b;

/* Timer 1 counts clock cycles; the watchdog raises its flag every 16 ms. Nothing is interrupted meanwhile. */
static void start_watching(void)
{
    cli();
    saved_control_a = TCCR1A;
    saved_control_b = TCCR1B;
    TCCR1A = 0;
    TCCR1B = _BV(CS10);
    wdt_reset();
    WDTCSR = _BV(WDCE) | _BV(WDE);
    WDTCSR = _BV(WDIF) | _BV(WDIE);
}

static void stop_watching(void)
{
    wdt_reset();
    MCUSR &= (uint8_t)~_BV(WDRF);
    WDTCSR = _BV(WDCE) | _BV(WDE);
    WDTCSR = 0;
    TCCR1A = saved_control_a;
    TCCR1B = saved_control_b;
    sei();
}

static uint16_t elapsed(void)
{
    while ((WDTCSR & _BV(WDIF)) == 0) {
    }
    const uint16_t cycles = TCNT1;
    WDTCSR |= _BV(WDIF);
    return cycles;
}

#else

static void start_watching(void)
{
}

static void stop_watching(void)
{
}

static uint16_t elapsed(void)
{
    return (uint16_t)micros();
}

#endif

void nrl_arduino_seed(nrl_entropy_t *entropy, uint8_t pin)
{
    uint32_t state[4];

    start_watching();
    for (uint8_t word = 0; word < 4; ++word) {
        state[word] = word + 1u;
        for (uint8_t i = 0; i < SAMPLES_A_WORD; ++i) {
            const uint16_t cycles = elapsed();
            const uint16_t level = (uint16_t)analogRead(pin);
            const uint8_t sample[4] = {(uint8_t)cycles, (uint8_t)(cycles >> 8), (uint8_t)level, (uint8_t)(level >> 8)};

            state[word] = nrl_crc32(state[word], sample, sizeof(sample));
        }
    }
    stop_watching();
    /* The one state that the generator never leaves. */
    state[0] |= (state[0] | state[1] | state[2] | state[3]) == 0 ? 1u : 0u;
    for (uint8_t i = 0; i < MIXING_TURNS; ++i) {
        (void)nrl_xoshiro128_next(state);
    }
    nrl_entropy_seed(entropy, state);
}

#endif
