/*
 * victim.c: the device of victim.h. Frames are made and checked here apart from the firmware's own functions.
 */
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_agent.h"
#include "nrl_link.h"
#include "nrl_noise.h"
#include "nrl_nvm.h"
#include "nrl_port.h"
#include "nrl_store.h"

#define SESSION 0x1234u
#define REPLY_BYTES 512u

static nrl_entropy_t entropy;
static nrl_noise_t noise;
static nrl_agent_t agent;
static nrl_store_t store;
static nrl_link_t host_link;

static uint8_t flash[NRL_STORE_BYTES];
static const uint8_t *waiting;
static size_t waiting_length;
static uint32_t milliseconds;
static uint32_t generator;
static uint8_t reply[REPLY_BYTES];
static size_t reply_length;
static uint8_t out[REPLY_BYTES];
static size_t out_length;

void victim_fail(const char *what)
{
    fprintf(stderr, "VIOLATED: %s\n", what);
    abort();
}

/* CRC-32 bit by bit, as zlib's. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *bytes, size_t length)
{
    static uint32_t table[256];

    if (table[1] == 0u) {
        for (uint32_t i = 0; i < 256u; ++i) {
            uint32_t value = i;

            for (unsigned bit = 0; bit < 8u; ++bit) {
                value = (value >> 1) ^ ((value & 1u) != 0u ? UINT32_C(0xedb88320) : 0u);
            }
            table[i] = value;
        }
    }
    crc = ~crc;
    for (size_t i = 0; i < length; ++i) {
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xffu];
    }
    return ~crc;
}

static uint32_t start_of(uint8_t type)
{
    return type == NRL_MESSAGE_HELLO || type == NRL_MESSAGE_HELLO_REPLY ? 0u : NRL_TABLE_HASH;
}

size_t victim_frame(uint8_t *frame, uint8_t type, uint8_t sequence, uint16_t session, const uint8_t *payload,
                    size_t length)
{
    uint8_t content[VICTIM_FRAME_BYTES];
    uint32_t crc;
    size_t code = 0;
    size_t end = 1;

    if (length > 300u) {
        length = 300u;
    }
    content[0] = type;
    content[1] = sequence;
    content[2] = (uint8_t)(session & 0xffu);
    content[3] = (uint8_t)(session >> 8);
    if (length != 0u) {
        memcpy(content + 4, payload, length);
    }
    crc = crc32_of(start_of(type), content, 4u + length);
    for (unsigned i = 0; i < 4u; ++i) {
        content[4u + length + i] = (uint8_t)(crc >> (8u * i));
    }
    for (size_t i = 0; i < 8u + length; ++i) {
        if (content[i] == 0u || end - code == 255u) {
            frame[code] = (uint8_t)(end - code);
            code = end++;
        }
        if (content[i] != 0u) {
            frame[end++] = content[i];
        }
    }
    frame[code] = (uint8_t)(end - code);
    frame[end++] = 0;
    return end;
}

/* A frame has come out: it has to be one that a host accepts. */
static void check_frame(const uint8_t *frame, size_t length)
{
    uint8_t content[REPLY_BYTES];
    size_t size = 0;
    size_t at = 0;
    uint32_t crc = 0;

    while (at + 1u < length) {
        const uint8_t code = frame[at++];

        if (code == 0u || at + code - 1u > length - 1u) {
            victim_fail("a frame of the device is no COBS");
        }
        for (unsigned i = 1; i < code; ++i) {
            content[size++] = frame[at++];
        }
        if (code != 0xffu && at + 1u < length) {
            content[size++] = 0;
        }
    }
    if (size < 8u) {
        victim_fail("a frame of the device is too short");
    }
    for (unsigned i = 0; i < 4u; ++i) {
        crc |= (uint32_t)content[size - 4u + i] << (8u * i);
    }
    if (crc != crc32_of(start_of(content[0]), content, size - 4u)) {
        victim_fail("a frame of the device has a wrong CRC");
    }
    if ((unsigned)(content[2] | content[3] << 8) != SESSION) {
        victim_fail("a frame of the device is of another session");
    }
    if (content[0] < NRL_FIRST_LOSSY_ID) {
        victim_fail("the device sent a request");
    }
    if (content[0] == NRL_MESSAGE_ERROR && content[4] == NRL_LINK_ERROR_INTERNAL) {
        victim_fail("the agent answered what the link does not know");
    }
    if (content[0] >= 0x80u) {
        memcpy(reply, frame, length);
        reply_length = length;
    }
}

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
    const size_t count = waiting_length < room ? waiting_length : room;

    if (count != 0u) {
        memcpy(bytes, waiting, count);
    }
    waiting += count;
    waiting_length -= count;
    return count;
}

void nrl_port_write(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        if (out_length == sizeof(out)) {
            victim_fail("a frame of the device does not end");
        }
        out[out_length++] = bytes[i];
        if (bytes[i] == 0u) {
            check_frame(out, out_length);
            out_length = 0;
        }
    }
}

size_t nrl_port_write_room(void)
{
    return REPLY_BYTES;
}

uint32_t nrl_port_milliseconds(void)
{
    return milliseconds;
}

uint16_t nrl_port_session(void)
{
    return SESSION;
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    for (uint16_t i = 0; i < length; ++i) {
        generator = generator * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(generator >> 24);
    }
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return 0;
}

void nrl_port_entropy_restart(void)
{
}

void nrl_port_nvm_read(uint32_t offset, uint8_t *bytes, uint16_t length)
{
    if (offset > sizeof(flash) || length > sizeof(flash) - offset) {
        victim_fail("a read outside the store");
    }
    memcpy(bytes, flash + offset, length);
}

bool nrl_port_nvm_erase(uint32_t offset)
{
    if (offset % NRL_NVM_PAGE_BYTES != 0u || offset > sizeof(flash) - NRL_NVM_PAGE_BYTES) {
        victim_fail("an erase outside the store");
    }
    memset(flash + offset, 0xff, NRL_NVM_PAGE_BYTES);
    return true;
}

bool nrl_port_nvm_write(uint32_t offset, const uint8_t *bytes, uint16_t length)
{
    if (offset % NRL_NVM_WORD_BYTES != 0u || offset > sizeof(flash) || length > sizeof(flash) - offset) {
        victim_fail("a write outside the store");
    }
    for (uint16_t i = 0; i < length; ++i) {
        if (flash[offset + i] != 0xffu) {
            victim_fail("a write over what was not erased");
        }
        flash[offset + i] = bytes[i];
    }
    return true;
}

void victim_boot(void)
{
    static const uint32_t seed_state[4] = NRL_DEFAULT_SEED_STATE;
    static bool is_blank;
    int status;

    if (!is_blank) {
        /* Once a process: what is saved later in it is found again, as after a reset. */
        memset(flash, 0xff, sizeof(flash));
        is_blank = true;
    }
    milliseconds = 0;
    generator = 1;
    out_length = 0;
    reply_length = 0;
    waiting_length = 0;
    memset(&agent, 0xa5, sizeof(agent));
    memset(&noise, 0xa5, sizeof(noise));
    memset(&host_link, 0xa5, sizeof(host_link));
    nrl_noise_start(&noise);
    nrl_entropy_seed(&entropy, seed_state);
    status = nrl_agent_init(&agent, &entropy);
    nrl_store_start(&store);
    if (nrl_store_restore(&store, &agent)) {
        status = NRL_OK;
    }
    nrl_link_init(&host_link, &agent, &entropy, &noise, &store, status);
}

void victim_deliver(const uint8_t *bytes, size_t length)
{
    waiting = bytes;
    waiting_length = length;
    do {
        nrl_link_poll(&host_link);
    } while (waiting_length != 0u);
}

void victim_wait(uint32_t passed)
{
    milliseconds += passed;
    nrl_link_poll(&host_link);
}

uint32_t victim_state(void)
{
    uint32_t crc = crc32_of(0, (const uint8_t *)&agent, offsetof(nrl_agent_t, entropy));

    /* all units, their weights and their traces */
    crc = crc32_of(crc, (const uint8_t *)agent.layer_1, offsetof(nrl_agent_t, workspace) - offsetof(nrl_agent_t, layer_1));
    crc = crc32_of(crc, (const uint8_t *)entropy.state, sizeof(entropy.state));
    crc = crc32_of(crc, (const uint8_t *)&entropy.bytes_drawn, sizeof(entropy.bytes_drawn));
    crc = crc32_of(crc, (const uint8_t *)&noise.position, sizeof(noise.position));
    crc = crc32_of(crc, (const uint8_t *)&store.sequence, sizeof(store.sequence));
    return crc32_of(crc, (const uint8_t *)&store.saves, sizeof(store.saves));
}

uint32_t victim_executed(void)
{
    const nrl_link_status_reply_t *const counters = &host_link.server.counters;

    return counters->frames_in - counters->repeated - counters->out_of_order - counters->stale_session -
           counters->unexpected;
}

uint32_t victim_good_frames(void)
{
    return host_link.server.counters.frames_in;
}

uint16_t victim_session(void)
{
    return SESSION;
}

#if NRL_LINK_PROTECTED

#include "nrl_blake2s.h"
#include "nrl_key.h"

bool victim_authorize(uint8_t *authorize, uint8_t type, const uint8_t *payload, size_t length)
{
    static const uint8_t key[NRL_KEY_BYTES] = NRL_LINK_KEY;
    nrl_blake2s_t state;

    nrl_put_u32(authorize, host_link.guard.counter + 1u);
    nrl_blake2s_start(&state, key);
    nrl_blake2s_add(&state, host_link.guard.nonce, NRL_NONCE_BYTES);
    nrl_blake2s_add(&state, authorize, 4);
    nrl_blake2s_add(&state, &type, 1);
    nrl_blake2s_add(&state, payload, (uint16_t)length);
    nrl_blake2s_finish(&state, authorize + 4);
    return true;
}

#else

bool victim_authorize(uint8_t *authorize, uint8_t type, const uint8_t *payload, size_t length)
{
    (void)authorize;
    (void)type;
    (void)payload;
    (void)length;
    return false;
}

#endif

const uint8_t *victim_reply(size_t *length)
{
    *length = reply_length;
    return reply;
}
