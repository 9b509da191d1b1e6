/*
 * plant_port.c: a plant whose port is this program's memory, and whose clock stands until it is told to go on.
 */
#include "nrl_cartpole.h"
#include "nrl_plant.h"
#include "nrl_port.h"

#include <string.h>

static uint8_t incoming[4096];
static size_t taken, filled;
static uint8_t outgoing[65536];
static size_t sent;
static uint32_t now_ms;
static uint32_t reads_to_tick;
static nrl_plant_t plant;
static nrl_cartpole_t cartpole;
static int stops;

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

bool nrl_port_received(void)
{
    return taken < filled;
}

size_t nrl_port_read(uint8_t *bytes, size_t room)
{
    size_t count = 0;

    while (count < room && taken < filled) {
        bytes[count++] = incoming[taken++];
    }
    return count;
}

void nrl_port_write(const uint8_t *bytes, size_t length)
{
    memcpy(outgoing + sent, bytes, length);
    sent += length;
}

size_t nrl_port_write_room(void)
{
    return sizeof(outgoing) - sent;
}

/* A plant that waits for its clock waits for ever where that stands: after a hundred looks it goes on. */
uint32_t nrl_port_milliseconds(void)
{
    if (++reads_to_tick >= 100u) {
        reads_to_tick = 0;
        ++now_ms;
    }
    return now_ms;
}

uint16_t nrl_port_session(void)
{
    return 7;
}

static void reset(void *context, uint32_t seed)
{
    (void)context;
    nrl_cartpole_reset(&cartpole, seed);
}

static int32_t step(void *context, int action, bool *terminated)
{
    bool is_over;

    (void)context;
    nrl_cartpole_step(&cartpole, action, terminated, &is_over);
    return 256;
}

static void observe(void *context, int32_t observation[NRL_INPUTS])
{
    (void)context;
    observation[0] = cartpole.position;
    observation[1] = cartpole.speed;
    observation[2] = cartpole.angle;
    observation[3] = cartpole.rate;
}

static void stop(void *context)
{
    (void)context;
    ++stops;
}

void test_start(uint32_t time_limit, uint32_t start_ms)
{
    static nrl_plant_config_t config = {
        "a plant of tests", 24, 8, 1, 0, {-1, -2, -3, -4}, {1, 2, 3, 4}, reset, step, observe, stop, NULL,
    };

    config.time_limit = time_limit;
    taken = filled = sent = 0;
    stops = 0;
    now_ms = start_ms;
    reads_to_tick = 0;
    memset(&plant, 0xa5, sizeof(plant));
    nrl_plant_init(&plant, &config);
}

/* Hand bytes to the plant, let it poll, and take what it sends. Returns how many bytes that were. */
size_t test_talk(const uint8_t *bytes, size_t length, uint8_t *answer)
{
    const size_t count = (memcpy(incoming, bytes, length), taken = 0, filled = length, sent = 0, (size_t)0);

    (void)count;
    do {
        nrl_plant_poll(&plant);
    } while (taken < filled);
    memcpy(answer, outgoing, sent);
    return sent;
}

/* Let so many milliseconds pass, with a poll after each. */
void test_pass(uint32_t milliseconds)
{
    while (milliseconds-- > 0u) {
        ++now_ms;
        reads_to_tick = 0;
        nrl_plant_poll(&plant);
    }
}

int test_stops(void)
{
    return stops;
}

uint32_t test_now(void)
{
    return now_ms;
}
