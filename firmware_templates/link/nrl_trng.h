/*
 * nrl_trng.h: what is wrong with a hardware generator, as its port or the health tests of its noise find.
 */
#ifndef NRL_TRNG_H
#define NRL_TRNG_H

typedef enum {
    NRL_TRNG_HEALTHY = 0,
    NRL_TRNG_ABSENT = 1,     /* this chip has no generator */
    NRL_TRNG_SILENT = 2,     /* no number came in time: dead, not clocked or not there */
    NRL_TRNG_CLOCK = 3,      /* the generator says that its clock is wrong */
    NRL_TRNG_SEED = 4,       /* the generator says that its noise is wrong, and starting it again did not help */
    NRL_TRNG_CONSTANT = 5,   /* numbers that no generator gives, one after the other */
    NRL_TRNG_REPETITION = 6, /* health test: one bit came too often in a row */
    NRL_TRNG_PROPORTION = 7, /* health test: one bit came too often in a window, short or long */
    NRL_TRNG_PERIOD = 8      /* health test: one byte came too often in a row */
} nrl_trng_health_t;

#endif
