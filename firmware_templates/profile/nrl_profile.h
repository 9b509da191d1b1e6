/*
 * nrl_profile.h: what the last call of nrl_agent_step cost, phase by phase.
 *
 * The marks of nrl_mark.h call nrl_profile_begin, _mark and _end. Between a request's last byte and its reply every count
 * belongs to one phase, and interrupts are kept back. A mark costs something itself, partly in the phase before it and
 * partly in the one behind it: between two of them with nothing between lie `mark_cost` counts, always the same, so whoever
 * reads takes that off once for each of `marks`.
 */
#ifndef NRL_PROFILE_H
#define NRL_PROFILE_H

#include <stdint.h>

#include "nrl_mark.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nrl_profile_call {
    uint32_t counts[NRL_PHASES];
    uint8_t marks[NRL_PHASES]; /* times that a phase was left; stops at 255 */
} nrl_profile_call_t;

/* The last call that was counted. */
const nrl_profile_call_t *nrl_profile_last(void);

uint16_t nrl_profile_mark_cost(void);

#ifdef __cplusplus
}
#endif

#endif
