"""The online preset `actor-critic`: the same network and the same noise, but learning while the episode goes on.

`edge` waits for the end of an episode and learns from its return. Here a critic V(s) says at every step how much better
or worse things went than expected, and the weights follow every few steps:

    critic   V = v . phi(s), linear in features phi of the (scaled) observation: 1, x_i and products x_i x_j
             delta = (1 - gamma) r + gamma V(s') - V(s), with V(s') = 0 where the episode terminated; where it was
             truncated by a time limit the state was not final, and V(s') counts
             z_c = lambda z_c + phi / n;  v += beta delta z_c
    actor    z += g;  D += delta
             every 4 steps and at the end of an episode: W += alpha D z, the step halved until its norm is at most a
             limit; then z = z / 2, D = 0

g is what the step adds to the trace in NRL `edge` (or REINFORCE's exact gradient: the baseline). Multiplying the trace
at the block's end with the sum of its deltas, instead of each delta with the trace of its step, saves a second trace.
(1 - gamma) r keeps V in the units of one reward, whatever gamma. An episode ends with all traces at zero.

The normaliser n keeps the critic's step stable for observations of any size: with S = |x|^2, P is the running peak
max(1 + S, P - P / 128) within the episode, and n the smallest power of two above P^2. |phi|^2 is at most (1 + S)^2;
with products of three inputs it is at most (1 + S)^3, and P^3 takes the place of P^2.

Arrays have a leading axis of B agents that know nothing of each other. This file holds

    Critic              features, values and the critic's learning
    BlockTraces         the actor's traces z
    ActorCritic         what happens every step and every block
    ActorCriticNrl, ActorCriticReinforce    with the noise's estimate, and with the exact gradient
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import RunError
from nrl_edge.learning.network import apply_layer
from nrl_edge.learning.nrl import Actions, Floats, NrlEdge, Rule
from nrl_edge.learning.reinforce import Reinforce
from nrl_edge.learning.settings import CriticFeatures, LearningSettings
from nrl_edge.learning.traces import EligibilityTraces, Rows

PEAK_DECAY = 2.0**-7
"""What the peak of 1 + |x|^2 loses a step; that of its square, the bound of |phi|^2, loses twice as much, 1/64."""


def feature_pairs(inputs: int, features: CriticFeatures) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which inputs i <= j are multiplied with each other: row by row of the triangle, or only i = j."""
    if features == "squares":
        return np.arange(inputs), np.arange(inputs)
    return np.triu_indices(inputs)


def feature_triples(inputs: int, features: CriticFeatures) -> NDArray[np.intp]:
    """Which inputs i <= j <= k are multiplied with each other, (N, 3): all with `cubes`, otherwise none."""
    if features != "cubes":
        return np.zeros((0, 3), dtype=np.intp)
    triples = [(i, j, k) for i in range(inputs) for j in range(i, inputs) for k in range(j, inputs)]
    return np.array(triples, dtype=np.intp)


class Critic:
    """V(s) = v . phi(s) of B agents, phi = (1, x_i, products x_i x_j), and how v learns."""

    def __init__(self, inputs: int, batch: int, settings: LearningSettings) -> None:
        self.settings = settings
        self.left, self.right = feature_pairs(inputs, settings.critic_features)
        self.triples = feature_triples(inputs, settings.critic_features)
        self.power = 3 if len(self.triples) else 2
        """|phi|^2 is at most this power of 1 + |x|^2."""
        features = 1 + inputs + len(self.left) + len(self.triples)
        self.weights: Floats = np.zeros((batch, features))
        """v (B, features)."""
        self.trace: Floats = np.zeros((batch, features))
        """z_c (B, features)."""
        self.peak: Floats = np.zeros(batch)
        """P (B,)."""
        self.is_set = np.zeros(batch, dtype=np.bool_)
        """False until an agent's first reward has come."""
        self.features: Floats = np.zeros((batch, features))
        """phi (B, features) of the observation that was acted on last."""

    def see(self, observation: Floats) -> None:
        """Take in the observation (B, n_0) that is acted on."""
        self.features = self._features(observation)
        self.peak = np.maximum(1.0 + (observation**2).sum(axis=1), self.peak - PEAK_DECAY * self.peak)
        _, exponent = np.frexp(self.peak**self.power)
        normalised = np.ldexp(self.features, -exponent[:, None])
        self.trace = self.settings.critic_trace_decay * self.trace + normalised

    def learn(self, reward: Floats, terminated: NDArray[np.bool_], next_observation: Floats) -> Floats:
        """Learn from what followed the action; returns delta (B,). `next_observation` (B, n_0) may be the last one."""
        gamma = self.settings.discount
        if not self.is_set.all():
            # Optimism: the first reward for ever, or nothing where it is negative.
            first = ~self.is_set
            self.weights[first, 0] = np.maximum(reward[first], 0.0) if self.settings.optimistic_start else reward[first]
            self.is_set[:] = True
        value = self._value(self.features)
        next_value = np.where(terminated, 0.0, self._value(self._features(next_observation)))
        delta: Floats = (1.0 - gamma) * reward + gamma * next_value - value
        self.weights += (self.settings.critic_step * delta)[:, None] * self.trace
        return delta

    def episode_ended(self, rows: Rows) -> None:
        """Forget the episode's trace and peak."""
        self.trace[rows] = 0.0
        self.peak[rows] = 0.0

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        self.weights, self.trace, self.features = self.weights[rows], self.trace[rows], self.features[rows]
        self.peak, self.is_set = self.peak[rows], self.is_set[rows]

    def _features(self, observation: Floats) -> Floats:
        products = observation[:, self.left] * observation[:, self.right]
        parts = [np.ones((len(observation), 1)), observation, products]
        if len(self.triples):
            parts.append(observation[:, self.triples].prod(axis=2))
        return np.concatenate(parts, axis=1)

    def _value(self, features: Floats) -> Floats:
        return apply_layer(self.weights[:, None, :], features)[:, 0]


class BlockTraces(EligibilityTraces):
    """The actor's traces z_l (B, n_l, n_(l-1)): a block of steps is kept as factors until it ends.

    Unlike those of `EligibilityTraces`, the blocks are part of the rule, and agents' blocks end at different times.
    """

    def __init__(self, sizes: Sequence[int], batch: int, block_steps: int) -> None:
        super().__init__(sizes, batch, block_steps)
        self._agents: NDArray[np.intp] = np.arange(batch)
        self._slots: NDArray[np.intp] = np.zeros(batch, dtype=np.intp)
        """Steps of each agent's block before the present one."""
        self._written = block_steps  # what was not is zero: agents' blocks end at different times

    def record(self, layer: int, post: Floats, pre: Floats) -> None:
        """Add outer(post (B, n_l), pre (B, n_(l-1))) of the present step to the trace of layer 0, 1, ..."""
        self._post[layer][self._slots, self._agents] = post
        self._pre[layer][self._slots, self._agents] = pre

    def record_scaled(self, layer: int, post: Floats, pre: Floats, factor: Floats) -> None:
        """`record` with `pre` times a factor (B, 1)."""
        self.record(layer, post, factor * pre)

    def block_is_full(self) -> NDArray[np.bool_]:
        """Whose block ends with the present step, (B,)."""
        full: NDArray[np.bool_] = self._slots == self._block_steps - 1
        return full

    def close_block(self, rows: Rows, decay: Floats) -> list[Floats]:
        """Return the traces of these agents, the present step included, and go on with `decay` (rows,) of them."""
        traces = super().take(rows)
        for sums, trace in zip(self._sums, traces, strict=True):
            sums[rows] = decay[:, None, None] * trace
        self._slots[rows] = -1
        return traces

    def take(self, rows: Rows) -> list[Floats]:
        """Return the traces of these agents, the present step included, and start them again at zero."""
        return self.close_block(rows, np.zeros(len(self._agents[rows])))

    def advance(self) -> None:
        """Close the present step. Call it once a step, after full blocks were closed."""
        self._slots += 1

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        super().keep(rows)
        self._agents, self._slots = np.arange(len(rows)), self._slots[rows]


class ActorCritic(Rule):
    """What both estimates of the gradient share: the critic, the blocks and the update."""

    online = True

    def __init__(
        self, sizes: Sequence[int], settings: Sequence[LearningSettings], generators: Sequence[np.random.Generator]
    ) -> None:
        super().__init__(sizes, settings, generators)
        self.settings = settings[0]
        self.critic = Critic(sizes[0], len(settings), self.settings)
        self.block_traces = BlockTraces(sizes, len(settings), self.settings.block_steps)
        self.traces = self.block_traces
        self.block_delta: Floats = np.zeros(len(settings))
        """D (B,)."""

    def observe(
        self, reward: Floats, terminated: NDArray[np.bool_], truncated: NDArray[np.bool_], next_observation: Floats
    ) -> None:
        """Learn from the step that `act` began: the critic always, the actor where a block or an episode ends."""
        self.block_delta += self.critic.learn(reward, terminated, next_observation)
        ended = terminated | truncated
        rows = np.flatnonzero(self.block_traces.block_is_full() | ended)
        if len(rows):
            decay = np.where(ended[rows], 0.0, self.settings.block_trace_decay)
            self._update(rows, self.block_traces.close_block(rows, decay))

    def _update(self, rows: NDArray[np.intp], traces: list[Floats]) -> None:
        """W_l += alpha D z_l for these agents, the step halved until the norm fits; then D = 0."""
        squared_norm = np.zeros(len(rows))
        for factor, trace in zip(self.layer_factors, traces, strict=True):
            if factor != 1.0:
                trace *= factor
            squared_norm += (trace.reshape(len(rows), -1) ** 2).sum(axis=1)
        step = self.settings.actor_step * self.block_delta[rows]
        norm = np.abs(step) * np.sqrt(squared_norm)
        if not np.isfinite(norm).all():
            raise RunError(
                "the critic or the weights grew without bounds (a prediction error or an eligibility trace is no "
                "longer a finite number); scale observations to magnitudes of about 1 to 10 and rewards to about 1"
            )
        if self.settings.update_norm is not None:
            while (too_long := norm > self.settings.update_norm).any():
                step[too_long] *= 0.5
                norm[too_long] *= 0.5
        for weights, trace in zip(self.weights, traces, strict=True):
            weights[rows] += step[:, None, None] * trace
        self.block_delta[rows] = 0.0

    def episode_ended(self, rows: Rows) -> None:
        """Forget the episode: what was learned is in the weights and in the critic."""
        self.critic.episode_ended(rows)

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        super().keep(rows)
        self.critic.keep(rows)
        self.block_delta = self.block_delta[rows]


class ActorCriticNrl(ActorCritic, NrlEdge):
    """With NRL's estimate of the gradient: the difference that the units' noise makes."""

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """As `NrlEdge`; the critic looks at the same observation."""
        self.critic.see(observation)
        return NrlEdge.act(self, observation, noise, uniform)


class ActorCriticReinforce(ActorCritic, Reinforce):
    """With backpropagation's exact gradient of log pi(a): the baseline that has all else in common."""

    def act(self, observation: Floats, noise: Floats, uniform: Floats) -> Actions:
        """As `Reinforce`; the critic looks at the same observation."""
        self.critic.see(observation)
        return Reinforce.act(self, observation, noise, uniform)
