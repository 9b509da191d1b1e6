"""The online reference agent in NumPy: section 11 of docs/arithmetic.md.

It acts, traces and counts as every agent of reference.py; what is its own is the critic and when and how it learns.
"""

from __future__ import annotations

import numpy as np

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.arithmetic import IntegerArray, IntegerOrArray, round_shift, saturate_scalar
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.reference import MAX_SHIFT, IntegerAgent, refused_snapshot

CRITIC_FRAC_BITS = 24
CRITIC_LIMIT = 1 << 30
"""Critic weights stay within +-64."""
VALUE_FRAC_BITS = 15
"""Of values V, prediction errors delta and their sum D."""
DELTA_LIMIT = 32767
TRACE_FRAC_BITS = 28
"""Of the critic's trace z_c."""
MAX_PLACE_SHIFT = 30
SQRT_2_POW_31 = 46340
CUBE_ROOT_2_POW_46, CUBE_ROOT_2_POW_47 = 41285, 52015
"""2^15 times the cube roots of 2 and of 4: where the cube of a 16-bit number passes a power of two."""


def product_16(a: IntegerOrArray, b: int) -> IntegerOrArray:
    """a * b / 2^16 to the nearest integer, halves up; b is an int16."""
    return round_shift(a * b, 16)


def place(value: IntegerArray, bits: int) -> IntegerArray:
    """value * 2^bits, rounded to the nearest integer; 0 where it is shifted out."""
    if bits >= 0:
        return value << bits
    return round_shift(value, -bits) if bits >= -MAX_PLACE_SHIFT else np.zeros_like(value)


class Critic:
    """Values of observations, and how they are learned. Integers of section 11, features in its order."""

    def __init__(self, configuration: AgentConfiguration) -> None:
        self._frac_bits = configuration.formats.observation_frac_bits
        self._reward_frac_bits = configuration.formats.reward_frac_bits
        self._left = np.array([i for i, _ in configuration.critic_pairs])
        self._right = np.array([j for _, j in configuration.critic_pairs])
        self._triples = configuration.critic_triples
        self._trace_decay = configuration.critic_trace_decay
        self._discount_exponent = configuration.discount_exponent
        self.weights: IntegerArray = np.zeros(configuration.critic_parameters, np.int64)
        """v in Q24."""
        self.trace: IntegerArray = np.zeros(configuration.critic_parameters, np.int64)
        """z_c in Q28."""
        self.peak = 0
        """P in Q(2 Fx - 6)."""
        self._value = 0
        """V of the observation that was acted on last, Q15."""

    def value(self, observation: IntegerArray) -> int:
        """V(observation) in Q15."""
        to_value = 16 - self._frac_bits
        limit = 1 << (30 - to_value)
        inputs = observation.tolist()
        pairs = list(zip(self._left.tolist(), self._right.tolist(), strict=True))
        ends = np.cumsum([1, len(inputs), len(pairs)])
        constant, linear, products, cubes = np.split(self.weights, ends)
        slopes = [weight >> to_value for weight in linear.tolist()]
        factors = products.tolist()
        if self._triples:
            curvatures = {pair: weight >> to_value for pair, weight in zip(pairs, factors, strict=True)}
            for (i, j, k), weight in zip(self._triples, cubes.tolist(), strict=True):
                changed = curvatures[i, j] + product_16(weight, inputs[k])
                curvatures[i, j] = min(max(changed, -limit), limit)
            factors = [curvatures[pair] << to_value for pair in pairs]
        for (i, j), weight in zip(pairs, factors, strict=True):
            slopes[i] = min(max(slopes[i] + product_16(weight, inputs[j]), -limit), limit)
        total = int(constant[0]) >> to_value
        for slope, x in zip(slopes, inputs, strict=True):
            total = min(max(total + product_16(slope << to_value, x), -limit), limit)
        return round_shift(total, self._frac_bits - 7)

    def set_first_value(self, reward: int) -> None:
        """Start at max(first reward, 0)."""
        limited = min(max(reward, 0), 1 << (self._reward_frac_bits + 6))
        self.weights[0] = limited << (CRITIC_FRAC_BITS - self._reward_frac_bits)
        self._value = int(self.weights[0]) >> (CRITIC_FRAC_BITS - VALUE_FRAC_BITS)

    def see(self, observation: IntegerArray) -> None:
        """Take in the observation that is acted on."""
        self._value = self.value(observation)
        exponent = self._normaliser_exponent(observation)
        scale = TRACE_FRAC_BITS - exponent
        linear = place(observation, scale - self._frac_bits)
        products = place(observation[self._left] * observation[self._right], scale - 2 * self._frac_bits)
        cubes = np.array(
            [product_16(int(observation[i] * observation[j]), int(observation[k])) for i, j, k in self._triples],
            np.int64,
        )
        cubes = place(cubes, scale + 16 - 3 * self._frac_bits)
        features = np.concatenate((place(np.ones(1, np.int64), scale), linear, products, cubes))
        self.trace = round_shift(self._trace_decay * self.trace, 6) + features

    def _normaliser_exponent(self, observation: IntegerArray) -> int:
        """e, n = 2^e being the smallest power of two above P^2, or P^3 for cubes; P follows its peak."""
        bound = (1 << (2 * self._frac_bits - 6)) + int(((observation * observation + 63) >> 6).sum())
        self.peak = max(bound, self.peak - (self.peak >> 7))
        bits = self.peak.bit_length()
        leading = self.peak >> (bits - 16) if bits >= 16 else self.peak << (16 - bits)
        if self._triples:
            powers = 16 + (leading > CUBE_ROOT_2_POW_46) + (leading > CUBE_ROOT_2_POW_47)
            return 3 * bits - 6 * self._frac_bits + powers
        return 2 * bits - 4 * self._frac_bits + (11 if leading <= SQRT_2_POW_31 else 12)

    def learn(self, reward: int, next_value: int) -> int:
        """Learn from a reward and the value of what it led to; returns delta in Q15."""
        to_scaled = VALUE_FRAC_BITS - self._discount_exponent - self._reward_frac_bits
        scaled_reward = reward << to_scaled if to_scaled >= 0 else round_shift(reward, -to_scaled)
        delta = scaled_reward + next_value - round_shift(next_value, self._discount_exponent) - self._value
        narrow_delta = saturate_scalar(round_shift(delta, 3), 16)
        changed = self.weights + round_shift(product_16(self.trace, narrow_delta), 3)
        self.weights = np.minimum(np.maximum(changed, -CRITIC_LIMIT), CRITIC_LIMIT)
        return delta

    def forget_episode(self) -> None:
        """Start trace and peak again."""
        self.trace = np.zeros_like(self.trace)
        self.peak = 0


class ActorCriticAgent(IntegerAgent):
    """The agent of section 11: preset `actor-critic`.

    `baseline_is_set` says that the first reward has come; `return_baseline` stays 0.
    """

    def __init__(self, configuration: AgentConfiguration, entropy: EntropySettings) -> None:
        super().__init__(configuration, entropy)
        self.critic = Critic(configuration)
        self.block_delta = 0
        """D in Q15."""
        self.block_steps = 0

    def _act(self, observation: IntegerArray) -> int:
        self.critic.see(observation)
        return super()._act(observation)

    def _learn(self, observation: IntegerArray, reward: int, terminated: bool, ended: bool) -> None:
        if not self.baseline_is_set:
            self.baseline_is_set = True
            self.critic.set_first_value(reward)
        delta = self.critic.learn(reward, 0 if terminated else self.critic.value(observation))
        self.block_delta = min(max(self.block_delta + delta, -DELTA_LIMIT), DELTA_LIMIT)
        self.block_steps += 1
        if ended or self.block_steps == self._configuration.block_steps:
            self._update()
            self.block_delta = self.block_steps = 0
        if ended:
            for trace in self.traces:
                trace.fill(0)
            self.critic.forget_episode()

    def _update(self) -> None:
        shift = self._update_shift()
        for weight_row, trace_row, random_bytes in self._rows_to_change():
            if self.block_delta and shift <= MAX_SHIFT:
                self._change_row(weight_row, trace_row, self.block_delta, shift, random_bytes)
            trace_row[:] = (trace_row + (random_bytes & 1)) >> 1

    def _update_shift(self) -> int:
        """n: a weight changes by D * E / 2^n, in units of its last bit."""
        configuration, formats = self._configuration, self._configuration.formats
        shift = (
            VALUE_FRAC_BITS + formats.trace_frac_bits - formats.weight_frac_bits + configuration.learning_rate_exponent
        )
        root, half = self._trace_norm()
        if configuration.clip_exponent is None or self.block_delta == 0 or root == 0:
            return shift
        norm_bits = (abs(self.block_delta) * root - 1).bit_length()
        room = VALUE_FRAC_BITS + formats.trace_frac_bits + configuration.learning_rate_exponent - half
        return shift + max(0, norm_bits - (room - configuration.clip_exponent))

    # Section 9: snapshot

    def _learned_bytes(self) -> bytes:
        return super()._learned_bytes() + self.critic.weights.astype("<i4").tobytes()

    def _restore_more(self, learned: bytes) -> None:
        weights = np.frombuffer(learned, "<i4").astype(np.int64)
        if int(np.abs(weights).max()) > CRITIC_LIMIT:
            raise refused_snapshot("a weight of its critic is beyond the limit")
        self.critic.weights = weights
        self.critic.forget_episode()
        self.block_delta = self.block_steps = 0
