"""Pendulum-v1 of gymnasium for many episodes side by side, bit-equal to gymnasium's own environment.

As in `classic_control.py`, each line follows gymnasium's source term by term. There the torque is a float32 scalar, and
so are its products with Python's floats: they are rounded to float32 before they meet the state, which is float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.tasks.seeding import environment_generator
from nrl_edge.tasks.task import ContinuousActions

Floats = NDArray[np.float64]

TIME_LIMIT = 200


class PendulumBatch:
    """Pendulum-v1: observations are cos and sin of the angle and its rate [rad/s], in float32; one torque [Nm]."""

    inputs = 3
    actions = 1
    continuous = True

    _MAX_RATE, _MAX_TORQUE = 8.0, 2.0
    _GRAVITY, _MASS, _LENGTH = 10.0, 1.0, 1.0
    _DT = 0.05
    _RESET_LIMITS = np.array([np.pi, 1.0])

    def __init__(self, batch: int, action_scale: int | Sequence[int] | None = None) -> None:
        """`action_scale`: exponents of two of an action's numbers, as `TaskSettings` has them."""
        space = gymnasium.spaces.Box(-self._MAX_TORQUE, self._MAX_TORQUE, (1,), np.float32)
        self._torque = ContinuousActions(space, action_scale)
        self._state: Floats = np.zeros((2, batch))
        self._steps: NDArray[np.int64] = np.zeros(batch, dtype=np.int64)

    @property
    def batch(self) -> int:
        """Number of episodes side by side."""
        return len(self._steps)

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> Floats:
        """Start new episodes at these indices; returns their observations (len(indices), 3) float64."""
        limits = self._RESET_LIMITS
        states = np.array([environment_generator(seed).uniform(-limits, limits) for seed in seeds])
        self._state[:, indices] = states.T
        self._steps[indices] = 0
        return self._observations(states.T)

    def step(self, actions: Floats) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B, 1): observations (B, 3), rewards (B,), terminated (B,), truncated (B,)."""
        angle, rate = self._state
        torque = self._torque(actions)[:, 0]
        wrapped = ((angle + np.pi) % (2 * np.pi)) - np.pi
        # One by one: a scalar is squared by the C library's powf, which now and then rounds as no array's square does.
        squared_torque = np.array([each**2 for each in torque])
        costs = np.float_power(wrapped, 2) + 0.1 * np.float_power(rate, 2) + np.float32(0.001) * squared_torque
        pull = 3 * self._GRAVITY / (2 * self._LENGTH) * np.sin(angle)
        push = np.float32(3.0 / (self._MASS * self._LENGTH**2)) * torque
        rate[:] = np.clip(rate + (pull + push) * self._DT, -self._MAX_RATE, self._MAX_RATE)
        angle += rate * self._DT
        self._steps += 1
        return self._observations(self._state), -costs, np.zeros(self.batch, np.bool_), self._steps >= TIME_LIMIT

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these episodes only, in this order."""
        self._state = np.ascontiguousarray(self._state[:, indices])
        self._steps = self._steps[indices]

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _observations(state: Floats) -> Floats:
        angle, rate = state
        return np.stack([np.cos(angle), np.sin(angle), rate], axis=1).astype(np.float32).astype(np.float64)
