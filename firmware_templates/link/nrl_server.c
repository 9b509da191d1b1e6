/*
 * nrl_server.c: requests, each executed exactly once.
 */
#include "nrl_server.h"

#include "nrl_mark.h"
#include "nrl_port.h"

/* Bytes taken from the port at once: on the stack, so that it costs no static memory. */
#define NRL_READ_CHUNK 64u

nrl_answer_t nrl_server_refuse(nrl_server_t *server, uint8_t request, nrl_link_error_t code, uint32_t detail)
{
    nrl_error_t error;

    error.code = (uint8_t)code;
    error.request = request;
    error.detail = detail;
    return nrl_server_answer(NRL_MESSAGE_ERROR,
                             nrl_pack_error(nrl_server_payload(server), NRL_REPLY_ROOM, &error));
}

void nrl_server_send(nrl_server_t *server, const uint8_t *frame, size_t length)
{
    server->counters.frames_out++;
    nrl_port_write(frame, length);
}

/* An ERROR that must not replace the stored reply, because the request that it answers is not part of the sequence. */
static void nrl_server_send_error(nrl_server_t *server, const nrl_header_t *request, nrl_link_error_t code,
                                  uint32_t detail)
{
    uint8_t frame[NRL_FRAME_BYTES(NRL_ERROR_BYTES) + NRL_FRAME_OVERHEAD];
    nrl_header_t header;
    nrl_error_t error;
    size_t length;

    header.type = NRL_MESSAGE_ERROR;
    header.sequence = request->sequence;
    header.session = server->session;
    error.code = (uint8_t)code;
    error.request = request->type;
    error.detail = detail;
    length = nrl_pack_error(nrl_frame_payload(frame), NRL_ERROR_BYTES, &error);
    nrl_server_send(server, frame, nrl_frame_seal(frame, &header, length));
}

static void nrl_server_handle_frame(nrl_server_t *server)
{
    const uint8_t *payload = server->receiver.bytes + NRL_HEADER_BYTES;
    const size_t length = server->receiver.length - NRL_HEADER_BYTES;
    /* The receiver leaves the CRC where it was: just behind header and payload. */
    const uint32_t request_crc = nrl_get_u32(server->receiver.bytes + server->receiver.length);
    nrl_header_t header;
    nrl_answer_t answer;

    server->counters.frames_in++;
    nrl_unpack_header(server->receiver.bytes, &header);
    if (header.type >= NRL_FIRST_LOSSY_ID) {
        /* Not answered: on a line that echoes, the answer would come back here for ever. */
        server->counters.unexpected++;
        return;
    }
    if (header.type != NRL_MESSAGE_HELLO) {
        if (!server->greeted || header.session != server->session) {
            server->counters.stale_session++;
            nrl_server_send_error(server, &header, NRL_LINK_ERROR_STALE_SESSION, server->session);
            return;
        }
        if (header.sequence == server->sequence && request_crc == server->last_request_crc) {
            server->counters.repeated++;
            nrl_server_send(server, server->reply, server->reply_length);
            return;
        }
        if (header.sequence != (uint8_t)(server->sequence + 1u)) {
            server->counters.out_of_order++;
            nrl_server_send_error(server, &header, NRL_LINK_ERROR_OUT_OF_ORDER, server->sequence);
            return;
        }
    }
    answer = nrl_server_execute(server, header.type, payload, length);
    server->greeted = true;
    server->sequence = header.sequence;
    server->last_request_crc = request_crc;
    header.type = (uint8_t)answer;
    header.session = server->session;
    server->reply_length = (uint16_t)nrl_frame_seal(server->reply, &header, (size_t)(answer >> 8));
    NRL_MARK(REPLY);
    nrl_server_send(server, server->reply, server->reply_length);
}

static void nrl_server_receive(nrl_server_t *server, uint8_t byte)
{
    if (byte == 0) {
        NRL_MARK(FRAME);
    }
    switch (nrl_receiver_byte(&server->receiver, byte)) {
    case NRL_FRAME_GOOD:
        nrl_server_handle_frame(server);
        break;
    case NRL_FRAME_BAD_CRC:
        server->counters.bad_crc++;
        break;
    case NRL_FRAME_OVERLONG:
        server->counters.overlong++;
        break;
    case NRL_FRAME_MALFORMED:
        server->counters.malformed++;
        break;
    case NRL_FRAME_NONE:
        break;
    }
    NRL_MARK(REPLY); /* there may have been none */
}

void nrl_server_init(nrl_server_t *server)
{
    static const nrl_link_status_reply_t zero_counters = {0};

    server->counters = zero_counters;
    server->last_byte_ms = 0;
    server->last_request_crc = 0;
    server->session = nrl_port_session();
    if (server->session == 0) {
        server->session = 1; /* 0 is what a host sends before it knows the session */
    }
    server->reply_length = 0;
    server->sequence = 0;
    server->greeted = false;
    nrl_receiver_reset(&server->receiver);
}

void nrl_server_poll(nrl_server_t *server)
{
    uint8_t bytes[NRL_READ_CHUNK];
    const size_t count = nrl_port_read(bytes, sizeof(bytes));

    if (nrl_receiver_pending(&server->receiver) &&
        nrl_port_milliseconds() - server->last_byte_ms > NRL_FRAME_TIMEOUT_MS) {
        nrl_receiver_reset(&server->receiver);
        server->counters.half_frames++;
    }
    for (size_t i = 0; i < count; ++i) {
        nrl_server_receive(server, bytes[i]);
    }
    if (count != 0 && nrl_receiver_pending(&server->receiver)) {
        server->last_byte_ms = nrl_port_milliseconds();
    }
}
