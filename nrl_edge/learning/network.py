"""Multi-layer perceptrons without biases, for B agents at once: one array (B, units, inputs) a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError

Floats = NDArray[np.float64]

LEAKY_SLOPE = 0.1

SUMMED_IN_ORDER = 8
"""NumPy adds fewer numbers than these in their order, more of them pairwise."""

Initialisation = Literal["xavier_uniform", "xavier_normal"]


def layer_sizes(inputs: int, hidden: Sequence[int], actions: int, continuous: bool = False) -> tuple[int, ...]:
    """(n_0, n_1, ..., n_L, n_o), n_o the discrete actions or the numbers of a `continuous` one.

    Raises ConfigurationError where there is no hidden layer or an empty one."""
    if not hidden or min(hidden) < 1:
        raise ConfigurationError(f"hidden = {list(hidden)}: at least one hidden layer of at least one unit is needed")
    if actions < 2 and not continuous:
        raise ConfigurationError(f"the task has {actions} action: with less than two there is nothing to learn")
    return (inputs, *(int(units) for units in hidden), actions)


def initial_weights(
    sizes: Sequence[int],
    generators: Sequence[np.random.Generator],
    initialisation: Initialisation = "xavier_uniform",
    zero_output: bool = True,
) -> list[Floats]:
    """Weights (B, n_l, n_(l-1)) of every layer; agent b's are drawn from `generators[b]`, layer by layer.

    Xavier (Glorot and Bengio 2010): variance 2 / (n_(l-1) + n_l), with a uniform or a normal distribution.
    """
    weights = []
    for layer in range(1, len(sizes)):
        rows, columns = sizes[layer], sizes[layer - 1]
        shape = (rows, columns)
        if zero_output and layer == len(sizes) - 1:
            weights.append(np.zeros((len(generators), rows, columns)))
        elif initialisation == "xavier_uniform":
            limit = (6.0 / (rows + columns)) ** 0.5
            weights.append(np.stack([generator.uniform(-limit, limit, shape) for generator in generators]))
        else:
            deviation = (2.0 / (rows + columns)) ** 0.5
            weights.append(np.stack([generator.normal(0.0, deviation, shape) for generator in generators]))
    return weights


def apply_layer(weights: Floats, activity: Floats, out: Floats | None = None) -> Floats:
    """(B, out, in) times (B, in) is (B, out); (B, out, in) times P vectors a agent (B, P, in) is (B, P, out).

    The result goes to `out` where it is given.
    """
    # matmul works through the stack one matrix at a time, so an agent's result never depends on its neighbours.
    if activity.ndim == 2:
        column = None if out is None else out[:, :, None]
        product: Floats = np.matmul(weights, activity[:, :, None], out=column)[:, :, 0]
        return product
    products: Floats = np.matmul(activity, weights.transpose(0, 2, 1), out=out)
    return products


def leaky_relu(pre_activation: Floats) -> Floats:
    """x where x >= 0, else 0.1 x."""
    activity: Floats = np.maximum(pre_activation, LEAKY_SLOPE * pre_activation)
    return activity


def leaky_relu_slope(pre_activation: Floats, out: Floats | None = None) -> Floats:
    """The derivative: 1 where x >= 0, else 0.1. It goes to `out` where that is given."""
    # Exactly np.where(..., 1.0, 0.1), in three quarters of the time: 0.9 + 0.1 is 1.
    slope: Floats = np.multiply(pre_activation >= 0.0, 1.0 - LEAKY_SLOPE, out=out)
    slope += LEAKY_SLOPE
    return slope


def softmax(logits: Floats) -> Floats:
    """exp(logits) normalised, of logits (B, n_o)."""
    outputs = logits.shape[-1]
    if outputs >= SUMMED_IN_ORDER:
        exponentials: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
        exponentials /= exponentials.sum(axis=-1, keepdims=True)
        return exponentials
    # The same numbers, output by output: a reduction over a short last axis does one agent at a time.
    by_output = logits.T
    largest = by_output[0]
    for k in range(1, outputs):
        largest = np.maximum(largest, by_output[k])
    # Each output's numbers lie together from here on, for those who look at them output by output too.
    rows: Floats = np.subtract(by_output, largest, order="C")
    np.exp(rows, out=rows)
    total = rows[0].copy()
    for k in range(1, outputs):
        total += rows[k]
    rows /= total
    return rows.T


def log_softmax(logits: Floats) -> Floats:
    """The logarithm of softmax along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logarithms: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logarithms


def forward(weights: Sequence[Floats], observation: Floats) -> tuple[list[Floats], list[Floats]]:
    """Pre-activations a_1..a_o and the activities x_0..x_L that fed them, for observations (B, n_0)."""
    pre_activations: list[Floats] = []
    activities = [observation]
    for layer, matrix in enumerate(weights):
        pre_activations.append(apply_layer(matrix, activities[-1]))
        if layer < len(weights) - 1:
            activities.append(leaky_relu(pre_activations[-1]))
    return pre_activations, activities


def noisy_forward(
    weights: Sequence[Floats], observation: Floats, noise: Sequence[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """The same with noise (B, n_l) added to the pre-activations of every layer, the output's included."""
    pre_activations: list[Floats] = []
    activities = [observation]
    for layer, matrix in enumerate(weights):
        pre_activations.append(apply_layer(matrix, activities[-1]) + noise[layer])
        if layer < len(weights) - 1:
            activities.append(leaky_relu(pre_activations[-1]))
    return pre_activations, activities


def sample_action(probabilities: Floats, uniform: Floats) -> NDArray[np.intp]:
    """The first action whose cumulative probability (B, n_o) is above a uniform number (B,) of [0, 1)."""
    cumulative = probabilities[:, 0].copy()
    actions: NDArray[np.intp] = (cumulative <= uniform).astype(np.intp)
    for k in range(1, probabilities.shape[1] - 1):
        cumulative += probabilities[:, k]
        actions += cumulative <= uniform
    return actions


def output_error(probabilities: Floats, action: NDArray[np.intp]) -> Floats:
    """onehot(action) - pi (B, n_o): the gradient of log pi(action) with respect to the logits."""
    error: Floats = np.empty_like(probabilities)
    for k in range(probabilities.shape[1]):
        np.subtract(action == k, probabilities[:, k], out=error[:, k])
    return error


def weighted_sum(error: Floats, changes: Floats) -> Floats:
    """sum_k error_k changes_k, of an error (B, n_o) and changes (B, P, n_o) of the outputs: (B, P)."""
    outputs = error.shape[1]
    if outputs >= SUMMED_IN_ORDER:
        total: Floats = (error[:, None] * changes).sum(axis=2)
        return total
    # The same numbers: a reduction over a short last axis does one agent at a time.
    total = error[:, :1] * changes[:, :, 0]
    for k in range(1, outputs):
        total += error[:, k : k + 1] * changes[:, :, k]
    return total
