/*
 * fake_port.c: a port whose line, clock and hardware generator are in the hands of a test, with an agent and its link behind.
 */
#include <string.h>

#include "nrl_agent.h"
#include "nrl_frames.h"
#include "nrl_link.h"
#include "nrl_noise.h"
#include "nrl_port.h"

#define LINE_BYTES 65536u

static struct {
    uint8_t in[LINE_BYTES];
    size_t in_taken;
    size_t in_filled;
    uint8_t out[LINE_BYTES];
    size_t out_filled;
    size_t write_room;
    uint32_t milliseconds;
    uint16_t session;
    bool entropy_works;
    uint8_t entropy_next;
} fake;

static nrl_entropy_t entropy;
static nrl_noise_t noise;
static nrl_agent_t agent;
static nrl_link_t host_link;

bool nrl_port_init(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return true;
}

bool nrl_port_running(void)
{
    return true;
}

size_t nrl_port_read(uint8_t *bytes, size_t room)
{
    size_t count = fake.in_filled - fake.in_taken;
    if (count > room) {
        count = room;
    }
    memcpy(bytes, fake.in + fake.in_taken, count);
    fake.in_taken += count;
    return count;
}

void nrl_port_write(const uint8_t *bytes, size_t length)
{
    if (length <= LINE_BYTES - fake.out_filled) {
        memcpy(fake.out + fake.out_filled, bytes, length);
        fake.out_filled += length;
    }
}

size_t nrl_port_write_room(void)
{
    return fake.write_room;
}

uint32_t nrl_port_milliseconds(void)
{
    return fake.milliseconds;
}

uint16_t nrl_port_session(void)
{
    return fake.session;
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    if (!fake.entropy_works) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i) {
        bytes[i] = fake.entropy_next++;
    }
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return fake.entropy_works ? 0 : 2;
}

void nrl_port_entropy_restart(void)
{
}

/* Power on. `raw`: begin with the hardware generator, which works or does not. */
void fake_boot(uint16_t session, bool raw, bool entropy_works)
{
    static const uint32_t seed_state[4] = NRL_DEFAULT_SEED_STATE;

    memset(&fake, 0, sizeof(fake));
    fake.session = session;
    fake.write_room = LINE_BYTES;
    fake.entropy_works = entropy_works;
    memset(&agent, 0xA5, sizeof(agent));
    memset(&host_link, 0xA5, sizeof(host_link));
    nrl_noise_start(&noise);
    if (raw) {
        nrl_entropy_use(&entropy, NRL_ENTROPY_RAW, nrl_noise_read, &noise);
    } else {
        nrl_entropy_seed(&entropy, seed_state);
    }
    nrl_link_init(&host_link, &agent, &entropy, &noise, NULL, nrl_agent_init(&agent, &entropy));
}

/* The line delivers bytes, and the link polls until it has taken them all; with none it polls once. */
void fake_deliver(const uint8_t *bytes, size_t length)
{
    memcpy(fake.in, bytes, length);
    fake.in_taken = 0;
    fake.in_filled = length;
    do {
        nrl_link_poll(&host_link);
    } while (fake.in_taken != fake.in_filled);
}

/* What the device sent since the last call. */
size_t fake_collect(uint8_t *bytes)
{
    size_t count = fake.out_filled;
    memcpy(bytes, fake.out, count);
    fake.out_filled = 0;
    return count;
}

void fake_wait(uint32_t milliseconds)
{
    fake.milliseconds += milliseconds;
}

void fake_set_write_room(size_t room)
{
    fake.write_room = room;
}

void fake_set_entropy(bool works)
{
    fake.entropy_works = works;
}

/* Frames alone: seal a payload, and push bytes through a receiver. */
size_t fake_seal(uint8_t *frame, uint8_t type, uint8_t sequence, uint16_t session, const uint8_t *payload, size_t length)
{
    nrl_header_t header;
    header.type = type;
    header.sequence = sequence;
    header.session = session;
    memcpy(nrl_frame_payload(frame), payload, length);
    return nrl_frame_seal(frame, &header, length);
}

/* For every byte its event; the contents of good frames one after the other in `contents`, their lengths in `lengths`. */
size_t fake_receive(const uint8_t *bytes, size_t length, uint8_t *events, uint8_t *contents, uint16_t *lengths)
{
    static nrl_receiver_t receiver;
    size_t frames = 0;

    nrl_receiver_reset(&receiver);
    for (size_t i = 0; i < length; ++i) {
        events[i] = (uint8_t)nrl_receiver_byte(&receiver, bytes[i]);
        if (events[i] == NRL_FRAME_GOOD) {
            memcpy(contents, receiver.bytes, receiver.length);
            contents += receiver.length;
            lengths[frames++] = receiver.length;
        }
    }
    return frames;
}
