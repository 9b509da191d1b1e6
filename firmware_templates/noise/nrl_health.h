/*
 * nrl_health.h: the continuous health tests of NIST SP 800-90B, section 4.4, over the raw bits of a generator, and two
 * more.
 *
 * Both count how often one value comes: the repetition count in a row, the adaptive proportion in a window of 1024 bits
 * (of the value that the window begins with). Neither sees bits that alternate, so equal bytes in a row are counted too;
 * and neither sees a bias of 60 %, so ones and zeros are counted in a window of 65,536. What is too often is in
 * nrl_project.h, at two levels: the soft one is reached by a healthy generator about once a week, the hard one practically
 * never. docs/noise.md has the formulas.
 */
#ifndef NRL_HEALTH_H
#define NRL_HEALTH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_HEALTH_WINDOW 1024u       /* bits of a window of the adaptive proportion test */
#define NRL_HEALTH_LONG_WINDOW_BYTES 8192u /* of the window in which ones and zeros are counted */
#define NRL_HEALTH_START_UP_BYTES 128u /* 1024 bits have to pass before any is used (section 4.3) */

/* Alarms of some bits, together; 0: none. */
#define NRL_HEALTH_SOFT_REPETITION 1u
#define NRL_HEALTH_SOFT_PROPORTION 2u
#define NRL_HEALTH_HARD_REPETITION 4u
#define NRL_HEALTH_HARD_PROPORTION 8u
#define NRL_HEALTH_SOFT_BYTES 16u
#define NRL_HEALTH_HARD_BYTES 32u
#define NRL_HEALTH_SOFT_SHARE 64u
#define NRL_HEALTH_HARD_SHARE 128u
#define NRL_HEALTH_HARD \
    (NRL_HEALTH_HARD_REPETITION | NRL_HEALTH_HARD_PROPORTION | NRL_HEALTH_HARD_BYTES | NRL_HEALTH_HARD_SHARE)

typedef struct nrl_health {
    uint16_t run;    /* equal bits in a row */
    uint16_t seen;   /* bits of the window */
    uint16_t count;  /* those of them that equal its first */
    uint16_t long_seen; /* bytes of the long window */
    uint16_t long_ones; /* ones of them */
    uint8_t last;    /* the bit before */
    uint8_t first;   /* the first bit of the window */
    uint8_t last_byte;
    uint8_t byte_run; /* equal bytes in a row */
} nrl_health_t;

/* Begin: no bit has been seen. */
void nrl_health_start(nrl_health_t *health);

/* Take the bits of a byte, the lowest first, and return the alarms that they raise. */
unsigned nrl_health_test(nrl_health_t *health, uint8_t byte);

/* The soft alarms of runs that have reached a soft cut-off and are still going on; 0: none. */
unsigned nrl_health_running(const nrl_health_t *health);

#ifdef __cplusplus
}
#endif

#endif
