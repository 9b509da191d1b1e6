/*
 * Steps the core, without any link, through a stream file. Usage:
 *
 *     stream_driver STREAM RESULT seeded S0 S1 S2 S3      (words in hexadecimal)
 *     stream_driver STREAM RESULT replay RECORDING
 *
 * STREAM: records of NRL_INPUTS int16, one int32 reward, one uint8 flags (1 terminated, 2 truncated), little-endian.
 * RESULT: for each record an int32 (action or status) and a uint32 (CRC of the weights); then 6 uint32 counters, one
 * int32 status of the snapshot and, where that is 0, the snapshot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_agent.h"

#define RECORD_BYTES (2 * NRL_INPUTS + 5)

static nrl_entropy_t entropy;
static nrl_agent_t agent;

static bool read_recording(void *context, uint8_t *bytes, uint16_t length)
{
    FILE *const file = context;
    const long start = ftell(file);

    if (fread(bytes, 1, length, file) != length) {
        if (fseek(file, start, SEEK_SET) != 0) {
            abort();
        }
        return false;
    }
    return true;
}

static uint32_t get(const uint8_t *bytes, unsigned count)
{
    uint32_t value = 0;

    while (count-- > 0u) {
        value = value << 8 | bytes[count];
    }
    return value;
}

static void put_u32(uint32_t value, FILE *file)
{
    for (unsigned i = 0; i < 4u; ++i, value >>= 8) {
        if (fputc((int)(value & 0xffu), file) == EOF) {
            abort();
        }
    }
}

int main(int argc, char **argv)
{
    uint8_t record[RECORD_BYTES];
    uint8_t snapshot[NRL_SNAPSHOT_BYTES];
    FILE *stream, *result;
    int status;

    if (argc == 8 && strcmp(argv[3], "seeded") == 0) {
        uint32_t state[4];

        for (int i = 0; i < 4; ++i) {
            state[i] = (uint32_t)strtoul(argv[4 + i], NULL, 16);
        }
        nrl_entropy_seed(&entropy, state);
    } else if (argc == 5 && strcmp(argv[3], "replay") == 0) {
        FILE *const recording = fopen(argv[4], "rb");

        if (recording == NULL) {
            return 2;
        }
        nrl_entropy_use(&entropy, NRL_ENTROPY_REPLAY, read_recording, recording);
    } else {
        return 2;
    }
    stream = fopen(argv[1], "rb");
    result = fopen(argv[2], "wb");
    if (stream == NULL || result == NULL) {
        return 2;
    }
    if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
        return 3;
    }
    while (fread(record, 1, sizeof record, stream) == sizeof record) {
        int16_t observation[NRL_INPUTS];
        uint32_t reward;

        for (unsigned j = 0; j < NRL_INPUTS; ++j) {
            const int32_t value = (int32_t)get(record + 2u * j, 2);

            observation[j] = (int16_t)(value < 32768 ? value : value - 65536);
        }
        reward = get(record + 2 * NRL_INPUTS, 4);
        status = nrl_agent_step(&agent, observation,
                                reward <= INT32_MAX ? (int32_t)reward : -(int32_t)(UINT32_MAX - reward) - 1,
                                (record[RECORD_BYTES - 1] & 1u) != 0u, (record[RECORD_BYTES - 1] & 2u) != 0u);
        put_u32((uint32_t)status, result);
        put_u32(nrl_agent_weights_crc32(&agent), result);
    }
    put_u32(agent.counters.observation, result);
    put_u32(agent.counters.pre_activation, result);
    put_u32(agent.counters.difference, result);
    put_u32(agent.counters.trace, result);
    put_u32(agent.counters.weight, result);
    put_u32(agent.counters.entropy, result);
    status = nrl_agent_snapshot(&agent, snapshot);
    put_u32((uint32_t)status, result);
    if (status == NRL_OK && fwrite(snapshot, 1, sizeof snapshot, result) != sizeof snapshot) {
        return 2;
    }
    return fclose(result) == 0 ? 0 : 2;
}
