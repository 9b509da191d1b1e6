"""REINFORCE with backpropagation: the baseline that has the exact gradient.

The loss of an episode is -sum_t log pi(a_t) * RPE with the very prediction error that NRL uses, by plain gradient
descent. The error of a layer is delta_o = onehot(a) - pi, delta_l = f'(a_l) * W_(l+1)^T delta_(l+1), and its gradient
outer(delta_l, x_(l-1)) takes the place of NRL's trace, so that clip, initial weights and baseline are the same.
"""

from __future__ import annotations

import numpy as np

from nrl_edge.learning.network import forward, leaky_relu_slope, output_error, sample_action, softmax
from nrl_edge.learning.nrl import Actions, Floats, Rule


class Reinforce(Rule):
    """REINFORCE, the gradient worked out by hand."""

    @property
    def noise_units(self) -> int:
        """None: only the action is drawn."""
        return 0

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One forward and one backward pass; the gradient of log pi(a) goes into the traces."""
        pre_activations, activities = forward(self.weights, observation)
        probabilities = softmax(pre_activations[-1])
        action = sample_action(probabilities, uniform)

        delta = output_error(probabilities, action)
        for layer in range(len(self.weights) - 1, -1, -1):
            self.traces.record(layer, delta, activities[layer])
            if layer > 0:
                back = np.matmul(delta[:, None, :], self.weights[layer])[:, 0]
                delta = leaky_relu_slope(pre_activations[layer - 1]) * back
        return action
