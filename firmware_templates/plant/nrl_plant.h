/*
 * nrl_plant.h: a plant behind a serial line: something that a learner on the host acts upon (docs/plant.md).
 *
 *     nrl_plant_init(plant, config)   once, after the port was initialised
 *     nrl_plant_poll(plant)           again and again: answers the host, keeps time, looks after safety
 *
 * Lock step (the host asks for a period of 0): the plant's time goes on by one step with each action, and stands still
 * between. Real time: the plant goes on by one step each period, whether or not an action came; one that came in time is
 * used from the next step on, and answered when that is done. A period without an action of its own is a missed
 * deadline: the last action holds, and it is counted. Where no action comes for longer than the host's time-out, in either
 * mode, the plant calls stop, does nothing more until the next reset, and says so.
 */
#ifndef NRL_PLANT_H
#define NRL_PLANT_H

#include <stdbool.h>
#include <stdint.h>

#include "nrl_server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* PLANT_STATE, flags. */
#define NRL_PLANT_TERMINATED 1u
#define NRL_PLANT_TRUNCATED 2u
#define NRL_PLANT_STOPPED 4u
/* PLANT_HELLO_REPLY, safe_action: the plant has none, and stops by other means. */
#define NRL_PLANT_NO_SAFE_ACTION 255u
/* Observation values that PLANT_STATE has room for. */
#define NRL_PLANT_LARGEST_INPUTS 8

typedef struct nrl_plant_config {
    const char *name;              /* ASCII, at most 16 characters */
    uint8_t observation_frac_bits; /* of observations and their bounds */
    uint8_t reward_frac_bits;
    uint8_t safe_action; /* what stop does, where that is an action; else NRL_PLANT_NO_SAFE_ACTION */
    uint32_t time_limit; /* steps after which an episode is truncated; 0: none */
    int32_t low[NRL_INPUTS];
    int32_t high[NRL_INPUTS];
    /* Begin an episode; where chance has a part in it, by this seed (31 bits). */
    void (*reset)(void *context, uint32_t seed);
    /* One step with an action, 0..NRL_ACTIONS-1. Returns its reward; `terminated` is false before the call. */
    int32_t (*step)(void *context, int action, bool *terminated);
    void (*observe)(void *context, int32_t observation[NRL_INPUTS]);
    /* Go to a safe state and stay there: the host has fallen silent. */
    void (*stop)(void *context);
    void *context;
} nrl_plant_config_t;

typedef struct nrl_plant {
    nrl_server_t server; /* the first member: nrl_server_execute finds the plant by it */
    const nrl_plant_config_t *config;
    uint32_t step;      /* steps of the episode */
    uint32_t missed;    /* of them, those with an action that was held over */
    uint32_t due_ms;    /* real time: when the next step is to be taken */
    uint32_t action_ms; /* when the last action, or the reset, came */
    int32_t reward;     /* earned since the host was last told */
    uint16_t period_ms; /* 0: lock step */
    uint16_t timeout_ms;
    uint8_t action; /* that is held */
    uint8_t flags;
    bool has_begun;
    bool is_told; /* the host knows how the episode ended */
} nrl_plant_t;

void nrl_plant_init(nrl_plant_t *plant, const nrl_plant_config_t *config);
void nrl_plant_poll(nrl_plant_t *plant);

#ifdef __cplusplus
}
#endif

#endif
