"""Simulates the float64 `edge` rule on a task and measures every quantity that fixed point rounds or saturates.

Half of the simulated agents start as an agent does, with an output layer of zeros. The other half start decisive: their
output layers are drawn, and scaled until the logits differ as those of agents that have learned. Differences and hidden
traces grow with the output layer, so a short simulation of beginners alone would say that there are none.

The simulation has seeds of its own, so what is chosen by it does not depend on an experiment's seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import RunError
from nrl_edge.fixedpoint.configuration import DIFFERENCE_FRAC_BITS
from nrl_edge.learning.network import apply_layer, forward, layer_sizes, leaky_relu_slope, output_error, softmax
from nrl_edge.learning.nrl import NrlEdge, reward_prediction_error
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.streams import RandomStreams, agent_generator
from nrl_edge.learning.traces import EligibilityTraces, Rows
from nrl_edge.tasks.batched import BatchedTask, make_batched_task
from nrl_edge.tasks.seeding import episode_seed
from nrl_edge.tasks.task import TaskSettings, scale_exponents

Floats = NDArray[np.float64]
Actions = NDArray[np.intp]

ANALYSIS_SEED = 0x72616E6765
"""Seed of everything that the analysis draws; nothing of it depends on an experiment's seed."""
AGENTS = 4
STEPS = 1500
"""Steps of each simulated agent, about a second."""
PROBE_STEPS = 1000
"""Steps of each random policy that observation scales are chosen by."""

DECISIVE_LOGITS = 2.0
"""Typical difference of two logits of an agent that has learned: e^2, or 88 to 12."""
MEASURE_EVERY = 3
"""Every third step is measured: neighbouring steps are alike, and measuring costs more than stepping."""

DIFFERENCE_LIMIT = 2.0 ** (15 - DIFFERENCE_FRAC_BITS)
"""Largest difference that the fixed-point agent holds."""

_BINS_PER_OCTAVE = 8
_MIN_EXPONENT, _MAX_EXPONENT = -64, 64
_BINS = (_MAX_EXPONENT - _MIN_EXPONENT) * _BINS_PER_OCTAVE


class Magnitudes:
    """Distribution of |value| of one quantity: count, largest, mean square, and a histogram of eight bins an octave."""

    def __init__(self) -> None:
        self.count = 0
        """Values added, zeros included."""
        self.maximum = 0.0
        self._squares = 0.0
        self._bins: NDArray[np.int64] = np.zeros(_BINS, dtype=np.int64)

    def add(self, values: Floats) -> None:
        """Count values of any shape."""
        flat = np.abs(values).reshape(-1)
        if not flat.size:
            return
        self.count += flat.size
        self.maximum = max(self.maximum, float(flat.max()))
        self._squares += float(flat.dot(flat))
        # The upper bits of a float64 are its exponent and, below, the first bits of its mantissa.
        bins = (flat.view(np.int64) >> 49) - ((1023 + _MIN_EXPONENT) * _BINS_PER_OCTAVE)
        self._bins += np.bincount(np.clip(bins[flat > 0.0], 0, _BINS - 1), minlength=_BINS)

    @property
    def rms(self) -> float:
        """Root of the mean square of all values that are not zero; 0 where there are none."""
        nonzero = int(self._bins.sum())
        return math.sqrt(self._squares / nonzero) if nonzero else 0.0

    def share_above(self, limit: float) -> float:
        """Share of all values, zeros included, above a limit (to the width of a bin, an eighth of an octave)."""
        if not self.count or limit >= self.maximum:
            return 0.0
        return float(self._bins[limit <= _LOWER_EDGES].sum()) / self.count

    def lost_below(self, limit: float) -> float:
        """The share of the sum of all values that those below a limit make up; 0 where there are none."""
        sums = self._bins * _LOWER_EDGES
        total = float(sums.sum())
        return float(sums[limit > _LOWER_EDGES].sum()) / total if total else 0.0


_LOWER_EDGES: Floats = np.array(
    [
        math.ldexp(1.0 + part / _BINS_PER_OCTAVE, exponent)
        for exponent in range(_MIN_EXPONENT, _MAX_EXPONENT)
        for part in range(_BINS_PER_OCTAVE)
    ]
)


@dataclass
class Ranges:
    """What a simulation saw. Observations, activations and everything made of them are scaled."""

    sizes: tuple[int, ...]
    """(n_0, n_1, ..., n_L, n_o)."""
    immediate: bool
    observation: Magnitudes = field(default_factory=Magnitudes)
    pre_activation: Magnitudes = field(default_factory=Magnitudes)
    """Of all hidden units."""
    logit: Magnitudes = field(default_factory=Magnitudes)
    difference: Magnitudes = field(default_factory=Magnitudes)
    """da, dl and d of docs/arithmetic.md, in units of the noise."""
    hidden_share: Magnitudes = field(default_factory=Magnitudes)
    """d x_j: what one step adds to a hidden trace, once an input."""
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
    """Relative to the return (delayed reward), or in units of reward (immediate)."""
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


class _MeasuredEdge(NrlEdge):
    """The rule, with its quantities measured at every step. They are computed again from the same weights."""

    def __init__(
        self,
        sizes: Sequence[int],
        settings: Sequence[LearningSettings],
        generators: Sequence[np.random.Generator],
        ranges: Ranges,
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.ranges = ranges
        ranges.row_norm = [Magnitudes() for _ in self.weights]
        self.beginners = len(settings)
        """Agents from the first whose weights are measured; the others start decisive."""
        self._step, self._measuring = 0, False
        self.late = False
        """Set in the second half of the simulation."""
        self.traces: _MeasuredTraces = _MeasuredTraces(sizes, len(settings), 1 if self.immediate else 8, ranges.trace)
        self._measure_weights(slice(None))

    def make_decisive(self, observations: Floats) -> None:
        """Give the second half of the agents output layers that tell these observations (N, inputs) apart.

        Row k points to the hidden activity of one of them, as the output rule makes rows point; their common scale is
        such that two logits typically differ by DECISIVE_LOGITS.
        """
        self.beginners = (len(self.learning_rate) + 1) // 2
        actions = self.sizes[-1]
        layers = {}
        for agent in range(self.beginners, len(self.learning_rate)):
            own = [weights[agent : agent + 1] for weights in self.weights]
            activity = np.concatenate([forward(own, each[None])[1][-1] for each in observations])
            centred = activity - activity.mean(axis=0)
            rows = centred[np.arange(actions) * len(centred) // actions]
            # The difference of two independent numbers has twice their variance.
            difference = math.sqrt(2.0 * float((activity @ rows.T).var(axis=1).mean()))
            if difference > 0.0:
                layers[agent] = rows * (DECISIVE_LOGITS / difference)
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
        ranges = self.ranges
        pre_activations, activities = forward(self.weights, observation)
        signs = self.split_by_layer(noise)[:-1]
        difference = signs[0]
        for layer in range(1, len(self.weights)):
            slope = leaky_relu_slope(pre_activations[layer - 1])
            difference = apply_layer(self.weights[layer], slope * difference)
            if layer < len(signs):
                difference = difference + signs[layer]
            ranges.difference.add(difference)
        action = super().act(observation, noise, uniform)
        error = output_error(softmax(pre_activations[-1]), action)
        d = (error * difference).sum(axis=1, keepdims=True)

        ranges.observation.add(observation)
        for pre_activation in pre_activations[:-1]:
            ranges.pre_activation.add(pre_activation)
        ranges.logit.add(pre_activations[-1])
        ranges.difference.add(d)
        d = np.clip(d, -DIFFERENCE_LIMIT, DIFFERENCE_LIMIT)
        for activity in activities[:-1]:
            ranges.hidden_share.add(d * activity)
            if self.late:
                ranges.beginners_share.add(d[: self.beginners] * activity[: self.beginners])
        ranges.output_share.add(error[:, :, None] * activities[-1][:, None, :])
        return action

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

    def _measure_weights(self, rows: Rows) -> None:
        measured = np.arange(len(self.learning_rate))[rows]
        measured = measured[measured < self.beginners]
        for weights, row_norm in zip(self.weights, self.ranges.row_norm, strict=True):
            self.ranges.weight.add(weights[measured])
            row_norm.add(np.abs(weights[measured]).sum(axis=-1))


@dataclass(frozen=True)
class Probe:
    """What random policies saw of a task, unscaled."""

    inputs: int
    actions: int
    maxima: Floats
    """Largest magnitude of each input, (inputs,)."""
    observations: Floats
    """Some of the observations, (N, inputs)."""


def probe_task(task: TaskSettings, agents: int = AGENTS, steps: int = PROBE_STEPS) -> Probe:
    """Run random policies on a task; always the same ones. Half of them keep an action for ten steps on average.

    An environment that fails after its first episode has been seen as far as it came: the run that follows will meet
    the fault and report it. Raises ConfigurationError where the task cannot be made, RunError where it fails at once.
    """
    batch = make_batched_task(replace(task, observation_scale=0), agents)
    try:
        generator = agent_generator(ANALYSIS_SEED)
        episodes = [0] * agents
        observation = batch.reset(np.arange(agents), [_seed(agent, 0) for agent in range(agents)])

        def draw() -> NDArray[Any]:
            if batch.continuous:
                return generator.uniform(-1.5, 1.5, (agents, batch.actions))
            return generator.integers(batch.actions, size=agents)

        action = draw()
        changes = np.where(np.arange(agents) < agents // 2, 1.0, 0.1)
        maxima, kept = np.zeros(batch.inputs), []
        for step in range(steps):
            maxima = np.maximum(maxima, np.abs(observation).max(axis=0))
            if step % (agents * steps // 64 or 1) < agents:
                kept.append(observation[step % agents])
            new = generator.random(agents) < changes
            action = np.where(new[:, None] if batch.continuous else new, draw(), action)
            try:
                observation, _, terminated, truncated = batch.step(action)
                ended = np.flatnonzero(terminated | truncated)
                if ended.size:
                    for agent in ended.tolist():
                        episodes[agent] += 1
                    observation[ended] = batch.reset(ended, [_seed(agent, episodes[agent]) for agent in ended.tolist()])
            except RunError:
                if not any(episodes):
                    raise
                break
        return Probe(batch.inputs, batch.actions, maxima, np.array(kept))
    finally:
        batch.close()


def _seed(agent: int, episode: int) -> int:
    return episode_seed(ANALYSIS_SEED + agent, episode)


def simulate_ranges(
    task: TaskSettings,
    hidden: Sequence[int],
    learning: LearningSettings,
    *,
    seeds: Sequence[int] | None = None,
    steps: int = STEPS,
    episodes: int = 0,
    decisive: Floats | None = None,
) -> Ranges:
    """Simulate the float64 `edge` rule with these settings on a task, and measure.

    One agent a seed (the analysis's own where None) takes at least `steps` steps and finishes at least `episodes`
    episodes. If the environment fails after its first episode, what was seen until then is returned: the run that
    follows will meet the fault and report it. With observations (N, inputs), scaled, in `decisive`, the second half of
    the agents starts decisive. Raises ConfigurationError and RunError as training does, but for such faults.
    """
    seeds = [ANALYSIS_SEED + agent for agent in range(AGENTS)] if seeds is None else list(seeds)
    settings = replace(learning, rule="nrl", preset="edge", freeze_hidden=False, zero_output=None, noise_draws=1)
    batch = make_batched_task(task, len(seeds))
    try:
        sizes = layer_sizes(batch.inputs, hidden, batch.actions)
        ranges = Ranges(sizes, settings.reward == "immediate")
        generators = [agent_generator(seed) for seed in seeds]
        rule = _MeasuredEdge(sizes, [settings] * len(seeds), generators, ranges)
        if decisive is not None:
            rule.make_decisive(decisive)
        _run(rule, batch, task, settings, seeds, generators, steps, episodes)
        return ranges
    finally:
        batch.close()


def _run(
    rule: _MeasuredEdge,
    batch: BatchedTask,
    task: TaskSettings,
    settings: LearningSettings,
    seeds: Sequence[int],
    generators: Sequence[np.random.Generator],
    steps: int,
    episodes: int,
) -> None:
    """The trainer's loop, for a number of steps instead of a number of episodes."""
    ranges, everyone = rule.ranges, np.arange(len(seeds))
    scale = np.ldexp(1.0, np.array(scale_exponents(task.observation_scale, batch.inputs), dtype=np.int64))
    streams = RandomStreams(generators, rule.noise_units, "sign")
    episode, length = np.zeros(len(seeds), dtype=np.int64), np.zeros(len(seeds), dtype=np.int64)
    episode_return, baseline = np.zeros(len(seeds)), np.zeros(len(seeds))
    ranges.input_maxima = np.zeros(batch.inputs)
    observation = batch.reset(everyone, [episode_seed(seed, 0) for seed in seeds]) * scale
    step = 0
    while step < steps or int(episode.min()) < episodes:
        step += 1
        rule.late = 2 * step > steps
        ranges.input_maxima = np.maximum(ranges.input_maxima, np.abs(observation).max(axis=0))
        action = rule.act(observation, *streams.next())
        try:
            observation, reward, terminated, truncated = batch.step(action)
        except RunError:
            if not episode.any():
                raise
            break
        observation = observation * scale
        ranges.reward.add(reward)
        episode_return += reward
        length += 1
        if rule.immediate:
            rule.learn(slice(None), reward - baseline)
            baseline += settings.baseline_rate * (reward - baseline)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            returns = episode_return[ended]
            ranges.episode_return.add(returns)
            if rule.immediate:
                baseline[ended] = 0.0
            else:
                baseline[ended] = np.where(episode[ended] == 0, returns, baseline[ended])
                rule.learn(ended, reward_prediction_error(returns, baseline[ended]))
                baseline[ended] += settings.baseline_rate * (returns - baseline[ended])
            ranges.longest_episode = max(ranges.longest_episode, int(length[ended].max()))
            episode[ended] += 1
            length[ended], episode_return[ended] = 0, 0.0
            again = [episode_seed(seeds[agent], int(episode[agent])) for agent in ended.tolist()]
            try:
                observation[ended] = batch.reset(ended, again) * scale
            except RunError:
                break
        rule.finish_step()
    ranges.longest_episode = max(ranges.longest_episode, int(length.max()))
    ranges.episode_return.add(episode_return[length > 0])
