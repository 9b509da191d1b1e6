"""Noise-based reward-modulated learning (NRL): the rule, from top to bottom.

Source: J. García Fernández, N. Ahmad, M. van Gerven, "Noise-based reward-modulated learning", arXiv 2503.23972.

The network has pre-activations a_l = W_l x_(l-1) and activities x_l = f(a_l), f a leaky ReLU with slope 0.1; the output
a_o holds the logits of a softmax policy pi. A step needs no backward pass: perturb every unit a little, see by how much
the log-probability of the chosen action changes (d, one number for the whole network), and credit each unit's weights
with d times its own noise times its own input. Averaged over noise this is the policy gradient; here it is averaged
over time, in eligibility traces. At the end of an episode the reward prediction error says how much of it to learn.

Arrays have a leading axis of B agents that know nothing of each other. This file holds

    reward_prediction_error, step_size   what every rule learns from, the baselines of rmhl.py and reinforce.py too
    Rule                                 weights, traces and the update
    two_passes, difference_pass          d for noise of finite size, in both forms
    NrlPaper                             the rule as published
    NrlEdge                              the rule as it runs on a chip: four changes and the limit of small noise
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import RunError
from nrl_edge.learning.network import (
    apply_layer,
    forward,
    initial_weights,
    leaky_relu,
    leaky_relu_slope,
    log_softmax,
    noisy_forward,
    output_error,
    sample_action,
    softmax,
    weighted_sum,
)
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.traces import EligibilityTraces, Rows

Floats = NDArray[np.float64]
LEARN_ONE_BY_ONE = 6
"""Up to so many agents learn faster one by one than together."""
DIVERGED = (
    "the weights grew without bounds (an eligibility trace is no longer a finite number); the learning rate is too "
    "high for this task: lower learning_rate, or set a clip"
)
Actions = NDArray[Any]
"""Discrete actions (B,) intp, or continuous ones (B, n_o) float64, in standard deviations of the policy."""


def reward_prediction_error(episode_return: Floats, baseline: Floats) -> Floats:
    """(R - Rbar) / |R|; where R is 0 the divisor is |Rbar|, and where both are 0 the error is 0. Shapes (B,)."""
    divisor = np.where(episode_return != 0.0, np.abs(episode_return), np.abs(baseline))
    return (episode_return - baseline) / np.where(divisor != 0.0, divisor, 1.0)


def relative_error(episode_return: float, baseline: float) -> float:
    """`reward_prediction_error` of one agent."""
    divisor = abs(episode_return) or abs(baseline) or 1.0
    return (episode_return - baseline) / divisor


def step_size(prediction_error: Floats, learning_rate: Floats, clip: Floats, trace_norm: Floats) -> Floats:
    """lr * RPE, limited so that the update's norm |step| * ||e|| is at most the clip (inf: no limit). Shapes (B,)."""
    limit = np.divide(clip, trace_norm, out=np.full_like(trace_norm, np.inf), where=trace_norm > 0.0)
    return np.clip(learning_rate * prediction_error, -limit, limit)


class Rule(ABC):
    """B agents with one rule: each step `act`, `observe` and, where rewards are due, `learn`; then `finish_step`."""

    continuous = False
    """True for a Gaussian policy: the output holds the means of numbers whose standard deviation is 1, and instead of
    a uniform number a step gets a normally distributed one an output. Only rules that say so can have it; who makes the
    rule sets it."""

    takes_continuous_actions = False

    online = False
    """True for a rule that learns in `observe`, and is never asked to `learn`."""

    def __init__(
        self, sizes: Sequence[int], settings: Sequence[LearningSettings], generators: Sequence[np.random.Generator]
    ) -> None:
        """Draw the initial weights of agent b from `generators[b]`; `settings[b]` are its constants."""
        common = settings[0]
        self.sizes = tuple(sizes)
        self.immediate = common.reward == "immediate"
        self.weights: list[Floats] = initial_weights(
            sizes,
            generators,
            "xavier_normal" if common.preset == "paper" else "xavier_uniform",
            common.output_starts_at_zero,
        )
        self.traces = EligibilityTraces(sizes, len(settings), block_steps=1 if self.immediate else 32)
        self.learning_rate: Floats = np.array([each.learning_rate for each in settings])
        self.clip: Floats = np.array([np.inf if each.clip is None else each.clip for each in settings])
        self.sigma: Floats = np.array([each.sigma for each in settings])[:, None]
        hidden_factor = 0.0 if common.freeze_hidden else common.hidden_rate
        self.layer_factors = [hidden_factor] * (len(self.weights) - 1) + [1.0]
        """What each layer's trace is multiplied by in an update; 0 freezes a layer."""

    @property
    def noise_units(self) -> int:
        """Random numbers that `act` takes a step."""
        return sum(self.sizes[1:])

    def choose(self, outputs: Floats, number: Floats) -> tuple[Actions, Floats]:
        """An action by the random number(s) of a step, and the gradient of log pi(action) with respect to the outputs.

        Softmax: onehot(a) - pi. Normal distribution with standard deviation 1: the number n itself, a being mu + n.
        """
        if self.continuous:
            return outputs + number, number
        probabilities = softmax(outputs)
        action = sample_action(probabilities, number)
        return action, output_error(probabilities, action)

    def split_by_layer(self, noise: Floats) -> list[Floats]:
        """Noise (B, noise_units) as one (B, n_l) a layer."""
        return np.split(noise, np.cumsum(self.sizes[1:])[:-1], axis=1)

    @abstractmethod
    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """Choose actions (B,) on observations (B, n_0) and record the step in the traces.

        `noise` (B, noise_units) has mean 0 and variance 1; `uniform` (B,) of [0, 1) draws discrete actions, (B, n_o) of
        mean 0 and variance 1 continuous ones.
        """

    def observe(  # noqa: B027  rules that learn from returns or single rewards are told of those by `learn`
        self, reward: Floats, terminated: NDArray[np.bool_], truncated: NDArray[np.bool_], next_observation: Floats
    ) -> None:
        """What followed the action: rewards (B,), how the episode ended if it did (B,), observations (B, n_0).

        Where an episode ended the observation is its last one, not the first of the next. Nobody may change it.
        """

    def learn(self, rows: Rows, prediction_error: Floats) -> None:
        """W_l += lr * n * RPE * e_l for these agents, n a layer's factor; then e_l = 0. Raises RunError on overflow."""
        if not isinstance(rows, slice) and len(rows) <= LEARN_ONE_BY_ONE:
            # Most often few episodes end at a time, and a single agent needs no copies.
            for row, error in zip(rows.tolist(), prediction_error.tolist(), strict=True):
                self._learn_one(row, error)
            return
        traces = self.traces.take(rows)
        for factor, trace in zip(self.layer_factors, traces, strict=True):
            if factor != 1.0:
                trace *= factor
        squared_norm = np.zeros(len(prediction_error))
        for trace in traces:
            squared_norm += (trace.reshape(len(trace), -1) ** 2).sum(axis=1)
        norm = np.sqrt(squared_norm)
        step = step_size(prediction_error, self.learning_rate[rows], self.clip[rows], norm)
        if not np.isfinite(norm + step).all():
            raise RunError(DIVERGED)
        for weights, trace in zip(self.weights, traces, strict=True):
            trace *= step[:, None, None]
            weights[rows] += trace

    def _learn_one(self, row: int, prediction_error: float) -> None:
        """`learn` of one agent, to the last bit."""
        traces = self.traces.take_one(row)
        squared_norm = 0.0
        for factor, trace in zip(self.layer_factors, traces, strict=True):
            if factor != 1.0:
                trace *= factor
            squares = trace.reshape(-1) ** 2
            squared_norm += float(np.add.reduce(squares))
        norm = math.sqrt(squared_norm) if squared_norm >= 0.0 else math.nan
        limit = float(self.clip[row]) / norm if norm > 0.0 else math.inf
        step = float(self.learning_rate[row]) * prediction_error
        if not math.isfinite(norm + step):
            raise RunError(DIVERGED)
        step = min(max(step, -limit), limit)
        for weights, trace in zip(self.weights, traces, strict=True):
            trace *= step
            weights[row] += trace

    def finish_step(self) -> None:
        """Close the step in the traces."""
        self.traces.advance()

    def episode_ended(self, rows: Rows) -> None:  # noqa: B027  most rules keep nothing but traces
        """Forget what belongs to the episode that ended, beyond the traces."""

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        self.weights = [weights[rows] for weights in self.weights]
        self.learning_rate, self.clip, self.sigma = self.learning_rate[rows], self.clip[rows], self.sigma[rows]
        self.traces.keep(rows)


def two_passes(
    weights: Sequence[Floats], observation: Floats, noise: Sequence[Floats], clean_logits: Floats, action: Actions
) -> tuple[Floats, list[Floats]]:
    """d = log pi~(a) - log pi(a) by a second, noisy pass: d (B,) and the noisy activities x~_0..x~_L."""
    noisy, noisy_activities = noisy_forward(weights, observation, noise)
    agents = np.arange(len(action))
    d = log_softmax(noisy[-1])[agents, action] - log_softmax(clean_logits)[agents, action]
    return d, noisy_activities


def difference_pass(
    weights: Sequence[Floats],
    pre_activations: Sequence[Floats],
    activities: Sequence[Floats],
    noise: Sequence[Floats],
    action: Actions,
) -> tuple[Floats, list[Floats]]:
    """The same d and noisy activities without a second pass: the difference itself is propagated.

    da_1 = xi_1, dx_l = f(a_l + da_l) - f(a_l), da_(l+1) = W_(l+1) dx_l + xi_(l+1) and
    d = da_o[a] - log(sum_k pi_k exp(da_o[k])). Equal in exact arithmetic, and free of the cancellation of two nearly
    equal logarithms. `pre_activations` and `activities` are those of the clean pass.
    """
    noisy_activities = [activities[0]]
    difference = noise[0]
    for layer in range(len(weights) - 1):
        clean, moved = pre_activations[layer], pre_activations[layer] + difference
        # Where f does not bend between a and a + da the difference is exact: no subtraction of near-equal numbers.
        slope = leaky_relu_slope(clean)
        bends = (clean >= 0.0) != (moved >= 0.0)
        change = np.where(bends, leaky_relu(moved) - leaky_relu(clean), slope * difference)
        noisy_activities.append(activities[layer + 1] + change)
        difference = apply_layer(weights[layer + 1], change) + noise[layer + 1]
    probabilities = softmax(pre_activations[-1])
    # log(sum pi exp(da)) = log1p(sum pi expm1(da)), which keeps the digits of a small da.
    d = difference[np.arange(len(action)), action] - np.log1p((probabilities * np.expm1(difference)).sum(axis=1))
    return d, noisy_activities


class NrlPaper(Rule):
    """The rule as published: a clean pass that acts, a noisy pass that is compared with it, all layers noisy.

    e_l += d * outer(xi_l / ||xi||^2, x~_(l-1)) with the noise of all layers in ||xi||^2, and
    W_l += lr * n_l * RPE * e_l. With immediate reward the noise is normalised layer by layer.

    Noisy-only NRL (`noisy_passes` = n > 0): the mean logits of n further noisy passes stand in for the clean pass.
    With `exact_output` the output layer is as in `NrlEdge`; without `layer_factors` xi_l / sigma^2 takes the place of
    n_l xi_l / ||xi||^2.
    """

    def __init__(
        self, sizes: Sequence[int], settings: Sequence[LearningSettings], generators: Sequence[np.random.Generator]
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.noisy_passes = settings[0].noisy_passes
        self.output_is_exact = settings[0].output_is_exact
        self.has_factors = settings[0].layers_have_factors
        if self.has_factors:
            for layer in range(len(self.weights) - self.output_is_exact):
                self.layer_factors[layer] *= self.sizes[layer + 1]

    @property
    def noise_units(self) -> int:
        """Every noisy unit, once for each noisy pass."""
        return (1 + self.noisy_passes) * sum(self.sizes[1:-1] if self.output_is_exact else self.sizes[1:])

    def split_by_layer(self, noise: Floats) -> list[Floats]:
        """Noise of one pass as one (B, n_l) a layer; an exact output has none."""
        if self.output_is_exact:
            noise = np.pad(noise, ((0, 0), (0, self.sizes[-1])))
        return super().split_by_layer(noise)

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One clean and one noisy pass, and the trace of their difference."""
        noise, *other_noise = np.split(self.sigma * noise, 1 + self.noisy_passes, axis=1)
        xi = self.split_by_layer(noise)
        if other_noise:
            passes = [noisy_forward(self.weights, observation, self.split_by_layer(other)) for other in other_noise]
            logits = np.mean([pre_activations[-1] for pre_activations, _ in passes], axis=0)
            activities = passes[0][1]
        else:
            pre_activations, activities = forward(self.weights, observation)
            logits = pre_activations[-1]
        probabilities = softmax(logits)
        action = sample_action(probabilities, uniform)
        d, noisy_activities = two_passes(self.weights, observation, xi, logits, action)

        for layer, (xi_l, x) in enumerate(zip(xi, noisy_activities, strict=True)):
            if self.output_is_exact and layer == len(xi) - 1:
                self.traces.record(layer, output_error(probabilities, action), activities[-1])
                break
            if not self.has_factors:
                squared_norm = self.sigma[:, 0] ** 2
            else:
                squared_norm = ((xi_l if self.immediate else noise) ** 2).sum(axis=1)
            self.traces.record(layer, xi_l, (d / squared_norm)[:, None] * x)
        return action


class NrlEdge(Rule):
    """The rule as it runs on a chip. Against the paper:

    1. Observations come scaled by powers of two (the trainer does that).
    2. The output layer starts at zero.
    3. The output layer learns by its own error, e_o += outer(onehot(a) - pi, x_L); sign noise goes to hidden layers
       only, e_l += d * outer(s_l, x_(l-1)), and all layers share one learning rate.
    4. An update's norm is limited (`step_size`).

    d is the limit sigma -> 0 of the difference pass in units of sigma, a Jacobian-vector product: dx_1 = f'(a_1) s_1,
    dx_l = f'(a_l) (W_l dx_(l-1) + s_l), dl = W_o dx_L, d = dl[a] - sum_k pi_k dl[k]. It needs no sigma, log or exp.

    With continuous actions the output holds means mu, the output's error is n, an action being mu + n, and
    d = sum_k n_k dmu_k.

    With `noise_draws` = n > 1 a step has n vectors of signs and n differences d; the mean of d * s_l over them takes
    the place of d * s_l.

    For ablations the third change can be undone, whole or by halves: without `exact_output` dl gets the signs of the
    output units and the output's trace is outer(d s_o, x_L); with `layer_factors` a noisy layer learns n_l / N times
    as fast, N the number of noisy units (what n_l / ||xi||^2 comes to in units of sigma; 1 with immediate reward).
    """

    takes_continuous_actions = True

    def __init__(
        self, sizes: Sequence[int], settings: Sequence[LearningSettings], generators: Sequence[np.random.Generator]
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.output_is_exact = settings[0].output_is_exact
        self.noise_draws = settings[0].noise_draws
        self._space: _Space | None = None
        if settings[0].layers_have_factors and not self.immediate:
            for layer in range(len(self.weights) - self.output_is_exact):
                self.layer_factors[layer] *= self.sizes[layer + 1] / sum(self._noisy_layers)

    @property
    def _noisy_layers(self) -> tuple[int, ...]:
        """Units of the layers that get noise: the hidden ones, and the output where it is not exact."""
        return self.sizes[1:-1] if self.output_is_exact else self.sizes[1:]

    @property
    def noise_units(self) -> int:
        """Every noisy unit, once for each draw."""
        return self.noise_draws * sum(self._noisy_layers)

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One pass that carries activity and its differences side by side, and the trace."""
        by_draw = noise.reshape(len(noise), self.noise_draws, -1)
        # One (B, draws, n_l) a noisy layer.
        ends = accumulate(self._noisy_layers)
        signs = [by_draw[:, :, end - units : end] for units, end in zip(self._noisy_layers, ends, strict=True)]
        first, slopes, sides, products = self._space_for(len(observation))

        # The observation carries no noise, so layer 1 has no difference to propagate.
        pre_activation = apply_layer(self.weights[0], observation, first)
        difference = signs[0]
        activities = [observation]
        for layer in range(1, len(self.weights)):
            side_by_side, product = sides[layer - 1], products[layer - 1]
            slope = leaky_relu_slope(pre_activation, slopes[layer - 1])
            x = np.multiply(slope, pre_activation, out=side_by_side[:, 0])
            np.multiply(slope[:, None], difference, out=side_by_side[:, 1:])
            activities.append(x)
            apply_layer(self.weights[layer], side_by_side, product)
            pre_activation, difference = product[:, 0], product[:, 1:]
            if layer < len(signs):
                difference += signs[layer]
        logits, logit_differences = pre_activation, difference

        action, error = self.choose(logits, uniform)
        d = weighted_sum(error, logit_differences)

        for layer, s in enumerate(signs):
            if self.noise_draws == 1:
                self.traces.record_scaled(layer, s[:, 0], activities[layer], d)
            else:
                self.traces.record(layer, (d[:, :, None] * s).mean(axis=1), activities[layer])
        if self.output_is_exact:
            self.traces.record(len(signs), error, activities[-1])
        return action

    def _space_for(self, batch: int) -> _Space:
        """Arrays that a step computes in. Their allocation would take as long as what is computed in them."""
        if self._space is None or len(self._space.first) != batch:
            units, columns = self.sizes[1:-1], 1 + self.noise_draws
            self._space = _Space(
                np.empty((batch, units[0])),
                [np.empty((batch, n)) for n in units],
                [np.empty((batch, columns, n)) for n in units],
                [np.empty((batch, columns, n)) for n in self.sizes[2:]],
            )
        return self._space


class _Space(NamedTuple):
    """What `NrlEdge.act` computes in."""

    first: Floats
    """a_1 (B, n_1)."""
    slopes: list[Floats]
    """f'(a_l) (B, n_l) of each hidden layer."""
    sides: list[Floats]
    """x_l and dx_l side by side (B, 1 + draws, n_l) of each hidden layer."""
    products: list[Floats]
    """a_l and da_l side by side (B, 1 + draws, n_l), from layer 2 on."""
