/*
 * storm.c: so many frames of noise. usage: storm FRAMES SEED
 *
 * Random bytes, sound frames with flipped bits, cut short, run together, too long, and sound ones of another session.
 * None of them is a request of this session, so none may change anything. Prints what the device counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_messages.h"
#include "victim.h"

static uint64_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static size_t random_bytes(uint8_t *bytes, size_t length, bool zeros)
{
    for (size_t i = 0; i < length; ++i) {
        bytes[i] = (uint8_t)next_random();
        if (!zeros && bytes[i] == 0u) {
            bytes[i] = 1;
        }
    }
    return length;
}

/* A request that would change something, if it came through. */
static size_t request(uint8_t *frame, uint8_t sequence, uint16_t session)
{
    static const uint8_t types[] = {NRL_MESSAGE_BEGIN, NRL_MESSAGE_STEP, NRL_MESSAGE_STEP, NRL_MESSAGE_RESTORE_BEGIN,
                                    NRL_MESSAGE_STORE_SAVE, NRL_MESSAGE_STORE_CLEAR, NRL_MESSAGE_NOISE_WRITE};
    static const size_t lengths[] = {17, 2u * NRL_INPUTS + 5u, 2u * NRL_INPUTS + 5u, 4, 0, 0, 12};
    const unsigned which = next_random() % (sizeof(types) / sizeof(types[0]));
    uint8_t payload[64];

    random_bytes(payload, lengths[which], true);
    return victim_frame(frame, types[which], sequence, session, payload, lengths[which]);
}

int main(int argc, char **argv)
{
    static const uint8_t greeting[6] = {NRL_PROTOCOL_MIN, NRL_PROTOCOL_MAX, 0, 0, 0, 0};
    uint8_t frame[4u * VICTIM_FRAME_BYTES];
    const unsigned long frames = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    uint32_t state;
    uint32_t executed;

    random_state = 0x9e3779b97f4a7c15u ^ (argc > 2 ? strtoul(argv[2], NULL, 10) : 0);
    victim_boot();
    victim_deliver(frame, victim_frame(frame, NRL_MESSAGE_HELLO, 1, 0, greeting, sizeof(greeting)));
    victim_deliver(frame, victim_frame(frame, NRL_MESSAGE_STATUS, 2, victim_session(), greeting, 0));
    state = victim_state();
    executed = victim_executed();
    for (unsigned long i = 0; i < frames; ++i) {
        size_t length = 0;

        switch (next_random() % 6u) {
        case 0: /* noise between two delimiters */
            length = random_bytes(frame, 1u + next_random() % 100u, false);
            break;
        case 1: /* a sound request with one to three bits flipped */
            length = request(frame, 3, victim_session());
            for (unsigned flips = 1u + next_random() % 3u, flip = 0; flip < flips; ++flip) {
                /* Different bits: two flips of one bit would be none. */
                frame[(flip * (length - 1u) / 3u) + next_random() % ((length - 1u) / 3u)] ^=
                    (uint8_t)(1u << (next_random() % 8u));
            }
            break;
        case 2: /* cut short */
            length = request(frame, 3, victim_session());
            length = 1u + next_random() % (length - 2u);
            break;
        case 3: /* the head of one and the tail of another */
            length = request(frame, 3, victim_session()) / 2u;
            length += random_bytes(frame + length, 1u + next_random() % 20u, false);
            break;
        case 4: /* longer than any */
            length = random_bytes(frame, 300u + next_random() % 600u, false);
            break;
        default: /* sound, and of another session */
            length = request(frame, 3, (uint16_t)(victim_session() + 1u + next_random() % 1000u));
            break;
        }
        frame[length++] = 0;
        victim_deliver(frame, length);
        if (next_random() % 64u == 0u) {
            victim_wait(next_random() % 400u);
        }
        if (i % 1024u == 0u && (victim_state() != state || victim_executed() != executed)) {
            victim_fail("noise changed the agent");
        }
    }
    if (victim_state() != state || victim_executed() != executed) {
        victim_fail("noise changed the agent");
    }
    printf("frames %lu good %lu executed %lu\n", frames, (unsigned long)victim_good_frames(),
           (unsigned long)(victim_executed() - executed));
    return 0;
}
