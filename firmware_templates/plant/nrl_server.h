/*
 * nrl_server.h: takes requests off the serial line and answers each exactly once (docs/protocol.md), whatever they are for.
 *
 *     nrl_server_init(server, execute, context)   once, after the port was initialised
 *     nrl_server_poll(server)                     again and again: reads, has requests executed, answers
 *     nrl_server_payload(server)                  where `execute` puts the payload of its answer
 *     nrl_server_answer, nrl_server_refuse        what `execute` returns
 *
 * `execute` is called for a request of this session that is new and in order; a repeated one is answered from memory, and
 * all else is refused or dropped before. HELLO comes to it as well.
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

#define NRL_SERVER_FRAME_TIMEOUT_MS 200u

/* Bytes of payload that an answer has room for. */
#define NRL_SERVER_REPLY_ROOM (NRL_LARGEST_FRAME - NRL_FRAME_BYTES(0u))

/* What a request is answered with: the payload is in the reply buffer already. */
typedef struct nrl_server_reply {
    uint8_t type;
    size_t length;
} nrl_server_reply_t;

typedef nrl_server_reply_t (*nrl_server_execute_t)(void *context, uint8_t type, const uint8_t *payload, size_t length);

typedef struct nrl_server {
    nrl_server_execute_t execute;
    void *context;
    nrl_link_status_reply_t counters; /* what LINK_STATUS_REPLY carries */
    nrl_receiver_t receiver;
    uint32_t last_byte_ms;
    uint32_t last_request_crc; /* with `sequence`: which request the stored reply belongs to */
    uint16_t session;
    uint16_t reply_length;
    uint8_t sequence; /* of the last executed request */
    bool greeted;     /* a HELLO came in this session */
    uint8_t reply[NRL_LARGEST_FRAME + NRL_FRAME_OVERHEAD];
    uint8_t notice[NRL_FRAME_BYTES(NRL_ERROR_BYTES) + NRL_FRAME_OVERHEAD];
} nrl_server_t;

void nrl_server_init(nrl_server_t *server, nrl_server_execute_t execute, void *context);
void nrl_server_poll(nrl_server_t *server);

static inline uint8_t *nrl_server_payload(nrl_server_t *server)
{
    return nrl_frame_payload(server->reply);
}

nrl_server_reply_t nrl_server_answer(nrl_message_id_t type, size_t length);
nrl_server_reply_t nrl_server_refuse(nrl_server_t *server, uint8_t request, nrl_link_error_t code, uint32_t detail);

#ifdef __cplusplus
}
#endif

#endif
