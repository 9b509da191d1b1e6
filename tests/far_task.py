"""A task with any number of inputs and actions, at any magnitude: which of some patterns is shown?"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class FarTask(gymnasium.Env[Any, Any]):
    """One-step trials: one of `actions` random patterns of `inputs` values of +-`magnitude`, with a tenth of noise.

    `spread` > 0 gives input j the magnitude 10^(spread * j / inputs) times as large. Reward: 1 for naming the pattern,
    else 0, times `reward`. The observation space says nothing of the magnitude.
    """

    def __init__(
        self, inputs: int = 8, actions: int = 4, magnitude: float = 1.0, spread: float = 0.0, reward: float = 1.0
    ) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (inputs,), np.float64)
        self.action_space = gymnasium.spaces.Discrete(actions)
        scale = magnitude * 10.0 ** (spread * np.arange(inputs) / inputs)
        self.patterns = np.random.default_rng(7).choice((-1.0, 1.0), (actions, inputs)) * scale
        self.noise = 0.1 * scale
        self.reward = reward
        self.shown = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.shown = int(self.np_random.integers(len(self.patterns)))
        return self.patterns[self.shown] + self.noise * self.np_random.standard_normal(len(self.noise)), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.patterns[self.shown], self.reward * float(action == self.shown), True, False, {}


gymnasium.register("Far-v0", entry_point=FarTask)
