"""A task with any number of inputs and actions, at any magnitude: which of some patterns is shown?"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class FarTask(gymnasium.Env[Any, Any]):
    """One-step trials: one of `actions` random patterns of `inputs` values of +-`magnitude`, with a tenth of noise.

    `spread` > 0 gives input j the magnitude 10^(spread * j / inputs) times as large. Reward: 1 for naming the pattern,
    else 0, times `reward`. The observation space says nothing of the magnitude. A trial shows `steps` patterns.
    """

    def __init__(
        self,
        inputs: int = 8,
        actions: int = 4,
        magnitude: float = 1.0,
        spread: float = 0.0,
        reward: float = 1.0,
        steps: int = 1,
    ) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (inputs,), np.float64)
        self.action_space = gymnasium.spaces.Discrete(actions)
        scale = magnitude * 10.0 ** (spread * np.arange(inputs) / inputs)
        self.patterns = np.random.default_rng(7).choice((-1.0, 1.0), (actions, inputs)) * scale
        self.noise = 0.1 * scale
        self.reward = reward
        self.shown = 0
        self.steps, self.left = steps, steps

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = self.steps
        return self.show(), {}

    def show(self) -> Any:
        """Another pattern."""
        self.shown = int(self.np_random.integers(len(self.patterns)))
        return self.patterns[self.shown] + self.noise * self.np_random.standard_normal(len(self.noise))

    def earned(self, action: Any) -> float:
        """What an action earns."""
        return float(action == self.shown)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = self.reward * self.earned(action)
        self.left -= 1
        if not self.left:
            return self.patterns[self.shown], reward, True, False, {}
        return self.show(), reward, False, False, {}


class FarReachTask(FarTask):
    """The same with continuous actions: a pattern asks for `actions` numbers, each within +-`reach`.

    Reward: 1 less the mean square of how far they are away, in units of `reach`.
    """

    def __init__(self, actions: int = 2, reach: float = 1.0, **kwargs: Any) -> None:
        super().__init__(actions=4, **kwargs)
        self.action_space = gymnasium.spaces.Box(-reach, reach, (actions,), np.float64)
        self.reach = reach
        self.targets = np.random.default_rng(8).uniform(-0.8, 0.8, (len(self.patterns), actions))

    def earned(self, action: Any) -> float:
        return 1.0 - float(np.square(np.asarray(action) / self.reach - self.targets[self.shown]).mean())


class ScaledCartPole(gymnasium.ObservationWrapper[Any, Any, Any]):
    """CartPole whose observations come in other units, `factor` times as large; its bounds as well."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(gymnasium.make("CartPole-v1").unwrapped)
        inner = self.env.observation_space
        self.factor = factor
        self.observation_space = gymnasium.spaces.Box(
            inner.low.astype(np.float64) * factor, inner.high.astype(np.float64) * factor, dtype=np.float64
        )

    def observation(self, observation: Any) -> Any:
        return np.asarray(observation, np.float64) * self.factor


gymnasium.register("Far-v0", entry_point=FarTask)
gymnasium.register("FarReach-v0", entry_point=FarReachTask)
gymnasium.register("ScaledCartPole-v1", entry_point=ScaledCartPole, max_episode_steps=500)
