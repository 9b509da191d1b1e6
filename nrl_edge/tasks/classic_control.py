"""CartPole-v1 and Acrobot-v1 of gymnasium for many episodes side by side, bit-equal to gymnasium's own environments.

Each line of the dynamics follows gymnasium's source term by term, because float rounding depends on the order of
operations. tests/tasks compares both over thousands of steps. Where the source raises a NumPy scalar to the power of
two, `np.float_power` stands here: it calls the C library's `pow` as NumPy scalars do, while `np.square` and array
powers round some values differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrl_edge.tasks.many_generators import first_uniforms
from nrl_edge.tasks.seeding import environment_generator

Floats = NDArray[np.float64]

TIME_LIMIT = 500
STATES = 4


class _ClassicControl:
    """What both have in common: four state variables, one row each, and a time limit of 500 steps."""

    inputs: int
    actions: int
    continuous = False
    _reset_limit: float

    def __init__(self, batch: int) -> None:
        self._state: Floats = np.zeros((STATES, batch))
        self._steps: NDArray[np.int64] = np.zeros(batch, dtype=np.int64)
        self._expected: dict[int, Floats] = {}
        """First states of episodes that were announced, by seed."""

    @property
    def batch(self) -> int:
        """Number of episodes side by side."""
        return len(self._steps)

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these episodes only, in this order."""
        self._state = np.ascontiguousarray(self._state[:, indices])
        self._steps = self._steps[indices]

    def close(self) -> None:
        """Nothing is held."""

    def expect(self, seeds: Sequence[int]) -> None:
        """Draw the first states of episodes that will be reset with these seeds, which is cheap for many at once."""
        limit = self._reset_limit
        states = first_uniforms(seeds, STATES) * (limit + limit) - limit
        self._expected.update(zip(seeds, states, strict=True))

    def _draw(self, seed: int) -> Floats:
        # The uniform draw of both environments' reset.
        expected = self._expected.pop(seed, None)
        if expected is not None:
            return expected
        return environment_generator(seed).uniform(-self._reset_limit, self._reset_limit, STATES)


class CartPoleBatch(_ClassicControl):
    """CartPole-v1: observations are position [m], speed [m/s], pole angle [rad] and its rate [rad/s], in float32."""

    inputs = 4
    actions = 2
    _reset_limit = 0.05

    _GRAVITY = 9.8
    _POLE_MASS = 0.1
    _TOTAL_MASS = 0.1 + 1.0
    _LENGTH = 0.5
    _POLE_MASS_LENGTH = 0.1 * 0.5
    _FORCE = 10.0
    _TAU = 0.02
    _ANGLE_LIMIT = 12 * 2 * math.pi / 360
    _POSITION_LIMIT = 2.4
    _LIMITS = np.array([[_POSITION_LIMIT], [_ANGLE_LIMIT]])

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> Floats:
        """Start new episodes at these indices; returns their observations (len(indices), 4) float64."""
        states = np.array([self._draw(seed) for seed in seeds])
        self._state[:, indices] = states.T
        self._steps[indices] = 0
        return states.astype(np.float32).astype(np.float64)

    def step(self, actions: NDArray[np.intp]) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, 4), rewards (B,), terminated (B,), truncated (B,)."""
        theta, theta_dot = self._state[2:]
        force = actions * (2.0 * self._FORCE)
        force -= self._FORCE
        cosine, sine = np.cos(theta), np.sin(theta)
        # temp = (force + pole_mass_length * theta_dot^2 * sine) / total_mass
        temp = np.square(theta_dot)
        temp *= self._POLE_MASS_LENGTH
        temp *= sine
        temp += force
        temp /= self._TOTAL_MASS
        # theta_acc = (g * sine - cosine * temp) / (length * (4/3 - pole_mass * cosine^2 / total_mass))
        divisor = np.square(cosine)
        divisor *= self._POLE_MASS
        divisor /= self._TOTAL_MASS
        np.subtract(4.0 / 3.0, divisor, out=divisor)
        divisor *= self._LENGTH
        sine *= self._GRAVITY
        sine -= cosine * temp
        x_acc, theta_acc = accelerations = np.empty((2, len(temp)))
        np.divide(sine, divisor, out=theta_acc)
        # x_acc = temp - pole_mass_length * theta_acc * cosine / total_mass
        np.multiply(theta_acc, self._POLE_MASS_LENGTH, out=x_acc)
        x_acc *= cosine
        x_acc /= self._TOTAL_MASS
        np.subtract(temp, x_acc, out=x_acc)
        # Euler's method with the old speeds: positions move first.
        positions, speeds = self._state[0::2], self._state[1::2]
        positions += self._TAU * speeds
        accelerations *= self._TAU
        speeds += accelerations
        self._steps += 1
        outside = np.abs(positions) > self._LIMITS
        terminated = outside[0] | outside[1]
        observations = self._state.T.astype(np.float32, order="C").astype(np.float64)
        return observations, np.ones(len(temp)), terminated, self._steps >= TIME_LIMIT


class AcrobotBatch(_ClassicControl):
    """Acrobot-v1: observations are cos and sin of both angles and both rates [rad/s], in float32."""

    inputs = 6
    actions = 3
    _reset_limit = 0.1

    _DT = 0.2
    _GRAVITY = 9.8
    _LINK_LENGTH = 1.0
    _LINK_MASS = 1.0
    _CENTRE_OF_MASS = 0.5
    _INERTIA = 1.0
    _RATE_LIMITS = np.array([[4 * math.pi], [9 * math.pi]])

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> Floats:
        """Start new episodes at these indices; returns their observations (len(indices), 6) float64."""
        # gymnasium keeps the first state in float32 and takes its cosines in float32, later ones in float64.
        states = np.array([self._draw(seed) for seed in seeds]).astype(np.float32)
        self._state[:, indices] = states.T
        self._steps[indices] = 0
        theta_1, theta_2, rate_1, rate_2 = states.T
        columns = (np.cos(theta_1), np.sin(theta_1), np.cos(theta_2), np.sin(theta_2), rate_1, rate_2)
        return np.stack(columns, axis=1).astype(np.float64)

    def step(self, actions: NDArray[np.intp]) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, 6), rewards (B,), terminated (B,), truncated (B,)."""
        torque: Floats = actions.astype(np.float64) - 1.0
        y = self._state
        # Fourth-order Runge-Kutta.
        half = self._DT / 2.0
        k1 = self._derivatives(y, torque)
        k2 = self._derivatives(y + half * k1, torque)
        k3 = self._derivatives(y + half * k2, torque)
        k4 = self._derivatives(y + self._DT * k3, torque)
        y = y + self._DT / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
        self._state = y
        angles = y[:2]
        while (too_large := angles > np.pi).any():
            angles[too_large] -= 2 * np.pi
        while (too_small := angles < -np.pi).any():
            angles[too_small] += 2 * np.pi
        np.clip(y[2:], -self._RATE_LIMITS, self._RATE_LIMITS, out=y[2:])
        self._steps += 1

        theta_1, theta_2 = angles
        cosines, sines = np.cos(angles), np.sin(angles)
        observations = np.empty((self.batch, self.inputs), dtype=np.float32)
        observations[:, 0:4:2] = cosines.T
        observations[:, 1:4:2] = sines.T
        observations[:, 4:] = y[2:].T
        terminated = -cosines[0] - np.cos(theta_2 + theta_1) > 1.0
        rewards = np.where(terminated, 0.0, -1.0)
        return observations.astype(np.float64), rewards, terminated, self._steps >= TIME_LIMIT

    def _derivatives(self, y: Floats, torque: Floats) -> Floats:
        m = self._LINK_MASS
        l1 = self._LINK_LENGTH
        lc = self._CENTRE_OF_MASS
        inertia = self._INERTIA
        g = self._GRAVITY
        theta_1, theta_2, rate_1, rate_2 = y
        cosine, sine = np.cos(theta_2), np.sin(theta_2)
        d1 = m * lc**2 + m * (l1**2 + lc**2 + 2 * l1 * lc * cosine) + inertia + inertia
        d2 = m * (lc**2 + l1 * lc * cosine) + inertia
        phi_2 = m * lc * g * np.cos(theta_1 + theta_2 - math.pi / 2.0)
        phi_1 = (
            -m * l1 * lc * np.float_power(rate_2, 2) * sine
            - 2 * m * l1 * lc * rate_2 * rate_1 * sine
            + (m * lc + m * l1) * g * np.cos(theta_1 - math.pi / 2)
            + phi_2
        )
        acceleration_2 = (torque + d2 / d1 * phi_1 - m * l1 * lc * np.float_power(rate_1, 2) * sine - phi_2) / (
            m * lc**2 + inertia - np.float_power(d2, 2) / d1
        )
        acceleration_1 = -(d2 * acceleration_2 + phi_1) / d1
        derivatives = np.empty_like(y)
        derivatives[:2] = y[2:]
        derivatives[2], derivatives[3] = acceleration_1, acceleration_2
        return derivatives
