/*
 * nrl_native.h: the agent as a shared library of the host, for nrl_edge/native. Not part of any firmware.
 */
#ifndef NRL_NATIVE_H
#define NRL_NATIVE_H

#include "nrl_agent.h"

#ifdef _WIN32
#define NRL_NATIVE_API __declspec(dllexport)
#else
#define NRL_NATIVE_API
#endif

#define NRL_NATIVE_TERMINATED 1
#define NRL_NATIVE_TRUNCATED 2

/* What Python reads in one go; the order is known to nrl_edge/native/agent.py. */
typedef struct nrl_native_status {
    uint32_t counters[6];
    uint32_t episodes;
    uint32_t steps;
    int32_t return_baseline;
    int32_t episode_return;
    uint32_t episode_steps;
    uint32_t bytes_drawn;
    uint32_t episode_is_open;
} nrl_native_status_t;

/* Fills a block of random bytes from the operating system; 0 on failure. */
typedef int (*nrl_native_refill_t)(uint8_t *bytes, uint32_t length);

typedef struct nrl_native nrl_native_t;

/* NULL where memory is short. The agent cannot step before nrl_native_init. */
NRL_NATIVE_API nrl_native_t *nrl_native_create(void);
NRL_NATIVE_API void nrl_native_destroy(nrl_native_t *native);

/* One of these three, then init, which returns nrl_agent_init's status. `recording` is not copied. */
NRL_NATIVE_API void nrl_native_use_seed(nrl_native_t *native, const uint32_t state[4]);
NRL_NATIVE_API void nrl_native_use_refill(nrl_native_t *native, nrl_native_refill_t refill, int is_recording);
NRL_NATIVE_API void nrl_native_use_recording(nrl_native_t *native, const uint8_t *recording, size_t length);
NRL_NATIVE_API int nrl_native_init(nrl_native_t *native);

/* The caller's buffer of NRL_INPUTS values that every nrl_native_step reads its observation from. */
NRL_NATIVE_API void nrl_native_bind_observation(nrl_native_t *native, const int16_t *observation);
NRL_NATIVE_API int nrl_native_step(nrl_native_t *native, int32_t reward, int flags);

/* `count` steps; actions[t] is an action or a status, crcs[t] the weights' CRC after it (crcs may be NULL). */
NRL_NATIVE_API void nrl_native_run_stream(nrl_native_t *native, size_t count, const int16_t *observations,
                                          const int32_t *rewards, const uint8_t *flags, int16_t *actions,
                                          uint32_t *crcs);

NRL_NATIVE_API int nrl_native_snapshot(const nrl_native_t *native, uint8_t *bytes);
NRL_NATIVE_API int nrl_native_restore(nrl_native_t *native, const uint8_t *bytes);
NRL_NATIVE_API uint32_t nrl_native_weights_crc32(const nrl_native_t *native);
/* The last action of a continuous agent, NRL_OUTPUTS numbers; nothing is written where actions are discrete. */
NRL_NATIVE_API void nrl_native_action(const nrl_native_t *native, int16_t *outputs);
/* NRL_PARAMETERS weights and as many traces, layer by layer, row by row. */
NRL_NATIVE_API void nrl_native_parameters(nrl_native_t *native, nrl_parameter_t *weights, nrl_parameter_t *traces);
NRL_NATIVE_API void nrl_native_status(const nrl_native_t *native, nrl_native_status_t *status);

/* A replay goes on at this byte of its recording. */
NRL_NATIVE_API void nrl_native_seek(nrl_native_t *native, size_t position);

/* The bytes drawn so far, where they are kept. */
NRL_NATIVE_API const uint8_t *nrl_native_recorded(const nrl_native_t *native, size_t *length);

#endif
