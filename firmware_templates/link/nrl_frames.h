/*
 * nrl_frames.h: Frames: COBS with a 0x00 delimiter around header, payload and CRC-32.
 *
 *     nrl_receiver_reset(receiver)           forget a half-received frame
 *     nrl_receiver_pending(receiver)         is a frame half received?
 *     nrl_receiver_byte(receiver, byte)      take one byte from the line; NRL_FRAME_GOOD: a frame is in receiver->bytes
 *     nrl_frame_payload(frame)               where the payload goes in a frame that is to be sealed
 *     nrl_frame_seal(frame, header, length)  add header, CRC, COBS and delimiter in place; returns the bytes to send
 *
 * The receiver decodes COBS as the bytes come, so it needs room for one frame and no more. It hands out nothing whose CRC
 * does not pass. After any error it drops everything up to the next 0x00.
 *
 * The CRC is zlib's CRC-32 with the table's hash as the start value (0 for HELLO and its reply).
 */
#ifndef NRL_FRAMES_H
#define NRL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nrl_messages.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One COBS code byte before and one delimiter behind the frame. */
#define NRL_FRAME_OVERHEAD 2u

typedef enum {
    NRL_FRAME_NONE = 0,     /* nothing complete yet */
    NRL_FRAME_GOOD = 1,     /* a frame is in bytes[0 .. length - 1], without its CRC */
    NRL_FRAME_BAD_CRC = 2,
    NRL_FRAME_OVERLONG = 3,
    NRL_FRAME_MALFORMED = 4 /* its COBS code was cut short, or it was shorter than header and CRC */
} nrl_frame_event_t;

typedef struct nrl_receiver {
    uint8_t bytes[NRL_LARGEST_FRAME];
    uint16_t length;
    uint8_t block_left;  /* bytes that are still to come in the current COBS block */
    bool started;        /* a byte other than 0x00 came since the last delimiter */
    bool zero_follows;   /* the current block ends in a zero, unless the frame ends with it */
    bool dropping;       /* too long: ignore everything up to the next delimiter */
} nrl_receiver_t;

void nrl_receiver_reset(nrl_receiver_t *receiver);
bool nrl_receiver_pending(const nrl_receiver_t *receiver);
nrl_frame_event_t nrl_receiver_byte(nrl_receiver_t *receiver, uint8_t byte);

/* `frame` has room for NRL_FRAME_BYTES(payload) + NRL_FRAME_OVERHEAD bytes. */
static inline uint8_t *nrl_frame_payload(uint8_t *frame)
{
    return frame + 1 + NRL_HEADER_BYTES;
}

size_t nrl_frame_seal(uint8_t *frame, const nrl_header_t *header, size_t payload_length);

#ifdef __cplusplus
}
#endif

#endif
