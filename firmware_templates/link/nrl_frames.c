/*
 * nrl_frames.c: COBS frames with a CRC, received byte by byte and sealed in place.
 */
#include "nrl_frames.h"

#include "nrl_crc32.h"

static uint32_t nrl_frame_crc(const uint8_t *content, size_t length)
{
    return nrl_crc32(nrl_has_plain_crc(content[0]) ? 0u : NRL_TABLE_HASH, content, length);
}

void nrl_receiver_reset(nrl_receiver_t *receiver)
{
    receiver->length = 0;
    receiver->block_left = 0;
    receiver->started = false;
    receiver->zero_follows = false;
    receiver->dropping = false;
}

bool nrl_receiver_pending(const nrl_receiver_t *receiver)
{
    return receiver->started;
}

/* The delimiter has come: is what lies before it a frame? */
static nrl_frame_event_t nrl_frame_finish(nrl_receiver_t *receiver)
{
    size_t content;
    if (receiver->block_left != 0 || receiver->length < NRL_FRAME_BYTES(0u)) {
        return NRL_FRAME_MALFORMED;
    }
    content = receiver->length - NRL_CRC_BYTES;
    if (nrl_frame_crc(receiver->bytes, content) != nrl_get_u32(receiver->bytes + content)) {
        return NRL_FRAME_BAD_CRC;
    }
    receiver->length = (uint16_t)content;
    return NRL_FRAME_GOOD;
}

static bool nrl_frame_append(nrl_receiver_t *receiver, uint8_t byte)
{
    if (receiver->length == NRL_LARGEST_FRAME) {
        receiver->dropping = true;
        return false;
    }
    receiver->bytes[receiver->length++] = byte;
    return true;
}

nrl_frame_event_t nrl_receiver_byte(nrl_receiver_t *receiver, uint8_t byte)
{
    if (byte == 0) {
        nrl_frame_event_t event = NRL_FRAME_NONE;
        uint16_t length;
        /* An overlong frame was reported when it became too long; two delimiters in a row are no frame and no error. */
        if (receiver->started && !receiver->dropping) {
            event = nrl_frame_finish(receiver);
        }
        length = receiver->length;
        nrl_receiver_reset(receiver);
        if (event == NRL_FRAME_GOOD) {
            receiver->length = length;
        }
        return event;
    }
    if (!receiver->started) {
        nrl_receiver_reset(receiver);
        receiver->started = true;
    }
    if (receiver->dropping) {
        return NRL_FRAME_NONE;
    }
    if (receiver->block_left != 0) {
        receiver->block_left--;
        return nrl_frame_append(receiver, byte) ? NRL_FRAME_NONE : NRL_FRAME_OVERLONG;
    }
    if (receiver->zero_follows && !nrl_frame_append(receiver, 0)) {
        return NRL_FRAME_OVERLONG;
    }
    receiver->block_left = (uint8_t)(byte - 1u);
    receiver->zero_follows = byte != 0xFFu;
    return NRL_FRAME_NONE;
}

size_t nrl_frame_seal(uint8_t *frame, const nrl_header_t *header, size_t payload_length)
{
    uint8_t *content = frame + 1;
    size_t length = NRL_HEADER_BYTES + payload_length;
    size_t code_at = 0;

    nrl_pack_header(content, header);
    nrl_put_u32(content + length, nrl_frame_crc(content, length));
    length += NRL_CRC_BYTES;

    /* COBS in place: every zero becomes the distance to the next one. */
    for (size_t i = 1; i <= length; ++i) {
        if (frame[i] == 0) {
            frame[code_at] = (uint8_t)(i - code_at);
            code_at = i;
        }
    }
    frame[code_at] = (uint8_t)(length + 1 - code_at);
    frame[length + 1] = 0;
    return length + NRL_FRAME_OVERHEAD;
}
