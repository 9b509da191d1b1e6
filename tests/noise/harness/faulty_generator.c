/*
 * faulty_generator.c: a port that has nothing but a generator, whose bits are a test's: they stick, repeat, lean or stop.
 */
#include <string.h>

#include "nrl_noise.h"
#include "nrl_port.h"
#include "nrl_trng.h"

static struct {
    const uint8_t *bytes;
    size_t length;
    size_t taken;
    uint32_t restarts;
} generator;

static nrl_noise_t noise;
static nrl_health_t health;

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    if (generator.length - generator.taken < length) {
        return false;
    }
    memcpy(bytes, generator.bytes + generator.taken, length);
    generator.taken += length;
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return NRL_TRNG_HEALTHY;
}

void nrl_port_entropy_restart(void)
{
    ++generator.restarts;
}

void faulty_start(const uint8_t *bytes, size_t length)
{
    memset(&generator, 0, sizeof(generator));
    generator.bytes = bytes;
    generator.length = length;
    nrl_noise_start(&noise);
}

bool faulty_draw(uint8_t *bytes, uint16_t length)
{
    return nrl_noise_read(&noise, bytes, length);
}

bool faulty_draw_expanded(uint8_t *bytes, uint16_t length)
{
    return nrl_noise_read_expanded(&noise, bytes, length);
}

int32_t faulty_fetch(uint32_t position, uint8_t *bytes, uint16_t room)
{
    return nrl_noise_fetch(&noise, position, bytes, room);
}

bool faulty_log_is_full(void)
{
    return nrl_noise_log_is_full(&noise);
}

bool faulty_supply(uint32_t position, const uint8_t *bytes, uint16_t length)
{
    return nrl_noise_supply(&noise, position, bytes, length);
}

uint32_t faulty_room(void)
{
    return nrl_noise_room(&noise);
}

bool faulty_draw_replayed(uint8_t *bytes, uint16_t length)
{
    return nrl_noise_read_replayed(&noise, bytes, length);
}

/* numbers[0..3]: bytes that the generator gave, restarts, soft alarms, failure. */
void faulty_status(uint32_t numbers[4])
{
    numbers[0] = (uint32_t)generator.taken;
    numbers[1] = generator.restarts;
    numbers[2] = noise.soft_alarms;
    numbers[3] = noise.failure;
}

/* The alarms of each byte of a stream. */
void faulty_alarms(const uint8_t *bytes, size_t length, uint8_t *alarms)
{
    nrl_health_start(&health);
    for (size_t i = 0; i < length; ++i) {
        alarms[i] = (uint8_t)nrl_health_test(&health, bytes[i]);
    }
}

/* How many bytes of a xoshiro128++ stream raise a soft, and a hard alarm. */
void faulty_count_alarms(uint32_t state[4], uint64_t length, uint64_t counts[2])
{
    nrl_health_start(&health);
    counts[0] = counts[1] = 0;
    for (uint64_t i = 0; i < length; i += 4) {
        const uint32_t sum = state[0] + state[3];
        const uint32_t word = ((sum << 7) | (sum >> 25)) + state[0];
        const uint32_t shifted = state[1] << 9;

        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = (state[3] << 11) | (state[3] >> 21);
        for (unsigned byte = 0; byte < 4u; ++byte) {
            const unsigned alarms = nrl_health_test(&health, (uint8_t)(word >> (8u * byte)));

            counts[0] += alarms != 0u;
            counts[1] += (alarms & NRL_HEALTH_HARD) != 0u;
        }
    }
}
