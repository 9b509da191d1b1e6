"""NRL/Reaching1D-v0: move a hand along a ring to a target, as neurogym's Reaching1D with steps of 10 ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.tasks.seeding import environment_generator

Floats = NDArray[np.float64]

RING_UNITS = 16
TRIAL_STEPS = 300
STEP_RADIANS = 0.05
WORST_REWARD = -0.1

_PREFERRED_ANGLES: Floats = 2.0 * np.pi * np.arange(RING_UNITS) / RING_UNITS
_MOVES: Floats = np.array([0.0, STEP_RADIANS, -STEP_RADIANS])


def _observe(target: Floats, hand: Floats) -> NDArray[np.float32]:
    """cos(theta_i - target), then cos(theta_i - hand), for angles (B,): (B, 32)."""
    angles = np.concatenate((_PREFERRED_ANGLES - target[:, None], _PREFERRED_ANGLES - hand[:, None]), axis=1)
    return np.cos(angles).astype(np.float32)


def _move(hand: Floats, actions: NDArray[np.intp]) -> Floats:
    moved: Floats = np.mod(hand + _MOVES[actions], 2.0 * np.pi)
    return moved


def _reward(hand: Floats, rewarded: Floats) -> Floats:
    """max(1 - circular distance [rad], -0.1)."""
    distance = np.abs(hand - rewarded)
    reward: Floats = np.maximum(1.0 - np.minimum(distance, 2.0 * np.pi - distance), WORST_REWARD)
    return reward


def _rewarded_angle(target: Floats, exact_target: bool) -> Floats:
    return target if exact_target else np.floor(target)


class Reaching1D(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A hand on a ring is to come to a target, and stay there.

    Observation, float32 (32,): cos(theta_i - target), then cos(theta_i - hand), theta_i = 2 pi i / 16. Actions: 0
    stays, 1 adds and 2 subtracts 0.05 rad. Reward, after the move: max(1 - circular distance of hand and target, -0.1).
    Each trial draws its target from [0, 2 pi), starts with the hand at pi and is truncated after 300 steps.

    `exact_target`: the original keeps the target that it rewards as an integer, so that reward is for floor(target)
    while the observation shows the target itself. False, the default, does the same, because the published figures were
    made that way and can be compared with only so: the agent has to learn that staircase too. True rewards the target
    that is shown.
    """

    def __init__(self, exact_target: bool = False) -> None:
        self.exact_target = bool(exact_target)
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2 * RING_UNITS,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(_MOVES))
        self._target: Floats = np.zeros(1)
        self._hand: Floats = np.full(1, np.pi)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a trial: hand at pi, target anywhere."""
        super().reset(seed=seed)
        self._target = np.array([self.np_random.uniform(0.0, 2.0 * np.pi)])
        self._hand = np.full(1, np.pi)
        return _observe(self._target, self._hand)[0], {}

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move by the action; returns observation, reward, terminated (never), truncated and no information."""
        self._hand = _move(self._hand, np.array([action]))
        reward = float(_reward(self._hand, _rewarded_angle(self._target, self.exact_target))[0])
        return _observe(self._target, self._hand)[0], reward, False, False, {}


class Reaching1DBatch:
    """Many trials of Reaching1D side by side, equal to the environment bit for bit, its time limit included."""

    inputs = 2 * RING_UNITS
    actions = len(_MOVES)
    continuous = False

    def __init__(self, batch: int, exact_target: bool = False) -> None:
        self._exact_target = bool(exact_target)
        self._target: Floats = np.zeros(batch)
        self._hand: Floats = np.full(batch, np.pi)
        self._steps: NDArray[np.int64] = np.zeros(batch, dtype=np.int64)

    @property
    def batch(self) -> int:
        """Number of trials side by side."""
        return len(self._steps)

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> Floats:
        """Start new trials at these rows; returns their observations (len(indices), 32)."""
        self._target[indices] = [environment_generator(seed).uniform(0.0, 2.0 * np.pi) for seed in seeds]
        self._hand[indices] = np.pi
        self._steps[indices] = 0
        return _observe(self._target[indices], self._hand[indices]).astype(np.float64)

    def step(self, actions: NDArray[np.intp]) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, 32), rewards (B,), terminated (B,), truncated (B,)."""
        self._hand = _move(self._hand, actions)
        self._steps += 1
        rewards = _reward(self._hand, _rewarded_angle(self._target, self._exact_target))
        observations = _observe(self._target, self._hand).astype(np.float64)
        return observations, rewards, np.zeros(self.batch, dtype=np.bool_), self._steps >= TRIAL_STEPS

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these trials only, in this order."""
        self._target, self._hand, self._steps = self._target[indices], self._hand[indices], self._steps[indices]

    def close(self) -> None:
        """Nothing is held."""
