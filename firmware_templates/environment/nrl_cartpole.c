/*
 * nrl_cartpole.c: a pole on a cart, in integers. docs/on-chip.md derives the constants.
 *
 * State in Q24, accelerations in Q18. `>>` of a negative number is the arithmetic shift, as in the rest of the C.
 */
#include "nrl_cartpole.h"

#define ONE_Q24 (INT32_C(1) << 24)

/* 2.4 m, and 12 degrees in radians, in Q24. */
#define POSITION_LIMIT INT32_C(40265318)
#define ANGLE_LIMIT INT32_C(3513812)
/* Nothing reaches these within the limits above; they keep every product within 32 bits whatever the state. */
#define RATE_LIMIT (8 * ONE_Q24 - 4096)
#define SPEED_LIMIT (64 * ONE_Q24)

/* 10 N over the total mass of 1.1 kg, in Q18. */
#define PUSH INT32_C(2383127)
#define TIME_STEP_Q21 41943u       /* 0.02 s */
#define GRAVITY_Q12 40141u         /* 9.8 m/s^2 */
#define MASS_RATIO_Q20 47663u      /* pole mass x half length / total mass = 1/22 m */
#define INVERSE_INERTIA_Q16 39961u /* 1 / (l (4/3 - m/M)) - 1 = 0.609756, l = 0.5 m: of an upright pole */
#define INERTIA_SLOPE_Q16 7719u    /* what it loses with the square of the angle: 0.117787 */
#define INERTIA_CURVE_Q16 3138u    /* and gains with its fourth power: 0.04788 */

/* The largest magnitude of a reset is 0.05: 32768 x 6553 / 2^8 in Q24. */
#define RESET_FACTOR 6553

/* value x factor / 2^shift, rounded down; shift 16..31. The product itself may have 48 bits. */
static int32_t nrl_multiply_shift(int32_t value, uint16_t factor, unsigned shift)
{
    const int32_t high = (value >> 16) * (int32_t)factor;
    const uint32_t low = ((uint32_t)value & UINT32_C(0xffff)) * factor;

    return (high + (int32_t)(low >> 16)) >> (shift - 16u);
}

static int32_t nrl_limited(int32_t value, int32_t limit)
{
    return value < -limit ? -limit : value > limit ? limit : value;
}

/* The output function of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t nrl_splitmix64_output(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

uint32_t nrl_episode_seed(uint64_t run_seed, uint32_t episode)
{
    const uint64_t start = nrl_splitmix64_output(run_seed + GOLDEN_GAMMA);

    return (uint32_t)(nrl_splitmix64_output(start + ((uint64_t)episode + 1u) * GOLDEN_GAMMA) >> 33);
}

void nrl_cartpole_reset(nrl_cartpole_t *cartpole, uint32_t seed)
{
    uint64_t random = nrl_splitmix64_output((uint64_t)seed + GOLDEN_GAMMA);
    int32_t values[NRL_CARTPOLE_INPUTS];

    for (unsigned i = 0; i < NRL_CARTPOLE_INPUTS; ++i) {
        values[i] = (((int32_t)(random & 0xffffu) - 32768) * RESET_FACTOR) >> 8;
        random >>= 16;
    }
    cartpole->position = values[0];
    cartpole->speed = values[1];
    cartpole->angle = values[2];
    cartpole->rate = values[3];
    cartpole->steps = 0;
}

void nrl_cartpole_step(nrl_cartpole_t *cartpole, int action, bool *terminated, bool *truncated)
{
    const int32_t angle = nrl_limited(cartpole->angle, ANGLE_LIMIT);
    const int32_t rate = cartpole->rate;

    /* sin t = t - t^3/6 and 1 - cos t = t^2/2 - t^4/24: within 3.4e-6 and 1.2e-7 at 12 degrees. */
    const int32_t angle_q17 = angle >> 7;
    const uint16_t square_q20 = (uint16_t)((angle_q17 * angle_q17) >> 14);
    const uint16_t fourth_q20 = (uint16_t)(((uint32_t)square_q20 * square_q20) >> 20);
    const uint16_t sixth_of_square_q20 = (uint16_t)(((uint32_t)square_q20 * 10923u) >> 16);
    const int32_t sine = angle - nrl_multiply_shift(angle, sixth_of_square_q20, 20);
    const uint16_t versine_q20 = (uint16_t)((square_q20 >> 1) - ((uint32_t)fourth_q20 * 2731u >> 16));

    /* (force + m l rate^2 sin t) / M, Q18 */
    const int32_t rate_q12 = rate >> 12;
    const uint16_t rate_square_q10 = (uint16_t)((uint32_t)(rate_q12 * rate_q12) >> 14);
    const int32_t centripetal = nrl_multiply_shift(nrl_multiply_shift(sine, rate_square_q10, 16), MASS_RATIO_Q20, 20);
    const int32_t drive = (action == 0 ? -PUSH : PUSH) + centripetal;

    /* (g sin t - cos t drive) / (l (4/3 - m cos^2 t / M)), Q18: the division is a multiplication by a polynomial. */
    const int32_t torque = nrl_multiply_shift(sine, GRAVITY_Q12, 18) - drive + nrl_multiply_shift(drive, versine_q20, 20);
    const uint32_t bend = INERTIA_SLOPE_Q16 * (uint32_t)square_q20 - INERTIA_CURVE_Q16 * (uint32_t)fourth_q20;
    const int32_t rotation = torque + nrl_multiply_shift(torque, (uint16_t)(INVERSE_INERTIA_Q16 - (bend >> 20)), 16);
    const int32_t pole_pull = rotation - nrl_multiply_shift(rotation, versine_q20, 20);
    const int32_t acceleration = drive - nrl_multiply_shift(pole_pull, MASS_RATIO_Q20, 20);

    /* Euler's method with the old speeds: positions move first. Q18 becomes Q24. */
    cartpole->position = nrl_limited(cartpole->position + nrl_multiply_shift(cartpole->speed, TIME_STEP_Q21, 21), SPEED_LIMIT);
    cartpole->speed = nrl_limited(cartpole->speed + nrl_multiply_shift(acceleration * 64, TIME_STEP_Q21, 21), SPEED_LIMIT);
    cartpole->angle = angle + nrl_multiply_shift(rate, TIME_STEP_Q21, 21);
    cartpole->rate = nrl_limited(rate + nrl_multiply_shift(rotation * 64, TIME_STEP_Q21, 21), RATE_LIMIT);
    ++cartpole->steps;

    *terminated = cartpole->position < -POSITION_LIMIT || cartpole->position > POSITION_LIMIT ||
                  cartpole->angle < -ANGLE_LIMIT || cartpole->angle > ANGLE_LIMIT;
    *truncated = cartpole->steps >= NRL_CARTPOLE_TIME_LIMIT;
}

void nrl_cartpole_observe(const nrl_cartpole_t *cartpole, const uint8_t shifts[NRL_CARTPOLE_INPUTS],
                          int16_t observation[NRL_CARTPOLE_INPUTS])
{
    const int32_t state[NRL_CARTPOLE_INPUTS] = {cartpole->position, cartpole->speed, cartpole->angle, cartpole->rate};

    for (unsigned i = 0; i < NRL_CARTPOLE_INPUTS; ++i) {
        /* Halves to even, as the host quantises: an odd quotient gets the half that an even one lacks by one. */
        const int32_t half = (int32_t)(UINT32_C(1) << (shifts[i] - 1u));
        const int32_t odd = (state[i] >> shifts[i]) & 1;
        const int32_t rounded = (state[i] + half - 1 + odd) >> shifts[i];

        observation[i] = (int16_t)(rounded < INT16_MIN ? INT16_MIN : rounded > INT16_MAX ? INT16_MAX : rounded);
    }
}
