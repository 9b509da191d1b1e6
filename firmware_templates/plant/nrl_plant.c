/*
 * nrl_plant.c: a plant behind a serial line.
 */
#include "nrl_plant.h"

#include "nrl_port.h"

NRL_STATIC_ASSERT(inputs_fit, NRL_INPUTS <= NRL_PLANT_LARGEST_INPUTS);
NRL_STATIC_ASSERT(state_fits, sizeof(((nrl_plant_state_t *)0)->observation) == NRL_PLANT_LARGEST_INPUTS * 4);
NRL_STATIC_ASSERT(actions_fit, NRL_ACTIONS < NRL_PLANT_NO_SAFE_ACTION);

static const uint8_t nrl_plant_build_id[] = NRL_BUILD_ID;
static const char nrl_plant_board_name[] = NRL_BOARD_NAME;

static bool nrl_plant_is_over(const nrl_plant_t *plant)
{
    return !plant->has_begun || plant->flags != 0u;
}

/* Milliseconds until the next step; 0 or less: it is due. */
static int32_t nrl_plant_ahead(const nrl_plant_t *plant)
{
    return (int32_t)(plant->due_ms - nrl_port_milliseconds());
}

static void nrl_plant_advance(nrl_plant_t *plant)
{
    const nrl_plant_config_t *const config = plant->config;
    bool terminated = false;

    plant->reward += config->step(config->context, plant->action, &terminated);
    ++plant->step;
    if (terminated) {
        plant->flags |= NRL_PLANT_TERMINATED;
    }
    if (config->time_limit != 0u && plant->step >= config->time_limit) {
        plant->flags |= NRL_PLANT_TRUNCATED;
    }
    plant->due_ms += plant->period_ms;
}

static nrl_answer_t nrl_plant_tell(nrl_plant_t *plant)
{
    nrl_plant_state_t state;
    int32_t observation[NRL_INPUTS];

    plant->config->observe(plant->config->context, observation);
    for (unsigned i = 0; i < NRL_PLANT_LARGEST_INPUTS; ++i) {
        state.observation[i] = i < NRL_INPUTS ? observation[i] : 0;
    }
    state.reward = plant->reward;
    state.flags = plant->flags;
    state.step = plant->step;
    state.missed = plant->missed;
    state.time_ms = nrl_port_milliseconds();
    plant->reward = 0;
    plant->is_told = plant->flags != 0u;
    return nrl_server_answer(NRL_MESSAGE_PLANT_STATE, nrl_pack_plant_state(nrl_server_payload(&plant->server),
                                                                           NRL_REPLY_ROOM, &state));
}

static void nrl_plant_copy_text(char *to, size_t room, const char *text)
{
    bool ended = false;

    for (size_t i = 0; i < room; ++i) {
        ended = ended || text[i] == '\0';
        to[i] = ended ? '\0' : text[i];
    }
}

/* Who is here: the host's link needs it to begin. The plant has no agent, and says so by an identity of 0. */
static nrl_answer_t nrl_plant_answer_hello(nrl_plant_t *plant)
{
    static const nrl_hello_reply_t nobody = {0};
    nrl_hello_reply_t reply = nobody;

    reply.protocol_min = NRL_PROTOCOL_MIN;
    reply.protocol_max = NRL_PROTOCOL_MAX;
    reply.table_hash = NRL_TABLE_HASH;
    for (size_t i = 0; i < sizeof(reply.build_id); ++i) {
        reply.build_id[i] = nrl_plant_build_id[i];
    }
    nrl_plant_copy_text(reply.board, sizeof(reply.board), nrl_plant_board_name);
    reply.layers = 2;
    reply.layer_sizes[0] = NRL_INPUTS;
    reply.layer_sizes[1] = NRL_ACTIONS;
    reply.largest_frame = (uint16_t)NRL_LARGEST_FRAME;
    return nrl_server_answer(NRL_MESSAGE_HELLO_REPLY, nrl_pack_hello_reply(nrl_server_payload(&plant->server),
                                                                           NRL_REPLY_ROOM, &reply));
}

static nrl_answer_t nrl_plant_answer_plant_hello(nrl_plant_t *plant)
{
    const nrl_plant_config_t *const config = plant->config;
    nrl_plant_hello_reply_t reply;

    nrl_plant_copy_text(reply.name, sizeof(reply.name), config->name);
    reply.inputs = NRL_INPUTS;
    reply.actions = NRL_ACTIONS;
    reply.safe_action = config->safe_action;
    reply.observation_frac_bits = config->observation_frac_bits;
    reply.reward_frac_bits = config->reward_frac_bits;
    reply.time_limit = config->time_limit;
    return nrl_server_answer(NRL_MESSAGE_PLANT_HELLO_REPLY,
                             nrl_pack_plant_hello_reply(nrl_server_payload(&plant->server), NRL_REPLY_ROOM,
                                                        &reply));
}

static nrl_answer_t nrl_plant_answer_bounds(nrl_plant_t *plant, const nrl_plant_bounds_t *request)
{
    nrl_plant_bounds_reply_t reply;

    if (request->input >= NRL_INPUTS) {
        return nrl_server_refuse(&plant->server, NRL_MESSAGE_PLANT_BOUNDS, NRL_LINK_ERROR_BAD_VALUE, request->input);
    }
    reply.low = plant->config->low[request->input];
    reply.high = plant->config->high[request->input];
    return nrl_server_answer(NRL_MESSAGE_PLANT_BOUNDS_REPLY,
                             nrl_pack_plant_bounds_reply(nrl_server_payload(&plant->server), NRL_REPLY_ROOM,
                                                         &reply));
}

static nrl_answer_t nrl_plant_answer_reset(nrl_plant_t *plant, const nrl_plant_reset_t *request)
{
    plant->config->reset(plant->config->context, request->seed);
    plant->period_ms = request->period_ms;
    plant->timeout_ms = request->timeout_ms;
    plant->step = 0;
    plant->missed = 0;
    plant->reward = 0;
    plant->action = 0;
    plant->flags = 0;
    plant->has_begun = true;
    plant->action_ms = nrl_port_milliseconds();
    plant->due_ms = plant->action_ms + plant->period_ms;
    return nrl_plant_tell(plant);
}

static nrl_answer_t nrl_plant_answer_step(nrl_plant_t *plant, const nrl_plant_step_t *request)
{
    if (request->action >= NRL_ACTIONS) {
        return nrl_server_refuse(&plant->server, NRL_MESSAGE_PLANT_STEP, NRL_LINK_ERROR_BAD_VALUE, request->action);
    }
    if (nrl_plant_is_over(plant)) {
        /* It may have ended while the host was silent: then this is how the host learns of it. */
        return plant->has_begun && !plant->is_told
                   ? nrl_plant_tell(plant)
                   : nrl_server_refuse(&plant->server, NRL_MESSAGE_PLANT_STEP, NRL_LINK_ERROR_PLANT_OVER, 0);
    }
    plant->action = request->action;
    plant->action_ms = nrl_port_milliseconds();
    if (plant->period_ms != 0u) {
        while (nrl_plant_ahead(plant) > 0) {
            /* The line is taken care of by interrupts, and nothing else is due before. */
        }
    }
    nrl_plant_advance(plant);
    return nrl_plant_tell(plant);
}

nrl_answer_t nrl_server_execute(nrl_server_t *server, uint8_t type, const uint8_t *payload, size_t length)
{
    nrl_plant_t *const plant = (nrl_plant_t *)(void *)server; /* its first member */
    nrl_hello_t hello;
    nrl_plant_bounds_t bounds;
    nrl_plant_reset_t reset;
    nrl_plant_step_t step;

    switch (type) {
    case NRL_MESSAGE_HELLO:
        if (nrl_unpack_hello(payload, length, &hello)) {
            return nrl_plant_answer_hello(plant);
        }
        break;
    case NRL_MESSAGE_PLANT_HELLO:
        if (length == 0u) {
            return nrl_plant_answer_plant_hello(plant);
        }
        break;
    case NRL_MESSAGE_PLANT_BOUNDS:
        if (nrl_unpack_plant_bounds(payload, length, &bounds)) {
            return nrl_plant_answer_bounds(plant, &bounds);
        }
        break;
    case NRL_MESSAGE_PLANT_RESET:
        if (nrl_unpack_plant_reset(payload, length, &reset)) {
            return nrl_plant_answer_reset(plant, &reset);
        }
        break;
    case NRL_MESSAGE_PLANT_STEP:
        if (nrl_unpack_plant_step(payload, length, &step)) {
            return nrl_plant_answer_step(plant, &step);
        }
        break;
    case NRL_MESSAGE_LINK_STATUS:
        if (length == 0u) {
            return nrl_server_answer(NRL_MESSAGE_LINK_STATUS_REPLY,
                                     nrl_pack_link_status_reply(nrl_server_payload(&plant->server),
                                                                NRL_REPLY_ROOM, &plant->server.counters));
        }
        break;
    default:
        return nrl_server_refuse(&plant->server, type, NRL_LINK_ERROR_UNKNOWN_REQUEST, type);
    }
    return nrl_server_refuse(&plant->server, type, NRL_LINK_ERROR_WRONG_LENGTH, (uint32_t)length);
}

void nrl_plant_init(nrl_plant_t *plant, const nrl_plant_config_t *config)
{
    plant->config = config;
    plant->step = 0;
    plant->missed = 0;
    plant->due_ms = 0;
    plant->action_ms = 0;
    plant->reward = 0;
    plant->period_ms = 0;
    plant->timeout_ms = 0;
    plant->action = 0;
    plant->flags = 0;
    plant->has_begun = false;
    plant->is_told = false;
    nrl_server_init(&plant->server);
}

void nrl_plant_poll(nrl_plant_t *plant)
{
    const bool moves = !nrl_plant_is_over(plant);

    if (moves && plant->timeout_ms != 0u && nrl_port_milliseconds() - plant->action_ms > plant->timeout_ms) {
        plant->flags |= NRL_PLANT_STOPPED;
        plant->config->stop(plant->config->context);
    } else if (moves && plant->period_ms != 0u && nrl_plant_ahead(plant) < 0) {
        /* The whole millisecond in which the step was due has gone by without an action. */
        ++plant->missed;
        nrl_plant_advance(plant);
    }
    /* Reading sleeps until something happens; a plant that keeps time has no time for that. */
    if (!moves || plant->period_ms == 0u || nrl_port_received()) {
        nrl_server_poll(&plant->server);
    }
}
