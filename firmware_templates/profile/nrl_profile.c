/*
 * nrl_profile.c: adds up the counts between marks.
 */
#include "nrl_profile.h"

#include "nrl_measure.h"

/* More than one mark, as a counter may be coarser than an instruction; written out, as a loop would count too. */
#define NRL_CALIBRATION_MARKS 16u
#define NRL_FOUR_TIMES(what) what, what, what, what

static nrl_profile_call_t running;
static nrl_profile_call_t last;
static uint32_t since; /* the counter at the last mark */
static uint16_t mark_cost;
static uint8_t current;
static uint8_t is_open;

static void nrl_profile_clear(nrl_profile_call_t *call)
{
    for (uint8_t phase = 0; phase < (uint8_t)NRL_PHASES; ++phase) {
        call->counts[phase] = 0;
        call->marks[phase] = 0;
    }
}

void nrl_profile_mark(uint8_t phase)
{
    const uint32_t now = nrl_measure_cycles();

    running.counts[current] += now - since;
    if (running.marks[current] != UINT8_MAX) {
        ++running.marks[current];
    }
    current = phase;
    since = now;
}

void nrl_profile_start(void)
{
    nrl_measure_start();
    nrl_profile_clear(&running);
    nrl_measure_hold_interrupts(true);
    current = (uint8_t)NRL_PHASE_LINK;
    since = nrl_measure_cycles();
    /* The first one ends what is no mark. */
    nrl_profile_mark((uint8_t)NRL_PHASE_OTHER);
    NRL_FOUR_TIMES(NRL_FOUR_TIMES(nrl_profile_mark((uint8_t)NRL_PHASE_OTHER)));
    nrl_measure_hold_interrupts(false);
    mark_cost = (uint16_t)((running.counts[NRL_PHASE_OTHER] + NRL_CALIBRATION_MARKS / 2u) / NRL_CALIBRATION_MARKS);
    nrl_profile_clear(&running);
}

void nrl_profile_begin(void)
{
    nrl_profile_clear(&running);
    current = (uint8_t)NRL_PHASE_LINK;
    is_open = 1;
    nrl_measure_hold_interrupts(true);
    since = nrl_measure_cycles();
}

void nrl_profile_end(void)
{
    if (is_open == 0u) {
        return;
    }
    nrl_profile_mark((uint8_t)NRL_PHASE_LINK);
    nrl_measure_hold_interrupts(false);
    is_open = 0;
    /* Other requests leave the last step to be read. */
    if (running.marks[NRL_PHASE_OTHER] != 0u) {
        last = running;
    }
}

const nrl_profile_call_t *nrl_profile_last(void)
{
    return &last;
}

uint16_t nrl_profile_mark_cost(void)
{
    return mark_cost;
}
