"""NRL/XOR-v0: do two inputs differ? The least task that needs a hidden layer to learn, and not only to be there."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from nrl_edge.tasks.trials import TrialBatch, TrialEnvironment, TrialRule

Floats = NDArray[np.float64]


class XORRule(TrialRule):
    """Two inputs of -1 or +1; action 1 is right where they differ, action 0 where they are equal.

    The networks have no biases. With this coding they need none: XOR is even (it is the same for x and -x), and so is
    what leaky ReLU units add to a linear layer. With 0 and 1 it would take a third input that is always 1.
    """

    actions = 2

    def __init__(self) -> None:
        self.contexts = np.array(list(product((-1.0, 1.0), repeat=2)), dtype=np.float32)

    def rewards(self, context: NDArray[np.intp], chance: Floats, action: NDArray[np.intp]) -> Floats:
        """+1 where the action is right, else -1."""
        differ = self.contexts[context, 0] != self.contexts[context, 1]
        return np.where(action == differ, 1.0, -1.0)


class XOR(TrialEnvironment):
    """One-step trials: observation float32 (2,) of -1 and +1, actions 0 (equal) and 1 (different), reward +-1."""

    def __init__(self) -> None:
        super().__init__(XORRule())


class XORBatch(TrialBatch):
    """Many trials of XOR side by side."""

    def __init__(self, batch: int) -> None:
        super().__init__(XORRule(), batch)
