/*
 * nrl_native.c: the agent as a shared library of the host.
 */
#include "nrl_native.h"

#include "nrl_internal.h"

#include <stdlib.h>
#include <string.h>

/* Larger than any draw. Asking the operating system, through Python, is what costs. */
#define NRL_NATIVE_BLOCK_BYTES 4096u

typedef char nrl_native_assert_block[NRL_LARGEST_DRAW_BYTES <= NRL_NATIVE_BLOCK_BYTES ? 1 : -1];

struct nrl_native {
    nrl_entropy_t entropy;
    nrl_agent_t agent;
    const int16_t *observation;

    /* replay */
    const uint8_t *recording;
    size_t recording_length;
    size_t recording_position;

    /* raw: the last `block_left` bytes of `block` have not been drawn yet */
    nrl_native_refill_t refill;
    uint8_t block[NRL_NATIVE_BLOCK_BYTES];
    size_t block_left;

    /* raw: what was drawn, for a later replay */
    bool is_recording;
    uint8_t *recorded;
    size_t recorded_length;
    size_t recorded_capacity;
};

static bool nrl_native_reserve(nrl_native_t *native, size_t length)
{
    if (native->recorded_length + length > native->recorded_capacity) {
        const size_t capacity = native->recorded_capacity * 2u + 65536u;
        uint8_t *const larger = realloc(native->recorded, capacity);

        if (larger == NULL) {
            return false;
        }
        native->recorded = larger;
        native->recorded_capacity = capacity;
    }
    return true;
}

static bool nrl_native_read_block(void *context, uint8_t *bytes, uint16_t length)
{
    nrl_native_t *const native = context;

    if (native->block_left < length) {
        const size_t missing = NRL_NATIVE_BLOCK_BYTES - native->block_left;

        /* What is left comes first: bytes of a source are used in order, and none is dropped. */
        memmove(native->block, native->block + missing, native->block_left);
        if (!native->refill(native->block + native->block_left, (uint32_t)missing)) {
            memmove(native->block + missing, native->block, native->block_left);
            return false;
        }
        native->block_left = NRL_NATIVE_BLOCK_BYTES;
    }
    /* A draw that could not be recorded could not be replayed: it fails, and takes nothing. */
    if (native->is_recording && !nrl_native_reserve(native, length)) {
        return false;
    }
    memcpy(bytes, native->block + (NRL_NATIVE_BLOCK_BYTES - native->block_left), length);
    native->block_left -= length;
    if (native->is_recording) {
        memcpy(native->recorded + native->recorded_length, bytes, length);
        native->recorded_length += length;
    }
    return true;
}

static bool nrl_native_read_recording(void *context, uint8_t *bytes, uint16_t length)
{
    nrl_native_t *const native = context;

    if (native->recording_length - native->recording_position < length) {
        return false;
    }
    memcpy(bytes, native->recording + native->recording_position, length);
    native->recording_position += length;
    return true;
}

nrl_native_t *nrl_native_create(void)
{
    return calloc(1, sizeof(nrl_native_t));
}

void nrl_native_destroy(nrl_native_t *native)
{
    if (native != NULL) {
        free(native->recorded);
        free(native);
    }
}

void nrl_native_use_seed(nrl_native_t *native, const uint32_t state[4])
{
    nrl_entropy_seed(&native->entropy, state);
}

void nrl_native_use_refill(nrl_native_t *native, nrl_native_refill_t refill, int is_recording)
{
    native->refill = refill;
    native->block_left = 0;
    native->is_recording = is_recording != 0;
    nrl_entropy_use(&native->entropy, NRL_ENTROPY_RAW, nrl_native_read_block, native);
}

void nrl_native_use_recording(nrl_native_t *native, const uint8_t *recording, size_t length)
{
    native->recording = recording;
    native->recording_length = length;
    native->recording_position = 0;
    nrl_entropy_use(&native->entropy, NRL_ENTROPY_REPLAY, nrl_native_read_recording, native);
}

int nrl_native_init(nrl_native_t *native)
{
    return nrl_agent_init(&native->agent, &native->entropy);
}

void nrl_native_bind_observation(nrl_native_t *native, const int16_t *observation)
{
    native->observation = observation;
}

int nrl_native_step(nrl_native_t *native, int32_t reward, int flags)
{
    return nrl_agent_step(&native->agent, native->observation, reward, (flags & NRL_NATIVE_TERMINATED) != 0,
                          (flags & NRL_NATIVE_TRUNCATED) != 0);
}

void nrl_native_run_stream(nrl_native_t *native, size_t count, const int16_t *observations, const int32_t *rewards,
                           const uint8_t *flags, int16_t *actions, uint32_t *crcs)
{
    for (size_t t = 0; t < count; ++t) {
        actions[t] = (int16_t)nrl_agent_step(&native->agent, observations + t * NRL_INPUTS, rewards[t],
                                             (flags[t] & NRL_NATIVE_TERMINATED) != 0,
                                             (flags[t] & NRL_NATIVE_TRUNCATED) != 0);
        if (crcs != NULL) {
            crcs[t] = nrl_agent_weights_crc32(&native->agent);
        }
    }
}

int nrl_native_snapshot(const nrl_native_t *native, uint8_t *bytes)
{
    return nrl_agent_snapshot(&native->agent, bytes);
}

int nrl_native_restore(nrl_native_t *native, const uint8_t *bytes)
{
    return nrl_agent_restore(&native->agent, bytes);
}

uint32_t nrl_native_weights_crc32(const nrl_native_t *native)
{
    return nrl_agent_weights_crc32(&native->agent);
}

void nrl_native_action(const nrl_native_t *native, int16_t *outputs)
{
#if NRL_OUTPUTS > 0
    memcpy(outputs, native->agent.action, sizeof native->agent.action);
#else
    (void)native;
    (void)outputs;
#endif
}

void nrl_native_parameters(nrl_native_t *native, nrl_parameter_t *weights, nrl_parameter_t *traces)
{
    for (unsigned i = 0; i < NRL_ROWS; ++i) {
        const nrl_row_t row = nrl_row(&native->agent, i);

        for (size_t j = 0; j < row.columns; ++j) {
            *weights++ = row.weights[j * row.stride];
            *traces++ = row.traces[j * row.stride];
        }
    }
}

void nrl_native_status(const nrl_native_t *native, nrl_native_status_t *status)
{
    const nrl_agent_t *const agent = &native->agent;

    status->counters[0] = agent->counters.observation;
    status->counters[1] = agent->counters.pre_activation;
    status->counters[2] = agent->counters.difference;
    status->counters[3] = agent->counters.trace;
    status->counters[4] = agent->counters.weight;
    status->counters[5] = agent->counters.entropy;
    status->episodes = agent->episodes;
    status->steps = agent->steps;
    status->return_baseline = agent->return_baseline;
    status->episode_return = agent->episode_return;
    status->episode_steps = agent->episode_steps;
    status->bytes_drawn = native->entropy.bytes_drawn;
    status->episode_is_open = agent->episode_open ? 1u : 0u;
}

void nrl_native_seek(nrl_native_t *native, size_t position)
{
    native->recording_position = position <= native->recording_length ? position : native->recording_length;
    native->entropy.bytes_drawn = (uint32_t)(native->recording_position & UINT32_C(0xffffffff));
}

const uint8_t *nrl_native_recorded(const nrl_native_t *native, size_t *length)
{
    *length = native->recorded_length;
    return native->recorded;
}
