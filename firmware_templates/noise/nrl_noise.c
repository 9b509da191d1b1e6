/*
 * nrl_noise.c: raw noise that is watched, and kept until the host has it.
 */
#include "nrl_noise.h"

#if NRL_NOISE_CONDITIONED
#include "nrl_blake2s.h"
#endif
#include "nrl_entropy.h"
#include "nrl_port.h"
#include "nrl_trng.h"

#define NRL_NOISE_ATTEMPTS 4u

/*
 * A healthy generator raises a soft alarm a week. Eight of them within a million bits come by chance far less often than
 * a hard alarm; a generator that leans by a tenth raises them without ever reaching the hard level.
 */
#define NRL_NOISE_WATCH_BYTES UINT32_C(131072)
#define NRL_NOISE_RECENT_ALARMS 8u

void nrl_noise_start(nrl_noise_t *noise)
{
    nrl_health_start(&noise->health);
    noise->is_proven = false;
    noise->failure = NRL_TRNG_HEALTHY;
    for (unsigned i = 0; i < 4u; ++i) {
        noise->state[i] = 0;
    }
    noise->expanded = NRL_NOISE_EXPANSION;
    noise->watched = 0;
    noise->recent = 0;
    noise->soft_alarms = 0;
    noise->position = 0;
    noise->fetched = 0;
    noise->logged = 0;
#if NRL_NOISE_CONDITIONED
    noise->conditioned_left = 0;
#endif
}

static uint8_t nrl_noise_code(unsigned alarms)
{
    const unsigned repetition = NRL_HEALTH_SOFT_REPETITION | NRL_HEALTH_HARD_REPETITION;
    const unsigned proportion = NRL_HEALTH_SOFT_PROPORTION | NRL_HEALTH_HARD_PROPORTION | NRL_HEALTH_SOFT_SHARE |
                                NRL_HEALTH_HARD_SHARE;

    if ((alarms & repetition) != 0u) {
        return NRL_TRNG_REPETITION;
    }
    return (uint8_t)((alarms & proportion) != 0u ? NRL_TRNG_PROPORTION : NRL_TRNG_PERIOD);
}

/*
 * Bytes of the generator that have passed, once. NRL_TRNG_HEALTHY, or what is wrong; *is_final: nothing will mend it.
 * The tests go on over bytes that are thrown away: a generator that is stuck comes from the soft level to the hard one.
 */
static uint8_t nrl_noise_try(nrl_noise_t *noise, uint8_t *bytes, uint16_t length, bool *is_final)
{
    unsigned alarms = 0;
    unsigned running = 0;

    if (!nrl_port_entropy_read(NULL, bytes, length)) {
        const uint8_t code = nrl_port_entropy_health();

        return code != NRL_TRNG_HEALTHY ? code : (uint8_t)NRL_TRNG_SILENT;
    }
    noise->watched += length;
    if (noise->watched > NRL_NOISE_WATCH_BYTES) {
        noise->watched = length;
        noise->recent = 0;
    }
    for (uint16_t i = 0; i < length; ++i) {
        alarms |= nrl_health_test(&noise->health, bytes[i]);
        /* A run that has raised its alarm raises no other; what goes on of it is no better. */
        running |= nrl_health_running(&noise->health);
    }
    if ((alarms | running) == 0u) {
        return NRL_TRNG_HEALTHY;
    }
    if (alarms != 0u) {
        ++noise->recent;
        if (noise->soft_alarms != UINT32_MAX) {
            ++noise->soft_alarms;
        }
    }
    *is_final = (alarms & NRL_HEALTH_HARD) != 0u || noise->recent >= NRL_NOISE_RECENT_ALARMS;
    return nrl_noise_code(alarms | running);
}

/* The same, as often as it takes within reason. On false the noise has failed. */
static bool nrl_noise_take(nrl_noise_t *noise, uint8_t *bytes, uint16_t length)
{
    uint8_t code = NRL_TRNG_HEALTHY;
    bool is_final = false;

    for (unsigned attempt = 0; attempt < NRL_NOISE_ATTEMPTS && !is_final; ++attempt) {
        code = nrl_noise_try(noise, bytes, length, &is_final);
        if (code == NRL_TRNG_HEALTHY) {
            return true;
        }
        nrl_port_entropy_restart();
    }
    noise->failure = code;
    return false;
}

/* The start-up test: so many bits pass, and are not used. */
static bool nrl_noise_prove(nrl_noise_t *noise)
{
    uint8_t bytes[16];

    for (unsigned tested = 0; tested < NRL_HEALTH_START_UP_BYTES; tested += sizeof(bytes)) {
        if (!nrl_noise_take(noise, bytes, sizeof(bytes))) {
            return false;
        }
    }
    noise->is_proven = true;
    return true;
}

#if NRL_NOISE_CONDITIONED

/* The key is no secret: it keeps this use of the hash apart from others. */
static const uint8_t nrl_conditioning_key[NRL_KEY_BYTES] = "nrl_edge: conditioned raw noise";

/* Bytes that each hold all the entropy of two. What a draw leaves is kept for the next. */
static bool nrl_noise_pass(nrl_noise_t *noise, uint8_t *bytes, uint16_t length)
{
    for (uint16_t i = 0; i < length; ++i) {
        if (noise->conditioned_left == 0u) {
            uint8_t raw[2u * NRL_CONDITIONED_BYTES];
            nrl_blake2s_t state;

            if (!nrl_noise_take(noise, raw, sizeof(raw))) {
                return false;
            }
            nrl_blake2s_start(&state, nrl_conditioning_key);
            nrl_blake2s_add(&state, raw, sizeof(raw));
            nrl_blake2s_finish(&state, noise->conditioned);
            noise->conditioned_left = NRL_CONDITIONED_BYTES;
        }
        bytes[i] = noise->conditioned[NRL_CONDITIONED_BYTES - noise->conditioned_left--];
    }
    return true;
}

#else

static bool nrl_noise_pass(nrl_noise_t *noise, uint8_t *bytes, uint16_t length)
{
    return nrl_noise_take(noise, bytes, length);
}

#endif

static bool nrl_noise_raw(nrl_noise_t *noise, uint8_t *bytes, uint16_t length)
{
    return noise->failure == NRL_TRNG_HEALTHY && (noise->is_proven || nrl_noise_prove(noise)) &&
           nrl_noise_pass(noise, bytes, length);
}

static void nrl_noise_log(nrl_noise_t *noise, const uint8_t *bytes, uint16_t length)
{
    for (uint16_t i = 0; i < length; ++i, ++noise->position) {
        noise->log[noise->position % NRL_NOISE_LOG_BYTES] = bytes[i];
        if (noise->logged != NRL_NOISE_LOG_BYTES) {
            ++noise->logged;
        }
    }
}

bool nrl_noise_read(void *context, uint8_t *bytes, uint16_t length)
{
    nrl_noise_t *const noise = context;

    if (!nrl_noise_raw(noise, bytes, length)) {
        return false;
    }
    nrl_noise_log(noise, bytes, length);
    return true;
}

/* Mix raw noise into the state: what was in it before is not lost. */
static bool nrl_noise_key(nrl_noise_t *noise)
{
    uint8_t raw[16];

    if (!nrl_noise_raw(noise, raw, sizeof(raw))) {
        return false;
    }
    for (unsigned i = 0; i < 16u; ++i) {
        noise->state[i >> 2] ^= (uint32_t)raw[i] << (8u * (i & 3u));
    }
    if ((noise->state[0] | noise->state[1] | noise->state[2] | noise->state[3]) == 0u) {
        noise->state[0] = 1; /* the one state that xoshiro128++ never leaves is all zeros */
    }
    noise->expanded = 0;
    return true;
}

bool nrl_noise_read_expanded(void *context, uint8_t *bytes, uint16_t length)
{
    nrl_noise_t *const noise = context;
    uint32_t word = 0;

    if (noise->failure != NRL_TRNG_HEALTHY || (noise->expanded >= NRL_NOISE_EXPANSION && !nrl_noise_key(noise))) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i) {
        word = (i & 3u) == 0u ? nrl_xoshiro128_next(noise->state) : word >> 8;
        bytes[i] = (uint8_t)(word & 0xffu);
    }
    noise->expanded += length;
    nrl_noise_log(noise, bytes, length);
    return true;
}

bool nrl_noise_read_replayed(void *context, uint8_t *bytes, uint16_t length)
{
    nrl_noise_t *const noise = context;

    if (noise->fetched - noise->position < length) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i, ++noise->position) {
        bytes[i] = noise->log[noise->position % NRL_NOISE_LOG_BYTES];
    }
    return true;
}

uint32_t nrl_noise_room(const nrl_noise_t *noise)
{
    const uint32_t waiting = noise->fetched - noise->position;

    return waiting > NRL_NOISE_LOG_BYTES ? 0u : NRL_NOISE_LOG_BYTES - waiting;
}

bool nrl_noise_supply(nrl_noise_t *noise, uint32_t position, const uint8_t *bytes, uint16_t length)
{
    if (position == 0u) {
        noise->position = 0;
        noise->fetched = 0;
        noise->logged = 0;
    }
    if (position != noise->fetched || length > nrl_noise_room(noise)) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i, ++noise->fetched) {
        noise->log[noise->fetched % NRL_NOISE_LOG_BYTES] = bytes[i];
    }
    return true;
}

int32_t nrl_noise_fetch(nrl_noise_t *noise, uint32_t position, uint8_t *bytes, uint16_t room)
{
    const uint32_t waiting = noise->position - position;
    uint16_t count = 0;

    /* Not the size of the log: until it has been filled once, the rest of it is of an earlier agent. */
    if (waiting > noise->logged) {
        return -1;
    }
    noise->fetched = position;
    while (count < room && count < waiting) {
        bytes[count] = noise->log[(position + count) % NRL_NOISE_LOG_BYTES];
        ++count;
    }
    return count;
}

bool nrl_noise_log_is_full(const nrl_noise_t *noise)
{
    return noise->position - noise->fetched + NRL_NOISE_CALL_BYTES > NRL_NOISE_LOG_BYTES;
}
