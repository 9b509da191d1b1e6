"""NRL/Bandit-v0: several arms, one of which pays. What `blink-bandit` learns from a person with a button."""

from __future__ import annotations

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.trials import TrialBatch, TrialEnvironment, TrialRule

Floats = NDArray[np.float64]

LARGEST_ARMS = 64


class BanditRule(TrialRule):
    """One observation, which is always 1; arm number `paying` is worth +1 with `payoff_probability`, else -1.

    The other arms are worth -1.
    """

    def __init__(self, arms: int = 4, paying: int = 2, payoff_probability: float = 1.0) -> None:
        if not 2 <= arms <= LARGEST_ARMS or not 0 <= paying < arms:
            raise ConfigurationError(
                f"arms = {arms}, paying = {paying}: allowed are 2 to {LARGEST_ARMS} arms, and the number of one of them"
            )
        if not 0.0 < payoff_probability <= 1.0:
            raise ConfigurationError(f"payoff_probability = {payoff_probability}: it is above 0 and at most 1")
        self.actions = arms
        self.paying = paying
        self.payoff_probability = payoff_probability
        self.contexts = np.ones((1, 1), dtype=np.float32)

    def rewards(self, context: NDArray[np.intp], chance: Floats, action: NDArray[np.intp]) -> Floats:
        """+1 where the arm pays, else -1."""
        return np.where((action == self.paying) & (chance < self.payoff_probability), 1.0, -1.0)


class Bandit(TrialEnvironment):
    """One-step trials: observation float32 (1,), which is 1; an action for each arm; reward +-1."""

    def __init__(self, arms: int = 4, paying: int = 2, payoff_probability: float = 1.0) -> None:
        super().__init__(BanditRule(arms, paying, payoff_probability))
        # A space of one value is none.
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)


class BanditBatch(TrialBatch):
    """Many trials of Bandit side by side."""

    def __init__(self, batch: int, arms: int = 4, paying: int = 2, payoff_probability: float = 1.0) -> None:
        super().__init__(BanditRule(arms, paying, payoff_probability), batch)
