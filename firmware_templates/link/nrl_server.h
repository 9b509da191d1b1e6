/*
 * nrl_server.h: takes requests off the serial line and answers each exactly once (docs/protocol.md), whatever they are for.
 *
 * API
 *     nrl_server_init(server)                  once, after the port was initialised
 *     nrl_server_poll(server)                  again and again: reads, has requests executed, answers
 *     nrl_server_execute(server, ...)          is not here: whoever has a server says what its requests do
 *     nrl_server_payload(server)               where nrl_server_execute puts the payload of its answer
 *     nrl_server_answer, nrl_server_refuse     what nrl_server_execute returns
 *     server->counters                         what the line did, readable at any time
 *
 * Flow
 *     nrl_server_poll takes what the port has received (nrl_port.h) byte by byte through the frame receiver (nrl_frames.h).
 *     Nothing is acted upon before its CRC has passed. A good frame that is a request is then
 *       - answered with ERROR stale session, unless it carries the session of this boot and a HELLO came before it;
 *       - answered from the stored reply, if it is the request that was executed last: it is never executed twice;
 *       - answered with ERROR out of order, unless it carries the sequence number after that;
 *       - executed, and its reply stored and sent.
 *     HELLO is exempt: it tells the session and starts the sequence anew. Every request is answered.
 *     A frame whose next byte does not come within NRL_FRAME_TIMEOUT_MS is dropped and counted.
 */
#ifndef NRL_SERVER_H
#define NRL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nrl_frames.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_FRAME_TIMEOUT_MS 200u

/* Bytes of payload that an answer has room for. */
#define NRL_REPLY_ROOM (NRL_LARGEST_FRAME - NRL_FRAME_BYTES(0u))

/*
 * What a request is answered with: the payload is in the reply buffer already. Its length, and below that in eight bits the
 * message's type: one number, since small chips return a number in a register and a structure in memory.
 */
typedef uint32_t nrl_answer_t;

typedef struct nrl_server {
    nrl_link_status_reply_t counters; /* what LINK_STATUS_REPLY carries */
    nrl_receiver_t receiver;
    uint32_t last_byte_ms;     /* when the last byte came */
    uint32_t last_request_crc; /* with `sequence`: which request the stored reply belongs to */
    uint16_t session;
    uint16_t reply_length;
    uint8_t sequence; /* of the last executed request */
    bool greeted;     /* a HELLO came in this session */
    uint8_t reply[NRL_LARGEST_FRAME + NRL_FRAME_OVERHEAD];
} nrl_server_t;

void nrl_server_init(nrl_server_t *server);
void nrl_server_poll(nrl_server_t *server);

/* Do what a request asks for: one of this session that is new and in order, or HELLO. A firmware has one server. */
nrl_answer_t nrl_server_execute(nrl_server_t *server, uint8_t type, const uint8_t *payload, size_t length);

/* Send a frame that is sealed already. */
void nrl_server_send(nrl_server_t *server, const uint8_t *frame, size_t length);

static inline uint8_t *nrl_server_payload(nrl_server_t *server)
{
    return nrl_frame_payload(server->reply);
}

static inline nrl_answer_t nrl_server_answer(nrl_message_id_t type, size_t length)
{
    return ((nrl_answer_t)length << 8) | (nrl_answer_t)type;
}

nrl_answer_t nrl_server_refuse(nrl_server_t *server, uint8_t request, nrl_link_error_t code, uint32_t detail);

#ifdef __cplusplus
}
#endif

#endif
