/*
 * pendulum.c: gymnasium's Pendulum-v1 around the generated agent, step for step as the lock step on the host has it, for
 * observations scaled by 1, 1 and 1/4 and an action scale of 2. Arguments: a file of starts (angle, rate; doubles), the
 * number of episodes, the four words of the seed's state. Prints the return of each episode, then the CRC of the weights.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nrl_agent.h"

#define STEPS 200
#define PI 3.14159265358979323846

static nrl_entropy_t entropy;
static nrl_agent_t agent;

static double clipped(double value, double limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

/* As section 10 of docs/arithmetic.md has it, of a float32 observation. */
static int16_t quantised(double value, int bits)
{
    const double rounded = nearbyint(ldexp((double)(float)value, bits));

    return (int16_t)(rounded > 32767.0 ? 32767.0 : rounded < -32768.0 ? -32768.0 : rounded);
}

static double run_episode(double angle, double rate)
{
    double episode_return = 0.0;
    int32_t reward = 0;

    for (int step = 0;; ++step) {
        const int16_t observation[3] = {quantised(cos(angle), NRL_OBSERVATION_FRAC_BITS),
                                        quantised(sin(angle), NRL_OBSERVATION_FRAC_BITS),
                                        quantised(rate, NRL_OBSERVATION_FRAC_BITS - 2)};
        const bool is_over = step == STEPS;
        double torque, wrapped, cost;

        if (nrl_agent_step(&agent, observation, reward, false, is_over) < 0 && !is_over) {
            exit(4);
        }
        if (is_over) {
            return episode_return;
        }
        torque = (double)(float)clipped(agent.action[0] / 4096.0 * 2.0, 2.0);
        wrapped = fmod(angle + PI, 2.0 * PI);
        wrapped = (wrapped < 0.0 ? wrapped + 2.0 * PI : wrapped) - PI;
        cost = wrapped * wrapped + 0.1 * (rate * rate) + 0.001 * (double)((float)torque * (float)torque);
        rate = clipped(rate + (3 * 10.0 / (2 * 1.0) * sin(angle) + 3.0 / (1.0 * 1.0) * torque) * 0.05, 8.0);
        angle += rate * 0.05;
        episode_return -= cost;
        reward = (int32_t)nearbyint(ldexp(-cost, NRL_REWARD_FRAC_BITS));
    }
}

int main(int count, char **arguments)
{
    uint32_t state[4];
    FILE *starts;

    if (count != 7 || (starts = fopen(arguments[1], "rb")) == NULL) {
        return 2;
    }
    for (int i = 0; i < 4; ++i) {
        state[i] = (uint32_t)strtoul(arguments[3 + i], NULL, 0);
    }
    nrl_entropy_seed(&entropy, state);
    if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
        return 3;
    }
    for (int episode = atoi(arguments[2]); episode > 0; --episode) {
        double start[2];

        if (fread(start, sizeof start[0], 2, starts) != 2) {
            return 3;
        }
        printf("%.17g\n", run_episode(start[0], start[1]));
    }
    printf("%08" PRIx32 "\n", nrl_agent_weights_crc32(&agent));
    return 0;
}
