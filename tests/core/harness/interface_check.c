/*
 * Drives every function of nrl_agent.h through its contract; ends with the line number of the first check that fails.
 * It is run under sanitizers, with randomly damaged snapshots among its inputs.
 */
#include <stdio.h>
#include <string.h>

#include "nrl_agent.h"
#include "nrl_internal.h"
#include "nrl_crc32.h"

#define CHECK(condition)                                           \
    do {                                                           \
        if (!(condition)) {                                        \
            printf("line %d: %s\n", __LINE__, #condition);         \
            return 1;                                              \
        }                                                          \
    } while (0)

/* Where the network's weights end in a snapshot; those of the critic follow. */
#if NRL_PRESET != 0
#define NETWORK_END (NRL_SNAPSHOT_BYTES - 4 - 4 * NRL_CRITIC_PARAMETERS)
#else
#define NETWORK_END (NRL_SNAPSHOT_BYTES - 4)
#endif

/* Updates of an episode of `run_episodes`, 5 calls of an open episode. */
#if NRL_PRESET != 0
#define UPDATES_AN_EPISODE ((5u + NRL_BLOCK_STEPS - 1u) / NRL_BLOCK_STEPS) /* of 5 steps */
#else
#define UPDATES_AN_EPISODE (NRL_IMMEDIATE_REWARD ? 5u : 1u)
#endif

static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;
static nrl_entropy_t entropy, other_entropy;
static nrl_agent_t agent, other, before;
static uint8_t snapshot[NRL_SNAPSHOT_BYTES], second[NRL_SNAPSHOT_BYTES], damaged[NRL_SNAPSHOT_BYTES];
static int16_t observation[NRL_INPUTS];
static uint32_t noise = 1;

static uint32_t next_noise(void)
{
    noise = noise * UINT32_C(1664525) + UINT32_C(1013904223);
    return noise >> 8;
}

static int run_episodes(nrl_agent_t *learner, unsigned count)
{
    for (unsigned episode = 0; episode < count; ++episode) {
        for (unsigned step = 0; step < 5u; ++step) {
            for (unsigned j = 0; j < NRL_INPUTS; ++j) {
                observation[j] = (int16_t)((int32_t)(next_noise() & 0x1fffu) - 0x1000);
            }
            if (nrl_agent_step(learner, observation, (int32_t)(next_noise() & 0x3ffu), false, false) < 0) {
                return -1;
            }
        }
        if (nrl_agent_step(learner, observation, 256, true, false) != NRL_EPISODE_ENDED) {
            return -1;
        }
    }
    return 0;
}

static void write_checksum(uint8_t *bytes)
{
    const uint32_t crc = nrl_crc32(0, bytes, NRL_SNAPSHOT_BYTES - 4);

    for (unsigned i = 0; i < 4u; ++i) {
        bytes[NRL_SNAPSHOT_BYTES - 4 + i] = (uint8_t)(crc >> (8u * i) & 0xffu);
    }
}

/* Hands over a snapshot in chunks of odd sizes. */
static int restore_in_chunks(nrl_agent_t *learner, const uint8_t *bytes, uint32_t length)
{
    uint32_t offset = 0;

    if (nrl_agent_restore_begin(learner) != NRL_OK) {
        return -100;
    }
    while (offset < length) {
        uint32_t chunk = next_noise() % 37u;

        chunk = chunk < length - offset ? chunk : length - offset;
        if (nrl_agent_restore_write(learner, offset, bytes + offset, chunk) != NRL_OK) {
            return -101;
        }
        offset += chunk;
    }
    return nrl_agent_restore_commit(learner);
}

/* Those of the network. */
static bool same_weights(const nrl_agent_t *a, const nrl_agent_t *b)
{
    for (unsigned i = 0; i < NRL_HIDDEN_1; ++i) {
        if (memcmp(a->layer_1[i].weights, b->layer_1[i].weights, sizeof a->layer_1[i].weights) != 0) {
            return false;
        }
    }
#if NRL_HIDDEN_LAYERS == 1
    for (unsigned i = 0; i < NRL_HIDDEN_1; ++i) {
        if (memcmp(a->layer_1[i].output_weights, b->layer_1[i].output_weights,
                   sizeof a->layer_1[i].output_weights) != 0) {
            return false;
        }
    }
#endif
    return true;
}

static bool same_state(const nrl_agent_t *a, const nrl_agent_t *b)
{
#if NRL_PRESET != 0
    if (memcmp(a->critic.weights, b->critic.weights, sizeof a->critic.weights) != 0) {
        return false;
    }
#endif
    return nrl_agent_weights_crc32(a) == nrl_agent_weights_crc32(b) &&
           memcmp(&a->counters, &b->counters, sizeof a->counters) == 0 && a->episodes == b->episodes &&
           a->steps == b->steps && a->return_baseline == b->return_baseline &&
           a->baseline_is_set == b->baseline_is_set;
}

static bool no_entropy(void *context, uint8_t *bytes, uint16_t length)
{
    unsigned *const left = context;

    if (*left == 0u) {
        return false;
    }
    --*left;
    memset(bytes, 0x5a, length);
    return true;
}

static int check_restores(void)
{
    nrl_entropy_seed(&entropy, seed);
    CHECK(nrl_agent_init(&agent, &entropy) == NRL_OK);
    CHECK(run_episodes(&agent, 4) == 0);
    CHECK(agent.episodes == 4 && agent.steps == 20 && agent.episode_steps == 5);
    CHECK(nrl_agent_snapshot(&agent, snapshot) == NRL_OK);
    CHECK(nrl_crc32(0, snapshot + 72, NRL_SNAPSHOT_BYTES - 76) == nrl_agent_weights_crc32(&agent));

    /* an agent with the snapshot goes the same way as the agent that it was taken from */
    nrl_entropy_seed(&other_entropy, seed);
    CHECK(nrl_agent_init(&other, &other_entropy) == NRL_OK);
    CHECK(nrl_agent_restore(&other, snapshot) == NRL_OK);
    CHECK(same_state(&agent, &other));
    noise = 7;
    CHECK(run_episodes(&agent, 3) == 0);
    noise = 7;
    CHECK(run_episodes(&other, 3) == 0);
    CHECK(same_state(&agent, &other));

    /* the same in chunks; what was learned since is gone */
    CHECK(restore_in_chunks(&other, snapshot, NRL_SNAPSHOT_BYTES) == NRL_OK);
    noise = 7;
    CHECK(run_episodes(&other, 3) == 0);
    CHECK(same_state(&agent, &other));
    CHECK(nrl_agent_snapshot(&agent, snapshot) == NRL_OK);
    CHECK(nrl_agent_snapshot(&other, second) == NRL_OK);
    CHECK(memcmp(snapshot, second, sizeof snapshot) == 0);

    for (uint32_t offset = 0; offset < NRL_SNAPSHOT_BYTES; offset += 13) {
        const uint32_t length = NRL_SNAPSHOT_BYTES - offset < 13 ? NRL_SNAPSHOT_BYTES - offset : 13;
        uint8_t chunk[13];

        CHECK(nrl_agent_snapshot_read(&agent, offset, chunk, length) == NRL_OK);
        CHECK(memcmp(chunk, snapshot + offset, length) == 0);
    }
    return 0;
}

/* Refused whole and in chunks, with nothing changed but, in chunks, an open episode. */
static int check_refused(const uint8_t *bytes)
{
    before = agent;
    CHECK(nrl_agent_restore(&agent, bytes) == NRL_ERROR_SNAPSHOT);
    CHECK(memcmp(&before, &agent, sizeof agent) == 0);
    CHECK(restore_in_chunks(&agent, bytes, NRL_SNAPSHOT_BYTES) == NRL_ERROR_SNAPSHOT);
    CHECK(same_state(&before, &agent));
    CHECK(!agent.restore_is_staged);
    for (unsigned i = 0; i < NRL_ROWS; ++i) {
        const nrl_row_t row = nrl_row(&agent, i);

        for (unsigned j = 0; j < row.columns; ++j) {
            CHECK(row.traces[j * row.stride] == 0);
        }
    }
#if NRL_PRESET != 0
    for (unsigned k = 0; k < NRL_CRITIC_PARAMETERS; ++k) {
        CHECK(agent.critic.traces[k] == 0);
    }
    CHECK(agent.critic.peak == 0 && agent.block_error == 0 && agent.block_steps == 0);
#endif
    return 0;
}

static int check_refusals(void)
{
    static const unsigned headers[] = {0, 3, 4, 5, 8, 11};

    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; ++i) {
        memcpy(damaged, snapshot, sizeof damaged);
        damaged[headers[i]] ^= 1u;
        write_checksum(damaged);
        CHECK(check_refused(damaged) == 0);
    }
    /* every single damaged byte is caught by the CRC */
    for (unsigned i = 0; i < NRL_SNAPSHOT_BYTES; ++i) {
        memcpy(damaged, snapshot, sizeof damaged);
        damaged[i] = (uint8_t)(damaged[i] ^ (1u << (next_noise() & 7u)));
        CHECK(check_refused(damaged) == 0);
    }
    /* a baseline near +-2^31 would overflow the next update */
    memcpy(damaged, snapshot, sizeof damaged);
    damaged[23] = 0x7f;
    write_checksum(damaged);
    CHECK(check_refused(damaged) == 0);
    damaged[23] = 0x80;
    write_checksum(damaged);
    CHECK(check_refused(damaged) == 0);
#if NRL_PARAMETER_BITS == 16 && NRL_HIDDEN_LAYERS == 1 && NRL_HIDDEN_1 >= 3
    /* the last row, at 32767 each, is above 65535 from three weights on */
    memcpy(damaged, snapshot, sizeof damaged);
    for (unsigned i = 0; i < 2u * 3u; i += 2) {
        damaged[NETWORK_END - 6 + i] = 0xff;
        damaged[NETWORK_END - 5 + i] = 0x7f;
    }
    write_checksum(damaged);
    CHECK(check_refused(damaged) == 0);
#endif
#if NRL_PRESET != 0
    /* a critic's weight just beyond +-2^30, the last one */
    for (unsigned sign = 0; sign < 2u; ++sign) {
        memcpy(damaged, snapshot, sizeof damaged);
        damaged[NRL_SNAPSHOT_BYTES - 8] = sign == 0u ? 0x01 : 0xff;
        damaged[NRL_SNAPSHOT_BYTES - 7] = damaged[NRL_SNAPSHOT_BYTES - 6] = sign == 0u ? 0x00 : 0xff;
        damaged[NRL_SNAPSHOT_BYTES - 5] = sign == 0u ? 0x40 : 0xbf;
        write_checksum(damaged);
        CHECK(check_refused(damaged) == 0);
    }
#endif
    /* weights at the ends of their range, where they are allowed, cannot overflow anything */
    memcpy(damaged, snapshot, sizeof damaged);
    memset(damaged + 72, 0, NRL_SNAPSHOT_BYTES - 76);
    damaged[72] = 0x80;
    damaged[73] = 0x80;
#if NRL_PRESET != 0
    for (unsigned k = 0; k < NRL_CRITIC_PARAMETERS; ++k) {
        damaged[NETWORK_END + 4u * k + 3u] = (k & 1u) != 0u ? 0xc0 : 0x40;
    }
#endif
    write_checksum(damaged);
    other = agent;
    CHECK(nrl_agent_restore(&other, damaged) == NRL_OK);
    for (unsigned step = 0; step < 50u; ++step) {
        const int32_t reward = (next_noise() & 1u) != 0u ? INT32_MIN : INT32_MAX;

        for (unsigned j = 0; j < NRL_INPUTS; ++j) {
            observation[j] = (next_noise() & 1u) != 0u ? INT16_MIN : INT16_MAX;
        }
        CHECK(nrl_agent_step(&other, observation, reward, false, false) >= 0);
        if (step % 3u == 2u) {
            CHECK(nrl_agent_step(&other, observation, INT32_MIN, false, true) == NRL_EPISODE_ENDED);
        }
    }
    CHECK(other.counters.observation >= 50u * NRL_INPUTS);
    return 0;
}

static int check_status_codes(void)
{
    unsigned draws_left = 0;
    uint32_t crc;

    /* ends without an episode change nothing */
    before = agent;
    CHECK(nrl_agent_step(&agent, observation, 5, true, false) == NRL_ERROR_NO_EPISODE);
    CHECK(nrl_agent_step(&agent, observation, 5, false, true) == NRL_ERROR_NO_EPISODE);
    CHECK(memcmp(&before, &agent, sizeof agent) == 0);

    /* no snapshot of an open episode; a refused restore leaves it open, a chunked one drops it */
    CHECK(nrl_agent_step(&agent, observation, 0, false, false) >= 0);
    CHECK(nrl_agent_snapshot(&agent, second) == NRL_ERROR_EPISODE_OPEN);
    CHECK(nrl_agent_snapshot_read(&agent, 0, second, 4) == NRL_ERROR_EPISODE_OPEN);
    memcpy(damaged, snapshot, sizeof damaged);
    damaged[100 % NRL_SNAPSHOT_BYTES] ^= 1u;
    CHECK(nrl_agent_restore(&agent, damaged) == NRL_ERROR_SNAPSHOT && agent.episode_open);
    CHECK(nrl_agent_restore_begin(&agent) == NRL_OK && !agent.episode_open);

    /* a staged restore: no step, chunks in order only, incomplete is refused */
    crc = nrl_agent_weights_crc32(&agent);
    CHECK(nrl_agent_step(&agent, observation, 0, false, false) == NRL_ERROR_SNAPSHOT);
    CHECK(nrl_agent_restore_write(&agent, 1, snapshot, 4) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_restore_write(&agent, 0, snapshot, NRL_SNAPSHOT_BYTES + 1u) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_restore_write(&agent, 0, snapshot, 80) == NRL_OK);
    CHECK(nrl_agent_restore_write(&agent, 0, snapshot, 80) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_restore_write(&agent, 80, snapshot, UINT32_MAX) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_snapshot(&agent, second) == NRL_OK);
    CHECK(nrl_crc32(0, second + 72, NRL_SNAPSHOT_BYTES - 76) == crc);
    CHECK(nrl_agent_restore_commit(&agent) == NRL_ERROR_SNAPSHOT);
    CHECK(nrl_agent_restore_commit(&agent) == NRL_ERROR_SNAPSHOT);
    CHECK(nrl_agent_restore_write(&agent, 0, snapshot, 1) == NRL_ERROR_SNAPSHOT);
    CHECK(nrl_agent_weights_crc32(&agent) == crc);
    CHECK(run_episodes(&agent, 1) == 0);

    CHECK(nrl_agent_snapshot_read(&agent, NRL_SNAPSHOT_BYTES, second, 0) == NRL_OK);
    CHECK(nrl_agent_snapshot_read(&agent, NRL_SNAPSHOT_BYTES, second, 1) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_snapshot_read(&agent, NRL_SNAPSHOT_BYTES + 1u, second, 0) == NRL_ERROR_RANGE);
    CHECK(nrl_agent_snapshot_read(&agent, 4, second, UINT32_MAX) == NRL_ERROR_RANGE);

    /* without entropy there is no agent, until a snapshot brings one; its source is then left alone */
    nrl_entropy_use(&other_entropy, NRL_ENTROPY_RAW, no_entropy, &draws_left);
    CHECK(nrl_agent_init(&other, &other_entropy) == NRL_ERROR_ENTROPY);
    CHECK(nrl_agent_step(&other, observation, 0, false, false) == NRL_ERROR_ENTROPY);
    CHECK(nrl_agent_snapshot(&other, second) == NRL_ERROR_ENTROPY);
    CHECK(nrl_agent_restore(&other, snapshot) == NRL_OK);
    CHECK(other_entropy.mode == NRL_ENTROPY_RAW && other_entropy.bytes_drawn == 0 && other_entropy.state[0] == 0);
    before = other;
    CHECK(run_episodes(&other, 2) == 0);
    CHECK(same_weights(&before, &other));
    CHECK(other.counters.entropy - agent.counters.entropy == 2u * (5u + UPDATES_AN_EPISODE));
#if NRL_PRESET != 0
    /* the critic needs no entropy */
    CHECK(memcmp(before.critic.weights, other.critic.weights, sizeof other.critic.weights) != 0);
#endif

    /* counters stop at their maximum */
    other.counters.entropy = UINT32_MAX;
    other.steps = UINT32_MAX - 1u;
    CHECK(run_episodes(&other, 1) == 0);
    CHECK(other.counters.entropy == UINT32_MAX && other.steps == UINT32_MAX);

    /* a source with neither callback nor seed fails, it does not crash */
    nrl_entropy_use(&other_entropy, NRL_ENTROPY_EXPANDED, NULL, NULL);
    CHECK(nrl_agent_init(&other, &other_entropy) == NRL_ERROR_ENTROPY);
    return 0;
}

int main(void)
{
    return check_restores() == 0 && check_refusals() == 0 && check_status_codes() == 0 ? 0 : 1;
}
