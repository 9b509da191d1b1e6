/*
 * fuzz_messages.c: libFuzzer: a host that speaks the protocol, and asks for anything. Its frames are sound, what is in
 * them is not; some come twice, some out of order, some of another session.
 *
 * An input is a list of requests: id, how (bit 0: send it twice, bit 1: out of order, bit 2: another session, bit 3: with
 * a flipped bit before it, bits 4 and 5: time passes, bit 6: not authorized where the firmware has a key), length, payload.
 */
#include <string.h>

#include "nrl_messages.h"
#include "victim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_not_change(const uint8_t *frame, size_t length, const char *what)
{
    const uint32_t state = victim_state();

    victim_deliver(frame, length);
    if (victim_state() != state) {
        victim_fail(what);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t greeting[6] = {NRL_PROTOCOL_MIN, NRL_PROTOCOL_MAX, 0, 0, 0, 0};
    uint8_t frame[VICTIM_FRAME_BYTES];
    uint8_t authorize[VICTIM_AUTHORIZE_BYTES];
    uint8_t sequence = 1;
    size_t at = 0;

    victim_boot();
    victim_deliver(frame, victim_frame(frame, NRL_MESSAGE_HELLO, sequence, 0, greeting, sizeof(greeting)));
    while (at + 3u <= size) {
        const uint8_t type = data[at];
        const uint8_t how = data[at + 1u];
        size_t length = data[at + 2u];
        const uint8_t *const payload = data + at + 3u;
        size_t bytes;

        length = size - at - 3u < length ? size - at - 3u : length;
        at += 3u + length;
        if ((how & 2u) != 0u) {
            bytes = victim_frame(frame, type, (uint8_t)(sequence + 2u), victim_session(), payload, length);
            if (type != NRL_MESSAGE_HELLO) {
                must_not_change(frame, bytes, "a request out of order was executed");
            }
        }
        if ((how & 4u) != 0u && type != NRL_MESSAGE_HELLO) {
            bytes = victim_frame(frame, type, (uint8_t)(sequence + 1u), (uint16_t)(victim_session() ^ 1u), payload, length);
            must_not_change(frame, bytes, "a request of another session was executed");
        }
        if ((how & 0x40u) == 0u && victim_authorize(authorize, type, payload, length)) {
            ++sequence;
            bytes = victim_frame(frame, NRL_MESSAGE_AUTHORIZE, sequence, victim_session(), authorize, sizeof(authorize));
            victim_deliver(frame, bytes);
        }
        ++sequence;
        bytes = victim_frame(frame, type, sequence, victim_session(), payload, length);
        if ((how & 8u) != 0u) {
            uint8_t spoilt[VICTIM_FRAME_BYTES];

            memcpy(spoilt, frame, bytes);
            spoilt[how % (bytes - 1u)] ^= (uint8_t)(1u << (how >> 5));
            must_not_change(spoilt, bytes, "a frame with a flipped bit was executed");
            must_not_change((const uint8_t *)"", 1, "a delimiter changed the agent");
        }
        victim_deliver(frame, bytes);
        if ((how & 1u) != 0u && type != 0u && type < NRL_FIRST_LOSSY_ID && type != NRL_MESSAGE_HELLO) {
            uint8_t first[VICTIM_FRAME_BYTES + 200u];
            size_t first_length;
            size_t second_length;
            const uint8_t *answer = victim_reply(&first_length);

            memcpy(first, answer, first_length);
            must_not_change(frame, bytes, "a repeated request was executed twice");
            answer = victim_reply(&second_length);
            if (first_length != second_length || memcmp(first, answer, first_length) != 0) {
                victim_fail("a repeated request was answered otherwise");
            }
        }
        if (type >= NRL_FIRST_LOSSY_ID) {
            --sequence; /* no request: not counted */
        }
        if ((how & 0x30u) == 0x30u) {
            victim_wait(100u * (how >> 4));
        }
    }
    return 0;
}
