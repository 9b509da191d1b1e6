/*
 * nrl_link.c: executes a host's requests, each exactly once.
 */
#include "nrl_link.h"

#include "nrl_mark.h"
#include "nrl_port.h"
#include "nrl_rom.h"
#include "nrl_trng.h"
#if NRL_PROFILE
#include "nrl_measure.h"
#include "nrl_profile.h"
#endif

NRL_STATIC_ASSERT(counters_match, sizeof(((nrl_status_reply_t *)0)->counters) == sizeof(struct nrl_counters));
NRL_STATIC_ASSERT(actions_fit, NRL_ACTIONS < NRL_ACTION_EPISODE_ENDED);

static const uint8_t nrl_link_layer_sizes[] = NRL_LAYER_SIZES;
static const char nrl_link_board_name[] = NRL_BOARD_NAME;

NRL_STATIC_ASSERT(layer_sizes_fit, sizeof(nrl_link_layer_sizes) <= sizeof(((nrl_hello_reply_t *)0)->layer_sizes));
NRL_STATIC_ASSERT(build_id_fits, sizeof(nrl_build_id) == sizeof(((nrl_hello_reply_t *)0)->build_id));
NRL_STATIC_ASSERT(board_name_fits, sizeof(nrl_link_board_name) - 1 <= sizeof(((nrl_hello_reply_t *)0)->board));

/* ---- answers ---- */

static nrl_answer_t nrl_link_refuse_length(nrl_link_t *link, uint8_t request, size_t length)
{
    return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_WRONG_LENGTH, (uint32_t)length);
}

/* What is wrong with the noise, or else what the port says of its generator. */
static uint8_t nrl_link_entropy_health(const nrl_link_t *link)
{
    return link->noise->failure != NRL_TRNG_HEALTHY ? link->noise->failure : nrl_port_entropy_health();
}

/* The agent's status codes in the words of the link. */
static nrl_answer_t nrl_link_refuse_status(nrl_link_t *link, uint8_t request, int status)
{
    switch (status) {
    case NRL_ERROR_NO_EPISODE:
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_NO_EPISODE, 0);
    case NRL_ERROR_EPISODE_OPEN:
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_EPISODE_OPEN, 0);
    case NRL_ERROR_ENTROPY:
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_ENTROPY, nrl_link_entropy_health(link));
    case NRL_ERROR_SNAPSHOT:
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_SNAPSHOT_REFUSED, 0);
    default:
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_INTERNAL, (uint32_t)status);
    }
}

/* ---- requests ---- */

static uint8_t nrl_link_agent_state(const nrl_link_t *link)
{
    if (!link->agent_ready) {
        return NRL_AGENT_NOT_READY;
    }
    return link->agent->episode_open ? NRL_AGENT_EPISODE_OPEN : NRL_AGENT_READY;
}

static void nrl_link_copy_counters(uint32_t *values, const struct nrl_counters *counters)
{
    values[0] = counters->observation;
    values[1] = counters->pre_activation;
    values[2] = counters->difference;
    values[3] = counters->trace;
    values[4] = counters->weight;
    values[5] = counters->entropy;
}

static nrl_answer_t nrl_link_answer_hello(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_hello_t hello;
    nrl_hello_reply_t reply;

    /* The host compares versions and says what is wrong; it needs this reply to do so, whatever it sent. */
    if (!nrl_unpack_hello(payload, length, &hello)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_HELLO, length);
    }
    reply.protocol_min = NRL_PROTOCOL_MIN;
    reply.protocol_max = NRL_PROTOCOL_MAX;
    reply.table_hash = NRL_TABLE_HASH;
    for (size_t i = 0; i < sizeof(reply.build_id); ++i) {
        reply.build_id[i] = NRL_ROM_READ_U8(&nrl_build_id[i]);
    }
    for (size_t i = 0; i < sizeof(reply.board); ++i) {
        reply.board[i] = '\0';
    }
    for (size_t i = 0; i < sizeof(nrl_link_board_name) - 1; ++i) {
        reply.board[i] = nrl_link_board_name[i];
    }
    reply.agent_identity = NRL_AGENT_IDENTITY;
    reply.layers = (uint8_t)sizeof(nrl_link_layer_sizes);
    for (size_t i = 0; i < sizeof(reply.layer_sizes); ++i) {
        reply.layer_sizes[i] = 0;
    }
    for (size_t i = 0; i < sizeof(nrl_link_layer_sizes); ++i) {
        reply.layer_sizes[i] = nrl_link_layer_sizes[i];
    }
    reply.parameter_bits = NRL_PARAMETER_BITS;
    reply.observation_frac_bits = NRL_OBSERVATION_FRAC_BITS;
    reply.weight_frac_bits = NRL_WEIGHT_FRAC_BITS;
    reply.trace_frac_bits = NRL_TRACE_FRAC_BITS;
    reply.reward_frac_bits = NRL_REWARD_FRAC_BITS;
    reply.learning_rate_exponent = NRL_LEARNING_RATE_EXPONENT;
    reply.clip_exponent = (uint8_t)(NRL_CLIP_EXPONENT & 0xFF);
    reply.immediate_reward = NRL_IMMEDIATE_REWARD;
    reply.preset = NRL_PRESET;
    reply.outputs = NRL_OUTPUTS;
    reply.agent_state = nrl_link_agent_state(link);
    reply.entropy_mode = (uint8_t)link->entropy->mode;
    reply.entropy_health = nrl_link_entropy_health(link);
    reply.asks_for_key = NRL_LINK_PROTECTED;
    reply.largest_frame = (uint16_t)NRL_LARGEST_FRAME;
    reply.episodes = link->agent->episodes;
    reply.steps = link->agent->steps;
    return nrl_server_answer(NRL_MESSAGE_HELLO_REPLY,
                           nrl_pack_hello_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_ready(nrl_link_t *link)
{
    nrl_ready_t reply;
    reply.weights_crc32 = nrl_agent_weights_crc32(link->agent);
    reply.episodes = link->agent->episodes;
    reply.steps = link->agent->steps;
    return nrl_server_answer(NRL_MESSAGE_READY, nrl_pack_ready(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_begin(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_begin_t begin;
    int status;

    if (!nrl_unpack_begin(payload, length, &begin)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_BEGIN, length);
    }
    if (begin.entropy_mode == NRL_ENTROPY_SEEDED) {
        if ((begin.seed_state[0] | begin.seed_state[1] | begin.seed_state[2] | begin.seed_state[3]) == 0) {
            /* The one state that xoshiro128++ never leaves. */
            return nrl_server_refuse(&link->server, NRL_MESSAGE_BEGIN, NRL_LINK_ERROR_BAD_VALUE, 0);
        }
        nrl_entropy_seed(link->entropy, begin.seed_state);
    } else if (begin.entropy_mode == NRL_ENTROPY_RAW) {
        nrl_noise_start(link->noise);
        nrl_entropy_use(link->entropy, NRL_ENTROPY_RAW, nrl_noise_read, link->noise);
    } else if (begin.entropy_mode == NRL_ENTROPY_EXPANDED) {
        nrl_noise_start(link->noise);
        nrl_entropy_use(link->entropy, NRL_ENTROPY_EXPANDED, nrl_noise_read_expanded, link->noise);
    } else if (begin.entropy_mode == NRL_ENTROPY_REPLAY && link->entropy->mode == NRL_ENTROPY_REPLAY) {
        /* What NOISE_WRITE has supplied stays. */
        nrl_entropy_use(link->entropy, NRL_ENTROPY_REPLAY, nrl_noise_read_replayed, link->noise);
    } else {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_BEGIN, NRL_LINK_ERROR_MODE_UNAVAILABLE, begin.entropy_mode);
    }
    status = nrl_agent_init(link->agent, link->entropy);
    link->agent_ready = status == NRL_OK;
    return link->agent_ready ? nrl_link_answer_ready(link) : nrl_link_refuse_status(link, NRL_MESSAGE_BEGIN, status);
}

/* Save the agent where it is time to. False: the memory did not take it. */
static bool nrl_link_keep(nrl_link_t *link)
{
#if NRL_STORE_BYTES > 0
    if (link->agent->episodes % NRL_STORE_EVERY == 0u) {
        NRL_MARK(REPLY); /* what a save takes is another matter: STORE_STATUS tells */
        return nrl_store_save(link->store, link->agent) == NRL_STORE_SAVED;
    }
#else
    (void)link;
#endif
    return true;
}

static nrl_answer_t nrl_link_answer_step(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_step_t step;
    nrl_action_t reply;
    uint32_t entropy_failures = link->agent->counters.entropy;
    bool kept = true;
    int result;

    if (!nrl_unpack_step(payload, length, &step)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_STEP, length);
    }
    if (link->is_autonomous) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_STEP, NRL_LINK_ERROR_AUTONOMOUS, 0);
    }
    if ((step.flags & ~(NRL_STEP_TERMINATED | NRL_STEP_TRUNCATED)) != 0) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_STEP, NRL_LINK_ERROR_BAD_VALUE, step.flags);
    }
    NRL_MARK(OTHER);
    result = nrl_agent_step(link->agent, step.observation, step.reward, (step.flags & NRL_STEP_TERMINATED) != 0,
                            (step.flags & NRL_STEP_TRUNCATED) != 0);
    NRL_MARK(LINK);
    if (result == NRL_EPISODE_ENDED) {
        reply.action = NRL_ACTION_EPISODE_ENDED;
        link->telemetry_due = true;
        kept = nrl_link_keep(link);
    } else if (result == NRL_ERROR_SNAPSHOT) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_STEP, NRL_LINK_ERROR_RESTORE_OPEN, 0);
    } else if (result < 0) {
        return nrl_link_refuse_status(link, NRL_MESSAGE_STEP, result);
    } else {
        reply.action = (uint8_t)result;
    }
#if NRL_OUTPUTS > 0
    for (size_t k = 0; k < NRL_OUTPUTS; ++k) {
        reply.numbers[k] = link->agent->action[k];
    }
#endif
    reply.status = link->agent->counters.entropy != entropy_failures ? NRL_ACTION_ENTROPY_FAILED : 0;
    if ((link->entropy->mode == NRL_ENTROPY_RAW || link->entropy->mode == NRL_ENTROPY_EXPANDED) &&
        nrl_noise_log_is_full(link->noise)) {
        reply.status |= NRL_ACTION_NOISE_WAITS;
    }
    if (!kept) {
        reply.status |= NRL_ACTION_STORE_FAILED;
    }
    return nrl_server_answer(NRL_MESSAGE_ACTION, nrl_pack_action(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_status(nrl_link_t *link)
{
    nrl_status_reply_t reply;
    reply.agent_state = nrl_link_agent_state(link);
    reply.baseline_is_set = link->agent->baseline_is_set ? 1 : 0;
    reply.entropy_mode = (uint8_t)link->entropy->mode;
    reply.entropy_health = nrl_link_entropy_health(link);
    reply.episodes = link->agent->episodes;
    reply.steps = link->agent->steps;
    reply.return_baseline = link->agent->return_baseline;
    reply.episode_return = link->agent->episode_return;
    reply.episode_steps = link->agent->episode_steps;
    nrl_link_copy_counters(reply.counters, &link->agent->counters);
    reply.bytes_drawn = link->entropy->bytes_drawn;
    reply.noise_alarms = link->noise->soft_alarms;
    reply.weights_crc32 = nrl_agent_weights_crc32(link->agent);
    return nrl_server_answer(NRL_MESSAGE_STATUS_REPLY,
                           nrl_pack_status_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_snapshot_read(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_snapshot_read_t request;
    nrl_snapshot_data_t reply;
    uint8_t *data = nrl_server_payload(&link->server) + NRL_SNAPSHOT_DATA_BYTES;
    int status;

    if (!nrl_unpack_snapshot_read(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_SNAPSHOT_READ, length);
    }
    if (request.length > NRL_SNAPSHOT_DATA_DATA_MAXIMUM) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_SNAPSHOT_READ, NRL_LINK_ERROR_BAD_VALUE, request.length);
    }
    /* The agent writes straight into the reply; packing then finds the bytes where they belong. */
    status = nrl_agent_snapshot_read(link->agent, request.offset, data, request.length);
    if (status == NRL_ERROR_RANGE) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_SNAPSHOT_READ, NRL_LINK_ERROR_SNAPSHOT_RANGE, request.offset);
    }
    if (status == NRL_ERROR_SNAPSHOT) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_SNAPSHOT_READ, NRL_LINK_ERROR_RESTORE_OPEN, 0);
    }
    if (status != NRL_OK) {
        return nrl_link_refuse_status(link, NRL_MESSAGE_SNAPSHOT_READ, status);
    }
    reply.offset = request.offset;
    reply.data = data;
    reply.data_length = request.length;
    return nrl_server_answer(NRL_MESSAGE_SNAPSHOT_DATA,
                           nrl_pack_snapshot_data(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_noise_read(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_noise_read_t request;
    nrl_noise_data_t reply;
    uint8_t *data = nrl_server_payload(&link->server) + NRL_NOISE_DATA_BYTES;
    int32_t count;

    if (!nrl_unpack_noise_read(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_NOISE_READ, length);
    }
    count = nrl_noise_fetch(link->noise, request.position, data, (uint16_t)NRL_NOISE_DATA_DATA_MAXIMUM);
    if (count < 0) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_NOISE_READ, NRL_LINK_ERROR_NOISE_LOST, request.position);
    }
    reply.position = request.position;
    reply.data = data;
    reply.data_length = (size_t)count;
    return nrl_server_answer(NRL_MESSAGE_NOISE_DATA,
                           nrl_pack_noise_data(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_noise_write(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_noise_write_t request;
    nrl_noise_room_t reply;

    if (!nrl_unpack_noise_write(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_NOISE_WRITE, length);
    }
    if (NRL_NOISE_LOG_BYTES < NRL_NOISE_CALL_BYTES) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_NOISE_WRITE, NRL_LINK_ERROR_MODE_UNAVAILABLE, NRL_ENTROPY_REPLAY);
    }
    if (request.position == 0u) {
        /* The log of a run on raw noise is overwritten, so that run is over: nothing goes on as if it were not. */
        nrl_entropy_use(link->entropy, NRL_ENTROPY_REPLAY, nrl_noise_read_replayed, link->noise);
        link->agent_ready = false;
    } else if (link->entropy->mode != NRL_ENTROPY_REPLAY) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_NOISE_WRITE, NRL_LINK_ERROR_NOISE_POSITION, 0);
    }
    if (!nrl_noise_supply(link->noise, request.position, request.data, (uint16_t)request.data_length)) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_NOISE_WRITE, NRL_LINK_ERROR_NOISE_POSITION, link->noise->fetched);
    }
    reply.position = link->noise->fetched;
    reply.room = nrl_noise_room(link->noise);
    return nrl_server_answer(NRL_MESSAGE_NOISE_ROOM,
                           nrl_pack_noise_room(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_raw_read(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_raw_read_t request;
    nrl_raw_data_t reply;
    uint8_t *data = nrl_server_payload(&link->server) + NRL_RAW_DATA_BYTES;

    if (!nrl_unpack_raw_read(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_RAW_READ, length);
    }
    if (request.length > NRL_RAW_DATA_DATA_MAXIMUM) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_RAW_READ, NRL_LINK_ERROR_BAD_VALUE, request.length);
    }
    if (!nrl_port_entropy_read(NULL, data, request.length)) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_RAW_READ, NRL_LINK_ERROR_ENTROPY, nrl_port_entropy_health());
    }
    reply.offset = link->raw_bytes;
    reply.data = data;
    reply.data_length = request.length;
    link->raw_bytes += request.length;
    return nrl_server_answer(NRL_MESSAGE_RAW_DATA, nrl_pack_raw_data(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_restore_begin(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_restore_begin_t request;
    int status;

    if (!nrl_unpack_restore_begin(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_RESTORE_BEGIN, length);
    }
    if (request.length != NRL_SNAPSHOT_BYTES) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_RESTORE_BEGIN, NRL_LINK_ERROR_SNAPSHOT_REFUSED, request.length);
    }
    status = nrl_agent_restore_begin(link->agent);
    if (status != NRL_OK) {
        return nrl_link_refuse_status(link, NRL_MESSAGE_RESTORE_BEGIN, status);
    }
    return nrl_server_answer(NRL_MESSAGE_DONE, 0);
}

static nrl_answer_t nrl_link_answer_restore_write(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_restore_write_t request;
    int status;

    if (!nrl_unpack_restore_write(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_RESTORE_WRITE, length);
    }
    status = nrl_agent_restore_write(link->agent, request.offset, request.data, (uint32_t)request.data_length);
    if (status == NRL_ERROR_RANGE) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_RESTORE_WRITE, NRL_LINK_ERROR_SNAPSHOT_RANGE, request.offset);
    }
    if (status != NRL_OK) {
        return nrl_link_refuse_status(link, NRL_MESSAGE_RESTORE_WRITE, status);
    }
    return nrl_server_answer(NRL_MESSAGE_DONE, 0);
}

static nrl_answer_t nrl_link_answer_restore_commit(nrl_link_t *link)
{
    int status = nrl_agent_restore_commit(link->agent);
    if (status != NRL_OK) {
        return nrl_link_refuse_status(link, NRL_MESSAGE_RESTORE_COMMIT, status);
    }
    link->agent_ready = true;
    return nrl_link_answer_ready(link);
}

#if NRL_STORE_BYTES > 0

static nrl_answer_t nrl_link_answer_store(nrl_link_t *link, uint8_t request)
{
    nrl_store_status_reply_t reply;

    if (request == NRL_MESSAGE_STORE_SAVE) {
        const nrl_store_result_t result = nrl_store_save(link->store, link->agent);

        if (result == NRL_STORE_NOT_NOW) {
            return link->agent_ready ? nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_EPISODE_OPEN, 0)
                                     : nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_NOT_READY, 0);
        }
        if (result != NRL_STORE_SAVED) {
            return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_STORE_FAILED, 0);
        }
    } else if (request == NRL_MESSAGE_STORE_CLEAR && !nrl_store_clear(link->store)) {
        return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_STORE_FAILED, 0);
    }
    reply.holds_image = link->store->newest != NRL_STORE_NONE ? 1 : 0;
    reply.restored = link->store->restored ? 1 : 0;
    reply.save_every = NRL_STORE_EVERY;
    reply.sequence = link->store->sequence;
    reply.episodes = link->store->episodes;
    reply.image_crc32 = link->store->crc;
    reply.saves = link->store->saves;
    reply.failures = link->store->failures;
    reply.damaged = link->store->damaged;
    reply.longest_pause_ms = link->store->longest_pause_ms;
    return nrl_server_answer(NRL_MESSAGE_STORE_STATUS_REPLY,
                           nrl_pack_store_status_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

#else

static nrl_answer_t nrl_link_answer_store(nrl_link_t *link, uint8_t request)
{
    return nrl_server_refuse(&link->server, request, NRL_LINK_ERROR_STORE_ABSENT, 0);
}

#endif

#if NRL_LINK_PROTECTED

static nrl_answer_t nrl_link_answer_challenge(nrl_link_t *link)
{
    nrl_challenge_reply_t reply;

    for (size_t i = 0; i < sizeof(reply.nonce); ++i) {
        reply.nonce[i] = link->guard.nonce[i];
    }
    reply.counter = link->guard.counter;
    return nrl_server_answer(NRL_MESSAGE_CHALLENGE_REPLY,
                           nrl_pack_challenge_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_link_answer_authorize(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    nrl_authorize_t request;

    if (!nrl_unpack_authorize(payload, length, &request)) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_AUTHORIZE, length);
    }
    if (!nrl_guard_authorize(&link->guard, request.counter, request.tag)) {
        return nrl_server_refuse(&link->server, NRL_MESSAGE_AUTHORIZE, NRL_LINK_ERROR_BAD_VALUE, request.counter);
    }
    return nrl_server_answer(NRL_MESSAGE_DONE, 0);
}

static bool nrl_link_is_allowed(nrl_link_t *link, uint8_t type, const uint8_t *payload, size_t length)
{
    return !nrl_is_protected(type) || nrl_guard_allows(&link->guard, type, payload, (uint16_t)length);
}

#else

static nrl_answer_t nrl_link_answer_challenge(nrl_link_t *link)
{
    return nrl_server_refuse(&link->server, NRL_MESSAGE_CHALLENGE, NRL_LINK_ERROR_NOT_PROTECTED, 0);
}

static nrl_answer_t nrl_link_answer_authorize(nrl_link_t *link, const uint8_t *payload, size_t length)
{
    (void)payload;
    if (length != NRL_AUTHORIZE_BYTES) {
        return nrl_link_refuse_length(link, NRL_MESSAGE_AUTHORIZE, length);
    }
    return nrl_server_refuse(&link->server, NRL_MESSAGE_AUTHORIZE, NRL_LINK_ERROR_NOT_PROTECTED, 0);
}

static bool nrl_link_is_allowed(nrl_link_t *link, uint8_t type, const uint8_t *payload, size_t length)
{
    (void)link;
    (void)type;
    (void)payload;
    (void)length;
    return true;
}

#endif

#if NRL_PROFILE

NRL_STATIC_ASSERT(phases_match, sizeof(((nrl_profile_reply_t *)0)->counts) == NRL_PHASES * sizeof(uint32_t));
NRL_STATIC_ASSERT(marks_match, sizeof(((nrl_profile_reply_t *)0)->marks) == NRL_PHASES);

static nrl_answer_t nrl_link_answer_profile(nrl_link_t *link)
{
    const nrl_profile_call_t *call = nrl_profile_last();
    nrl_profile_reply_t reply;

    for (size_t i = 0; i < NRL_PHASES; ++i) {
        reply.counts[i] = call->counts[i];
        reply.marks[i] = call->marks[i];
    }
    reply.detail = NRL_PROFILE;
    reply.mark_cost = nrl_profile_mark_cost();
    reply.counts_per_second = nrl_measure_hz();
    reply.stack_bytes = nrl_measure_stack_bytes();
    return nrl_server_answer(NRL_MESSAGE_PROFILE_REPLY,
                           nrl_pack_profile_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &reply));
}

#endif

static nrl_answer_t nrl_link_answer_link_status(nrl_link_t *link)
{
    return nrl_server_answer(NRL_MESSAGE_LINK_STATUS_REPLY,
                           nrl_pack_link_status_reply(nrl_server_payload(&link->server), NRL_REPLY_ROOM, &link->server.counters));
}

nrl_answer_t nrl_server_execute(nrl_server_t *server, uint8_t type, const uint8_t *payload, size_t length)
{
    nrl_link_t *const link = (nrl_link_t *)(void *)server; /* its first member */
    bool needs_weights = type == NRL_MESSAGE_STEP || type == NRL_MESSAGE_SNAPSHOT_READ;
    bool is_for_store =
        type == NRL_MESSAGE_STORE_STATUS || type == NRL_MESSAGE_STORE_SAVE || type == NRL_MESSAGE_STORE_CLEAR;
    bool has_no_payload = type == NRL_MESSAGE_STATUS || type == NRL_MESSAGE_LINK_STATUS ||
                          type == NRL_MESSAGE_RESTORE_COMMIT || type == NRL_MESSAGE_CHALLENGE || is_for_store;

    if (!nrl_link_is_allowed(link, type, payload, length)) {
        return nrl_server_refuse(&link->server, type, NRL_LINK_ERROR_PROTECTED, 0);
    }
    if (needs_weights && !link->agent_ready) {
        return nrl_server_refuse(&link->server, type, NRL_LINK_ERROR_NOT_READY, 0);
    }
    if (has_no_payload && length != 0) {
        return nrl_link_refuse_length(link, type, length);
    }
    switch (type) {
    case NRL_MESSAGE_HELLO:
        return nrl_link_answer_hello(link, payload, length);
    case NRL_MESSAGE_BEGIN:
        return nrl_link_answer_begin(link, payload, length);
    case NRL_MESSAGE_STEP:
        return nrl_link_answer_step(link, payload, length);
    case NRL_MESSAGE_STATUS:
        return nrl_link_answer_status(link);
    case NRL_MESSAGE_LINK_STATUS:
        return nrl_link_answer_link_status(link);
    case NRL_MESSAGE_SNAPSHOT_READ:
        return nrl_link_answer_snapshot_read(link, payload, length);
    case NRL_MESSAGE_NOISE_READ:
        return nrl_link_answer_noise_read(link, payload, length);
    case NRL_MESSAGE_NOISE_WRITE:
        return nrl_link_answer_noise_write(link, payload, length);
    case NRL_MESSAGE_CHALLENGE:
        return nrl_link_answer_challenge(link);
    case NRL_MESSAGE_AUTHORIZE:
        return nrl_link_answer_authorize(link, payload, length);
    case NRL_MESSAGE_RAW_READ:
        return nrl_link_answer_raw_read(link, payload, length);
    case NRL_MESSAGE_STORE_STATUS:
    case NRL_MESSAGE_STORE_SAVE:
    case NRL_MESSAGE_STORE_CLEAR:
        return nrl_link_answer_store(link, type);
#if NRL_PROFILE
    case NRL_MESSAGE_PROFILE_READ:
        return length == 0 ? nrl_link_answer_profile(link) : nrl_link_refuse_length(link, type, length);
#endif
    case NRL_MESSAGE_RESTORE_BEGIN:
        return nrl_link_answer_restore_begin(link, payload, length);
    case NRL_MESSAGE_RESTORE_WRITE:
        return nrl_link_answer_restore_write(link, payload, length);
    case NRL_MESSAGE_RESTORE_COMMIT:
        return nrl_link_answer_restore_commit(link);
    default:
        return nrl_server_refuse(&link->server, type, NRL_LINK_ERROR_UNKNOWN_REQUEST, type);
    }
}

/* ---- telemetry ---- */

static void nrl_link_send_telemetry(nrl_link_t *link)
{
    nrl_header_t header;
    nrl_telemetry_t telemetry;
    size_t length;

    if (nrl_port_write_room() < NRL_TELEMETRY_FRAME_BYTES) {
        link->server.counters.telemetry_dropped++;
        return;
    }
    header.type = NRL_MESSAGE_TELEMETRY;
    header.sequence = 0;
    header.session = link->server.session;
    telemetry.episode = link->agent->episodes;
    telemetry.episode_return = link->agent->episode_return;
    telemetry.return_baseline = link->agent->return_baseline;
    telemetry.episode_steps = link->agent->episode_steps;
    nrl_link_copy_counters(telemetry.counters, &link->agent->counters);
    telemetry.dropped = link->server.counters.telemetry_dropped;
    telemetry.entropy_health = nrl_link_entropy_health(link);
    telemetry.noise_alarms = link->noise->soft_alarms;
    length = nrl_pack_telemetry(nrl_frame_payload(link->notice), NRL_TELEMETRY_BYTES, &telemetry);
    nrl_server_send(&link->server, link->notice, nrl_frame_seal(link->notice, &header, length));
}

bool nrl_link_episode_ended(nrl_link_t *link)
{
    const bool kept = nrl_link_keep(link);

    nrl_link_send_telemetry(link);
    return kept;
}

void nrl_link_init(nrl_link_t *link, nrl_agent_t *agent, nrl_entropy_t *entropy, nrl_noise_t *noise, nrl_store_t *store,
                   int agent_status)
{
    link->agent = agent;
    link->entropy = entropy;
    link->noise = noise;
    link->store = store;
    link->agent_ready = agent_status == NRL_OK;
    link->is_autonomous = false;
    nrl_server_init(&link->server);
#if NRL_LINK_PROTECTED
    nrl_guard_start(&link->guard, link->server.session);
#endif
    link->raw_bytes = 0;
    link->telemetry_due = false;
}

void nrl_link_poll(nrl_link_t *link)
{
    nrl_server_poll(&link->server);
    if (link->telemetry_due) {
        link->telemetry_due = false;
        nrl_link_send_telemetry(link);
    }
}
