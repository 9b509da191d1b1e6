/*
 * main.c: a plant for a learner on the host: a pole on a cart, simulated on this chip.
 *
 * With a real plant, reset brings it to where an episode may begin, step drives its motors and waits or measures, observe
 * reads its sensors, and stop switches its motors off.
 */
#include "nrl_cartpole.h"
#include "nrl_config.h"
#include "nrl_plant.h"
#include "nrl_port.h"
#include "nrl_project.h"

#define REWARD_FRAC_BITS 8
#define METRE (INT32_C(1) << NRL_CARTPOLE_FRAC_BITS)

static nrl_cartpole_t cartpole;
static nrl_plant_t plant;

static void reset(void *context, uint32_t seed)
{
    (void)context;
    nrl_cartpole_reset(&cartpole, seed);
}

static int32_t step(void *context, int action, bool *terminated)
{
    bool is_over;

    (void)context;
    /* The time limit is the plant's to keep. */
    nrl_cartpole_step(&cartpole, action, terminated, &is_over);
    return INT32_C(1) << REWARD_FRAC_BITS;
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
    /* A simulated cart stands still by not being simulated. */
    (void)context;
}

int main(int argc, char **argv)
{
    static const nrl_plant_config_t config = {
        "CartPole",
        NRL_CARTPOLE_FRAC_BITS,
        REWARD_FRAC_BITS,
        NRL_PLANT_NO_SAFE_ACTION,
        NRL_CARTPOLE_TIME_LIMIT,
        {-5 * METRE, -64 * METRE, -METRE, -8 * METRE},
        {5 * METRE, 64 * METRE, METRE, 8 * METRE},
        reset,
        step,
        observe,
        stop,
        NULL,
    };

    if (!nrl_port_init(argc, argv)) {
        return 1;
    }
    nrl_plant_init(&plant, &config);
    while (nrl_port_running()) {
        nrl_plant_poll(&plant);
    }
    return 0;
}
