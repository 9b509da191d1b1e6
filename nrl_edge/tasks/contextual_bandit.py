"""NRL/ContextualBandit-v0: two arms pay at random; how two of three cues relate tells which one pays more often."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.trials import TrialBatch, TrialEnvironment, TrialRule

Floats = NDArray[np.float64]

CUES = 3
PAYOFF_PROBABILITY = 0.95


class ContextualBanditRule(TrialRule):
    """Three cues of -1 or +1. Where the first two differ arm 1 is the better one, else arm 0; the third says nothing.

    The better arm pays +1 with `payoff_probability`, else -1; the other arm the other way round.
    """

    actions = 2

    def __init__(self, payoff_probability: float = PAYOFF_PROBABILITY) -> None:
        if not 0.5 < payoff_probability <= 1.0:
            raise ConfigurationError(
                f"payoff_probability = {payoff_probability}: the better arm pays with a probability above 0.5, up to 1"
            )
        self.payoff_probability = payoff_probability
        self.contexts = np.array(list(product((-1.0, 1.0), repeat=CUES)), dtype=np.float32)

    def rewards(self, context: NDArray[np.intp], chance: Floats, action: NDArray[np.intp]) -> Floats:
        """+1 or -1, as chance has it."""
        better = action == (self.contexts[context, 0] != self.contexts[context, 1])
        pays = chance < np.where(better, self.payoff_probability, 1.0 - self.payoff_probability)
        return np.where(pays, 1.0, -1.0)


class ContextualBandit(TrialEnvironment):
    """One-step trials: observation float32 (3,) of -1 and +1, actions 0 and 1 (the arms), reward +-1 at random."""

    def __init__(self, payoff_probability: float = PAYOFF_PROBABILITY) -> None:
        super().__init__(ContextualBanditRule(payoff_probability))


class ContextualBanditBatch(TrialBatch):
    """Many trials of ContextualBandit side by side."""

    def __init__(self, batch: int, payoff_probability: float = PAYOFF_PROBABILITY) -> None:
        super().__init__(ContextualBanditRule(payoff_probability), batch)
