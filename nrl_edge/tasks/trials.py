"""What tasks of one-step trials have in common: a context is shown, one action is taken, its reward ends the trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.tasks.seeding import environment_generator

Floats = NDArray[np.float64]


class TrialRule(ABC):
    """What is shown and what is rewarded: the one description that the environment and its batched form share."""

    contexts: NDArray[np.float32]
    """Every observation that there is, (contexts, inputs); a trial draws one of them, all equally likely."""
    actions: int

    @abstractmethod
    def rewards(self, context: NDArray[np.intp], chance: Floats, action: NDArray[np.intp]) -> Floats:
        """Reward (B,) of actions (B,) on contexts (B,), given one uniform number of [0, 1) a trial (B,)."""


def draw_trial(generator: np.random.Generator, contexts: int) -> tuple[int, float]:
    """A trial's context, and the uniform number that decides what is left to chance in its reward."""
    return int(generator.integers(contexts)), float(generator.random())


class TrialEnvironment(gymnasium.Env[NDArray[np.float32], np.int64]):
    """One trial an episode: `reset` shows a context, `step` rewards the action and terminates."""

    def __init__(self, rule: TrialRule) -> None:
        self.rule = rule
        self.observation_space = gymnasium.spaces.Box(
            rule.contexts.min(axis=0), rule.contexts.max(axis=0), dtype=np.float32
        )
        self.action_space = gymnasium.spaces.Discrete(rule.actions)
        self._context, self._chance = 0, 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Show the context of the next trial."""
        super().reset(seed=seed)
        self._context, self._chance = draw_trial(self.np_random, len(self.rule.contexts))
        return self.rule.contexts[self._context].copy(), {}

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Reward the action; the trial is over."""
        reward = self.rule.rewards(np.array([self._context]), np.array([self._chance]), np.array([action]))
        return self.rule.contexts[self._context].copy(), float(reward[0]), True, False, {}


class TrialBatch:
    """Many trials side by side, equal to the environment of the same rule bit for bit."""

    def __init__(self, rule: TrialRule, batch: int) -> None:
        self._rule = rule
        self.inputs = rule.contexts.shape[1]
        self.actions = rule.actions
        self.continuous = False
        self._context: NDArray[np.intp] = np.zeros(batch, dtype=np.intp)
        self._chance: Floats = np.zeros(batch)

    @property
    def batch(self) -> int:
        """Number of trials side by side."""
        return len(self._context)

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> Floats:
        """Start new trials at these rows; returns their observations (len(indices), inputs)."""
        drawn = [draw_trial(environment_generator(seed), len(self._rule.contexts)) for seed in seeds]
        self._context[indices] = [context for context, _ in drawn]
        self._chance[indices] = [chance for _, chance in drawn]
        return self._rule.contexts[self._context[indices]].astype(np.float64)

    def step(self, actions: NDArray[np.intp]) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, inputs), rewards (B,), terminated (B,), truncated (B,)."""
        rewards = self._rule.rewards(self._context, self._chance, actions)
        over = np.ones(self.batch, dtype=np.bool_)
        return self._rule.contexts[self._context].astype(np.float64), rewards, over, ~over

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these trials only, in this order."""
        self._context, self._chance = self._context[indices], self._chance[indices]

    def close(self) -> None:
        """Nothing is held."""
