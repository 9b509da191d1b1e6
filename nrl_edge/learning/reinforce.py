"""REINFORCE with backpropagation: the baseline that has the exact gradient.

The loss of an episode is -sum_t log pi(a_t) * RPE with the very prediction error that NRL uses, by plain gradient
descent. The error of a layer is delta_o = onehot(a) - pi (or n, with continuous actions mu + n),
delta_l = f'(a_l) * W_(l+1)^T delta_(l+1), and its gradient
outer(delta_l, x_(l-1)) takes the place of NRL's trace, so that clip, initial weights and baseline are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_edge.learning.network import forward, leaky_relu_slope
from nrl_edge.learning.nrl import Actions, Floats, Rule


def backpropagate(weights: Sequence[Floats], pre_activations: Sequence[Floats], error: Floats) -> list[Floats]:
    """delta_l (B, n_l) of every layer for an output error (B, n_o): the derivative with respect to pre-activations."""
    deltas = [np.ascontiguousarray(error)]  # how a product rounds depends on how its factors lie
    for layer in range(len(weights) - 1, 0, -1):
        back = np.matmul(deltas[0][:, None, :], weights[layer])[:, 0]
        deltas.insert(0, leaky_relu_slope(pre_activations[layer - 1]) * back)
    return deltas


class Reinforce(Rule):
    """REINFORCE, the gradient worked out by hand."""

    takes_continuous_actions = True

    @property
    def noise_units(self) -> int:
        """None: only the action is drawn."""
        return 0

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One forward and one backward pass; the gradient of log pi(a) goes into the traces."""
        pre_activations, activities = forward(self.weights, observation)
        action, error = self.choose(pre_activations[-1], uniform)

        deltas = backpropagate(self.weights, pre_activations, error)
        for layer, (delta, x) in enumerate(zip(deltas, activities, strict=True)):
            self.traces.record(layer, delta, x)
        return action
