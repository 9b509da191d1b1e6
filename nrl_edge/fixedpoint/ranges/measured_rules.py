"""The float64 rules that fixed point computes, with every quantity measured that it rounds or saturates.

    Ranges                  what was measured
    MeasuredEdge            preset edge: section 6 and 7 of docs/arithmetic.md
    MeasuredActorCritic     preset actor-critic: section 11

Both with any number of noise draws, and with discrete or continuous actions (section 12). Quantities are computed again
from the same weights, so that the rules themselves stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nrl_edge.fixedpoint.configuration import DIFFERENCE_FRAC_BITS
from nrl_edge.fixedpoint.ranges.magnitudes import Magnitudes
from nrl_edge.learning.actor_critic import ActorCriticNrl, BlockTraces, Critic
from nrl_edge.learning.network import apply_layer, forward, leaky_relu_slope, output_error, softmax
from nrl_edge.learning.nrl import Actions, NrlEdge
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.traces import EligibilityTraces, Rows

Floats = NDArray[np.float64]

DECISIVE_LOGITS = 2.0
"""Typical difference of two logits of an agent that has learned: e^2, or 88 to 12."""
DECISIVE_MEAN = 4.0
"""Typical magnitude of a mean of a Gaussian policy that has learned, in its standard deviations. Those of Pendulum come
to 7, by weights that agree; with drawn ones as many differences saturate at 4 as theirs do (one in twenty)."""
MEASURE_EVERY = 3
"""Every third step is measured: neighbouring steps are alike, and measuring costs more than stepping."""
MEASURED_BLOCK_STEPS = 8
"""Steps between two measurements of the traces of a whole episode."""

DIFFERENCE_LIMIT = 2.0 ** (15 - DIFFERENCE_FRAC_BITS)
"""Largest difference that the fixed-point agent holds."""


@dataclass
class Ranges:
    """What a simulation saw. Observations, activations and everything made of them are scaled."""

    sizes: tuple[int, ...]
    """(n_0, n_1, ..., n_L, n_o)."""
    immediate: bool
    noise_draws: int = 1
    continuous: bool = False
    online: bool = False
    """Preset actor-critic."""
    observation: Magnitudes = field(default_factory=Magnitudes)
    pre_activation: Magnitudes = field(default_factory=Magnitudes)
    """Of all hidden units."""
    logit: Magnitudes = field(default_factory=Magnitudes)
    """Of logits, or of the means of a Gaussian policy."""
    difference: Magnitudes = field(default_factory=Magnitudes)
    """da, dl and d of docs/arithmetic.md, in units of the noise."""
    hidden_share: Magnitudes = field(default_factory=Magnitudes)
    """d x_j over the noise draws: what one draw of a step adds to a hidden trace, once an input."""
    beginners_share: Magnitudes = field(default_factory=Magnitudes)
    """The same of the agents that start as agents do, in the second half of the simulation."""
    output_share: Magnitudes = field(default_factory=Magnitudes)
    """err_k x_j: what one step adds to a trace of the output layer."""
    trace: Magnitudes = field(default_factory=Magnitudes)
    weight: Magnitudes = field(default_factory=Magnitudes)
    """Of all weights, after updates."""
    row_norm: list[Magnitudes] = field(default_factory=list)
    """Of each layer: sums of the magnitudes of a row of weights, after updates."""
    decisive_weight: float = 0.0
    """Largest weight of an output layer that acts decisively, of the network that needs the smallest."""
    reward: Magnitudes = field(default_factory=Magnitudes)
    episode_return: Magnitudes = field(default_factory=Magnitudes)
    prediction_error: Magnitudes = field(default_factory=Magnitudes)
    """Relative to the return (delayed reward), or in units of reward (immediate); a critic's: delta of section 11."""
    block_error: Magnitudes = field(default_factory=Magnitudes)
    """D of section 11: the sum of a block's prediction errors."""
    value: Magnitudes = field(default_factory=Magnitudes)
    """V of section 11."""
    critic_weight: Magnitudes = field(default_factory=Magnitudes)
    """v of section 11."""
    critic_update: Magnitudes = field(default_factory=Magnitudes)
    """Change of a single weight of the critic in a step."""
    update: Magnitudes = field(default_factory=Magnitudes)
    """Change of a single weight in an update."""
    longest_episode: int = 0
    """Steps, of episodes that ended or were open at the simulation's end."""
    input_maxima: Floats = field(default_factory=lambda: np.zeros(0))
    """Largest magnitude of each input, (inputs,)."""


class _MeasuredTraces(EligibilityTraces):
    """Eligibility traces that are measured at the end of every block of steps, and where they are taken."""

    def __init__(self, sizes: Sequence[int], batch: int, block_steps: int, trace: Magnitudes) -> None:
        super().__init__(sizes, batch, block_steps)
        self._measured = trace

    def advance(self) -> None:
        """Close the present step."""
        super().advance()
        if self._slot == 0 and self._block_steps > 1:
            for sums in self._sums:
                self._measured.add(sums)

    def take(self, rows: Rows) -> list[Floats]:
        """Return the traces of these agents."""
        taken = super().take(rows)
        for trace in taken:
            self._measured.add(trace)
        return taken


class _MeasuredBlockTraces(BlockTraces):
    """Traces of an online agent, measured where they are largest: at the end of a block, before they decay."""

    def __init__(self, sizes: Sequence[int], batch: int, block_steps: int, trace: Magnitudes) -> None:
        super().__init__(sizes, batch, block_steps)
        self._measured = trace

    def close_block(self, rows: Rows, decay: Floats) -> list[Floats]:
        """Return the traces of these agents, and go on with `decay` of them."""
        traces = super().close_block(rows, decay)
        for trace in traces:
            self._measured.add(trace)
        return traces


class _MeasuredCritic(Critic):
    """A critic whose values and changes are measured."""

    def __init__(self, inputs: int, batch: int, settings: LearningSettings, ranges: Ranges) -> None:
        super().__init__(inputs, batch, settings)
        self._ranges = ranges

    def learn(self, reward: Floats, terminated: NDArray[np.bool_], next_observation: Floats) -> Floats:
        """Learn from what followed the action; returns delta (B,)."""
        delta = super().learn(reward, terminated, next_observation)
        ranges = self._ranges
        ranges.prediction_error.add(delta)
        ranges.value.add(self._value(self.features))
        ranges.critic_weight.add(self.weights)
        ranges.critic_update.add((self.settings.critic_step * delta)[:, None] * self.trace)
        return delta


class _Measured(NrlEdge):
    """What both presets measure. Comes before the rule among the bases, so that the rule does what is measured."""

    ranges: Ranges
    beginners: int
    """Agents from the first whose weights are measured; the others start decisive."""
    late: bool
    """Set in the second half of the simulation."""

    def __init__(
        self,
        sizes: Sequence[int],
        settings: Sequence[LearningSettings],
        generators: Sequence[np.random.Generator],
        ranges: Ranges,
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.ranges = ranges
        self._measure_parts()
        ranges.row_norm = [Magnitudes() for _ in self.weights]
        self.beginners = len(self.learning_rate)
        self._step, self._measuring = 0, False
        self.late = False
        self._measure_weights(slice(None))

    def _measure_parts(self) -> None:
        """Put parts that measure in the place of the rule's own."""
        raise NotImplementedError

    def make_decisive(self, observations: Floats) -> None:
        """Give the second half of the agents output layers that tell these observations (N, inputs) apart.

        Row k points to the hidden activity of one of them, as the output rule makes rows point; their common scale is
        such that two logits typically differ by DECISIVE_LOGITS, or that a mean is typically as large as DECISIVE_MEAN.
        """
        self.beginners = (len(self.learning_rate) + 1) // 2
        actions = self.sizes[-1]
        layers = {}
        for agent in range(self.beginners, len(self.learning_rate)):
            own = [weights[agent : agent + 1] for weights in self.weights]
            activity = np.concatenate([forward(own, each[None])[1][-1] for each in observations])
            centred = activity - activity.mean(axis=0)
            rows = centred[np.arange(actions) * len(centred) // actions]
            typical = math.sqrt(float((activity @ rows.T).var(axis=0 if self.continuous else 1).mean()))
            if not self.continuous:
                # The difference of two independent numbers has twice their variance.
                typical *= math.sqrt(2.0)
            if typical > 0.0:
                layers[agent] = rows * ((DECISIVE_MEAN if self.continuous else DECISIVE_LOGITS) / typical)
        if not layers:
            return
        least = min(float(np.abs(layer).max()) for layer in layers.values())
        self.ranges.decisive_weight = least
        for agent, layer in layers.items():
            # Hidden units that hardly tell observations apart would need weights that learning never comes to.
            self.weights[-1][agent] = layer * min(1.0, 2.0 * least / float(np.abs(layer).max()))

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """One step of the rule."""
        self._step += 1
        self._measuring = self._step % MEASURE_EVERY == 1
        if not self._measuring:
            return super().act(observation, noise, uniform)
        ranges, draws = self.ranges, self.ranges.noise_draws
        pre_activations, activities = forward(self.weights, observation)
        by_draw = noise.reshape(len(noise), draws, -1)
        signs = np.split(by_draw, np.cumsum(self.sizes[1:-1])[:-1], axis=2)
        difference = signs[0]
        for layer in range(1, len(self.weights)):
            slope = leaky_relu_slope(pre_activations[layer - 1])
            difference = apply_layer(self.weights[layer], slope[:, None] * difference)
            if layer < len(signs):
                difference = difference + signs[layer]
            ranges.difference.add(difference)
        action = super().act(observation, noise, uniform)
        error = uniform if self.continuous else output_error(softmax(pre_activations[-1]), action)
        d = (error[:, None] * difference).sum(axis=2)

        ranges.observation.add(observation)
        for pre_activation in pre_activations[:-1]:
            ranges.pre_activation.add(pre_activation)
        ranges.logit.add(pre_activations[-1])
        ranges.difference.add(d)
        d = np.clip(d, -DIFFERENCE_LIMIT, DIFFERENCE_LIMIT)[:, :, None] / draws
        for activity in activities[:-1]:
            ranges.hidden_share.add(d * activity[:, None])
            if self.late:
                ranges.beginners_share.add(d[: self.beginners] * activity[: self.beginners, None])
        ranges.output_share.add(error[:, :, None] * activities[-1][:, None, :])
        return action

    def _measure_weights(self, rows: Rows) -> None:
        measured = np.arange(len(self.learning_rate))[rows]
        measured = measured[measured < self.beginners]
        for weights, row_norm in zip(self.weights, self.ranges.row_norm, strict=True):
            self.ranges.weight.add(weights[measured])
            row_norm.add(np.abs(weights[measured]).sum(axis=-1))


class MeasuredEdge(_Measured):
    """Preset edge, measured."""

    def _measure_parts(self) -> None:
        block_steps = 1 if self.immediate else MEASURED_BLOCK_STEPS
        self.traces = _MeasuredTraces(self.sizes, len(self.learning_rate), block_steps, self.ranges.trace)

    def learn(self, rows: Rows, prediction_error: Floats) -> None:
        """The rule's update, measured."""
        if self.immediate and not self._measuring:
            super().learn(rows, prediction_error)
            return
        before = [weights[rows].copy() for weights in self.weights]
        super().learn(rows, prediction_error)
        self.ranges.prediction_error.add(prediction_error)
        for weights, old in zip(self.weights, before, strict=True):
            self.ranges.update.add(weights[rows] - old)
        self._measure_weights(rows)


class MeasuredActorCritic(_Measured, ActorCriticNrl):
    """Preset actor-critic, measured."""

    def _measure_parts(self) -> None:
        batch, ranges = len(self.learning_rate), self.ranges
        self.critic = _MeasuredCritic(self.sizes[0], batch, self.settings, ranges)
        self.block_traces = _MeasuredBlockTraces(self.sizes, batch, self.settings.block_steps, ranges.trace)
        self.traces = self.block_traces

    def _update(self, rows: NDArray[np.intp], traces: list[Floats]) -> None:
        """The rule's update, measured."""
        self.ranges.block_error.add(self.block_delta[rows])
        if not self._measuring:
            super()._update(rows, traces)
            return
        before = [weights[rows] for weights in self.weights]
        super()._update(rows, traces)
        for weights, old in zip(self.weights, before, strict=True):
            self.ranges.update.add(weights[rows] - old)
        self._measure_weights(rows)
