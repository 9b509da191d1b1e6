"""Reward-modulated Hebbian learning (RMHL): the baseline that has noise but no comparison.

One noisy pass both acts and learns: e_l += outer(xi_l, x_(l-1)), W_l += lr * RPE * e_l. The noise xi_l is either known
(`exact`) or estimated from activity alone, as the pre-activation minus its moving average (`moving_average`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrl_edge.learning.network import noisy_forward, sample_action, softmax
from nrl_edge.learning.nrl import Actions, Floats, Rule
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.traces import Rows


class Rmhl(Rule):
    """RMHL with either estimate of the noise."""

    def __init__(
        self, sizes: Sequence[int], settings: Sequence[LearningSettings], generators: Sequence[np.random.Generator]
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.estimates_noise = settings[0].noise_estimate == "moving_average"
        self.activity_rate = settings[0].activity_rate
        self.averages: list[Floats] = [np.zeros((len(settings), units)) for units in self.sizes[1:]]
        """Moving averages (B, n_l) of the pre-activations of each layer."""
        self.episode_is_new = np.ones(len(settings), dtype=np.bool_)

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One noisy pass, which acts, and its trace."""
        xi = self.split_by_layer(self.sigma * noise)
        pre_activations, activities = noisy_forward(self.weights, observation, xi)
        action = sample_action(softmax(pre_activations[-1]), uniform)

        for layer, x in enumerate(activities):
            post = xi[layer]
            if self.estimates_noise:
                average = self.averages[layer]
                # The average of an episode starts at its first activity, whose noise estimate is therefore zero.
                np.copyto(average, pre_activations[layer], where=self.episode_is_new[:, None])
                post = pre_activations[layer] - average
                average += self.activity_rate * post
            self.traces.record(layer, post, x)
        self.episode_is_new[:] = False
        return action

    def episode_ended(self, rows: Rows) -> None:
        """The next step starts the moving averages again."""
        self.episode_is_new[rows] = True

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        super().keep(rows)
        self.averages = [average[rows] for average in self.averages]
        self.episode_is_new = self.episode_is_new[rows]
