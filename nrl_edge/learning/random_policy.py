"""The control that learns nothing: every action as likely as every other, whatever is seen and whatever is earned.

Its returns are what a task gives away; a learner that does not leave them behind has learned nothing.
"""

from __future__ import annotations

import numpy as np

from nrl_edge.learning.nrl import Actions, Floats, Rule
from nrl_edge.learning.traces import Rows


class RandomPolicy(Rule):
    """Uniformly drawn actions. It has weights, as every rule does, and never changes or uses them."""

    takes_continuous_actions = True

    @property
    def noise_units(self) -> int:
        """None: only the action is drawn."""
        return 0

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """Cut [0, 1) into as many equal pieces as there are actions; continuous ones are the noise alone."""
        if self.continuous:
            return uniform
        action: Actions = (uniform * self.sizes[-1]).astype(np.intp)
        return action

    def learn(self, rows: Rows, prediction_error: Floats) -> None:
        """Nothing is learned."""
