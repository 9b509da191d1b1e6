"""From float observations and rewards to the integers an agent takes (section 10 of docs/arithmetic.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError, RunError

REWARD_LIMIT = (1 << 22) - 1


class ObservationQuantiser:
    """Turns observations (n,) in the environment's units into int16 in Q`observation_frac_bits`.

    `saturated` counts the values that did not fit into int16 since the quantiser was made.
    """

    def __init__(self, scale_exponents: Sequence[int], observation_frac_bits: int) -> None:
        if not len(scale_exponents):
            raise ConfigurationError("a quantiser needs the scale exponent of at least one input")
        exponents = np.array(scale_exponents, dtype=np.int64) + observation_frac_bits
        self.scale_exponents = tuple(int(exponent) for exponent in scale_exponents)
        self.observation_frac_bits = observation_frac_bits
        self.saturated = 0
        self._scale: NDArray[np.float64] = np.ldexp(1.0, exponents)
        self._shape = self._scale.shape
        self._scaled = np.empty(self._shape)

    def __call__(self, observation: NDArray[np.floating], out: NDArray[np.int16] | None = None) -> NDArray[np.int16]:
        """Quantise one observation (n,) of any float dtype into `out` (n,) int16, or into a new array.

        Raises RunError on NaN, infinity or a wrong shape.
        """
        if observation.shape != self._shape:
            raise RunError(
                f"an observation of shape {observation.shape} came to an agent with {self._shape[0]} inputs; "
                "the task is not the one that the agent was generated for"
            )
        if out is None:
            out = np.empty(self._shape, dtype=np.int16)
        scaled = self._scaled
        np.multiply(observation, self._scale, scaled)
        # np.rint rounds halves to even. A squared norm below 32767^2 proves in one call, NaN and infinity included,
        # that every value fits.
        np.rint(scaled, scaled)
        if not scaled.dot(scaled) < 32767.0 * 32767.0:
            self._saturate(observation)
        out[...] = scaled
        return out

    def _saturate(self, observation: NDArray[np.floating]) -> None:
        bad = np.flatnonzero(~np.isfinite(observation))
        if bad.size:
            raise RunError(
                f"observation input {int(bad[0])} is {observation[bad[0]]}: the environment's state has most likely "
                "diverged or was divided by zero; check the task"
            )
        self.saturated += int(np.count_nonzero((self._scaled < -32768.0) | (self._scaled > 32767.0)))
        np.clip(self._scaled, -32768.0, 32767.0, out=self._scaled)


def quantise_reward(reward: float, frac_bits: int) -> int:
    """A reward as an integer in Q`frac_bits`, halves to even, clamped to +-(2^22 - 1). NaN and infinity: RunError."""
    scaled = reward * (1 << frac_bits)
    if -REWARD_LIMIT <= scaled <= REWARD_LIMIT:
        return round(scaled)
    if not math.isfinite(reward):
        raise RunError(f"a reward is {reward}: the environment's reward function has most likely divided by zero")
    return REWARD_LIMIT if reward > 0 else -REWARD_LIMIT


def quantise_observations(
    observations: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Observations (B, n) times `scale` (n,) as int16, as `ObservationQuantiser` does them, and how many values of each
    did not fit, (B,). Raises RunError on NaN or infinity."""
    scaled = np.rint(observations * scale)
    if not np.isfinite(scaled).all():
        raise RunError(
            "an observation is NaN or infinite: the environment's state has most likely diverged or was divided by "
            "zero; check the task"
        )
    fitting = np.clip(scaled, -32768.0, 32767.0)
    beyond: NDArray[np.int64] = (fitting != scaled).sum(axis=1)
    return fitting.astype(np.int16), beyond


def quantise_rewards(rewards: NDArray[np.float64], frac_bits: int) -> NDArray[np.int64]:
    """Rewards (B,) as `quantise_reward` does them. Raises RunError on NaN or infinity."""
    if not np.isfinite(rewards).all():
        raise RunError("a reward is NaN or infinite: the environment's reward function has most likely divided by zero")
    scaled: NDArray[np.int64] = np.clip(np.rint(np.ldexp(rewards, frac_bits)), -REWARD_LIMIT, REWARD_LIMIT).astype(
        np.int64
    )
    return scaled
