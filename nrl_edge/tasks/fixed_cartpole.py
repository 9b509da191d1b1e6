"""NRL/FixedCartPole-v0: CartPole in integers, the environment that firmware simulates on the chip itself.

The arithmetic is that of docs/on-chip.md; `firmware_templates/environment/nrl_cartpole.c` is the same in C, written
apart, and tests hold both equal bit for bit. Dynamics, limits and rewards are those of gymnasium's CartPole-v1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.seeding import splitmix64

TASK_ID = "NRL/FixedCartPole-v0"
INPUTS = 4
TIME_LIMIT = 500
FRAC_BITS = 24
"""Fraction bits of the four state variables."""
ACCELERATION_FRAC_BITS = 18

LARGEST_SHIFT = 29
"""Bits; half of what a shift divides by is added before, and that has to fit."""

_ONE = 1 << FRAC_BITS
POSITION_LIMIT = round(2.4 * _ONE)
"""Metres, Q24."""
ANGLE_LIMIT = round(12 * 2 * math.pi / 360 * _ONE)
"""Radians, Q24."""
RATE_LIMIT = 8 * _ONE - 4096
SPEED_LIMIT = 64 * _ONE

_PUSH = round(10.0 / 1.1 * (1 << 18))
_TIME_STEP_Q21 = round(0.02 * (1 << 21))
_GRAVITY_Q12 = round(9.8 * (1 << 12))
_MASS_RATIO_Q20 = round((1 << 20) / 22)
_UPRIGHT = 1.0 / (0.5 * (4.0 / 3.0 - 1.0 / 11.0))
_SINE_SLOPE = _UPRIGHT * (1.0 / 11.0) / (4.0 / 3.0 - 1.0 / 11.0)
_INVERSE_INERTIA_Q16 = round((_UPRIGHT - 1.0) * (1 << 16))
_INERTIA_SLOPE_Q16 = round(_SINE_SLOPE * (1 << 16))
# sin^2 t = t^2 - t^4/3, and the square of the loss itself.
_INERTIA_CURVE_Q16 = round((_SINE_SLOPE / 3.0 + _SINE_SLOPE**2 / _UPRIGHT) * (1 << 16))
_SIXTH_Q16 = -(-(1 << 16) // 6)
_TWELFTH_HALF_Q16 = -(-(1 << 16) // 24)
_RESET_FACTOR = 6553

State = tuple[int, int, int, int]
"""Position [m], speed [m/s], angle [rad] and its rate [rad/s], each in Q24."""


def _limited(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def reset_state(seed: int) -> State:
    """The state that an episode with this seed (31 bits) begins from: each value within +-0.05."""
    random = splitmix64(seed)
    position, speed, angle, rate = (
        (((random >> shift & 0xFFFF) - 32768) * _RESET_FACTOR) >> 8 for shift in (0, 16, 32, 48)
    )
    return position, speed, angle, rate


def step_state(state: State, action: int) -> State:
    """The state 20 ms later, pushed to the left (action 0) or to the right."""
    position, speed, angle, rate = state
    angle = _limited(angle, ANGLE_LIMIT)

    square = ((angle >> 7) ** 2) >> 14  # t^2, Q20
    fourth = (square * square) >> 20
    sine = angle - ((angle * ((square * _SIXTH_Q16) >> 16)) >> 20)
    versine = (square >> 1) - ((fourth * _TWELFTH_HALF_Q16) >> 16)  # 1 - cos t, Q20

    rate_square = ((rate >> 12) ** 2) >> 14  # Q10
    centripetal = (((sine * rate_square) >> 16) * _MASS_RATIO_Q20) >> 20
    drive = (_PUSH if action else -_PUSH) + centripetal

    torque = ((sine * _GRAVITY_Q12) >> 18) - drive + ((drive * versine) >> 20)
    bend = (_INERTIA_SLOPE_Q16 * square - _INERTIA_CURVE_Q16 * fourth) >> 20
    rotation = torque + ((torque * (_INVERSE_INERTIA_Q16 - bend)) >> 16)
    pole_pull = rotation - ((rotation * versine) >> 20)
    acceleration = drive - ((pole_pull * _MASS_RATIO_Q20) >> 20)

    def after(value: int, change: int) -> int:
        return value + ((change * _TIME_STEP_Q21) >> 21)

    to_state = FRAC_BITS - ACCELERATION_FRAC_BITS
    return (
        _limited(after(position, speed), SPEED_LIMIT),
        _limited(after(speed, acceleration << to_state), SPEED_LIMIT),
        after(angle, rate),
        _limited(after(rate, rotation << to_state), RATE_LIMIT),
    )


def has_fallen(state: State) -> bool:
    """Whether the cart has left the track, or the pole leans too far."""
    return abs(state[0]) > POSITION_LIMIT or abs(state[2]) > ANGLE_LIMIT


def observation_shifts(scale_exponents: Sequence[int], observation_frac_bits: int) -> tuple[int, ...]:
    """Shifts for `observe_state` that give each value times 2**exponent in Q`observation_frac_bits`.

    Raises ConfigurationError where a scale is too large or too small for a shift of 1 to 29 bits.
    """
    shifts = tuple(FRAC_BITS - observation_frac_bits - exponent for exponent in scale_exponents)
    if not all(1 <= shift <= LARGEST_SHIFT for shift in shifts):
        raise ConfigurationError(
            f"{TASK_ID}: scale exponents {list(scale_exponents)} with {observation_frac_bits} fraction bits: the chip "
            f"divides its state by 2^1 to 2^{LARGEST_SHIFT}; take scales nearer to [1, 1, 8, 1]"
        )
    return shifts


def observe_state(state: State, shifts: tuple[int, ...]) -> tuple[int, ...]:
    """The state as int16 values: value i divided by 2^shifts[i], halves to even, and saturated."""
    pairs = zip(state, shifts, strict=True)
    rounded = ((value + (1 << shift - 1) - 1 + (value >> shift & 1)) >> shift for value, shift in pairs)
    return tuple(max(-32768, min(32767, value)) for value in rounded)


class FixedCartPole(gymnasium.Env[NDArray[np.float64], np.int64]):
    """CartPole in integers: observation float64 (4,) in m, m/s, rad, rad/s; actions 0 (left) and 1; reward 1 a step.

    An episode depends on its seed alone, in the way of `reset_state`.
    """

    def __init__(self) -> None:
        limits = np.array([2 * POSITION_LIMIT, SPEED_LIMIT, 2 * ANGLE_LIMIT, RATE_LIMIT]) / _ONE
        self.observation_space = gymnasium.spaces.Box(-limits, limits, dtype=np.float64)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.state: State = (0, 0, 0, 0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Begin an episode from `seed`, or from one that the environment's own generator draws."""
        super().reset(seed=seed)
        self.state = reset_state(int(self.np_random.integers(1 << 31)) if seed is None else seed & 0x7FFFFFFF)
        return self._observation(), {}

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Push the cart for 20 ms."""
        self.state = step_state(self.state, int(action))
        return self._observation(), 1.0, has_fallen(self.state), False, {}

    def _observation(self) -> NDArray[np.float64]:
        return np.array(self.state, dtype=np.float64) / _ONE
