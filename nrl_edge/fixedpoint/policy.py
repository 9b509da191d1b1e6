"""The heads of the reference agent: from the outputs of the network to an action, and what the traces need of it.

A softmax over discrete actions is part of section 6 of docs/arithmetic.md, a normal distribution over numbers of
section 12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nrl_edge.fixedpoint.arithmetic import IntegerArray, exp_neg, round_shift, saturate
from nrl_edge.fixedpoint.configuration import (
    DIFFERENCE_FRAC_BITS,
    ERROR_FRAC_BITS,
    GAUSSIAN_BYTES,
    LOGIT_FRAC_BITS,
    PROBABILITY_FRAC_BITS,
    AgentConfiguration,
)

_ONE_Q16 = 1 << PROBABILITY_FRAC_BITS
_MEAN_SUM = GAUSSIAN_BYTES * 255 // 2
_OUTPUT_LIMIT = 1 << 30


class Choice(Protocol):
    """An action that was drawn, as the traces see it."""

    @property
    def action(self) -> int:
        """Number of a discrete action; 0 of a continuous one."""
        ...

    @property
    def error_frac_bits(self) -> int:
        """Fraction bits of `error`."""
        ...

    def error(self) -> IntegerArray:
        """Error of each output (n_o,) in Q error_frac_bits: the gradient of log pi with respect to it."""
        ...

    def difference(self, of_outputs: IntegerArray) -> int:
        """What changes (n_o,) of the outputs, Q12, make of log pi: Q12, not saturated."""
        ...


def head_bytes(configuration: AgentConfiguration) -> int:
    """Random bytes of a step's draw that the action takes."""
    return GAUSSIAN_BYTES * configuration.actions if configuration.continuous else 2


@dataclass(frozen=True)
class SoftmaxChoice:
    """One of a few actions."""

    policy: list[int]
    """Probabilities in Q16."""
    action: int
    error_frac_bits: int = ERROR_FRAC_BITS

    @classmethod
    def draw(cls, logits: list[int], drawn: bytes) -> SoftmaxChoice:
        """By two random bytes, from logits in Q12."""
        largest = max(logits)
        exponentials = [exp_neg(largest - logit) for logit in logits]
        reciprocal = (1 << 31) // sum(exponentials)
        policy = [(value * reciprocal) >> 15 for value in exponentials]
        number, cumulative = drawn[0] | drawn[1] << 8, 0
        for action, probability in enumerate(policy[:-1]):
            cumulative += probability
            if number < cumulative:
                return cls(policy, action)
        return cls(policy, len(policy) - 1)

    def error(self) -> IntegerArray:
        """onehot(action) - pi."""
        chosen = _ONE_Q16 * (np.arange(len(self.policy)) == self.action).astype(np.int64)
        error: IntegerArray = round_shift(
            chosen - np.array(self.policy, np.int64), PROBABILITY_FRAC_BITS - ERROR_FRAC_BITS
        )
        return error

    def difference(self, of_outputs: IntegerArray) -> int:
        """dl[action] - sum_k pi_k dl[k]."""
        mean = sum(p * int(change) for p, change in zip(self.policy, of_outputs, strict=True))
        return int(of_outputs[self.action]) - round_shift(mean, PROBABILITY_FRAC_BITS)


@dataclass(frozen=True)
class GaussianChoice:
    """Numbers, normally distributed around the outputs with standard deviation 1."""

    numbers: IntegerArray
    """n_k in Q12."""
    action: int = 0
    error_frac_bits: int = DIFFERENCE_FRAC_BITS

    @classmethod
    def draw(cls, outputs: int, drawn: bytes) -> GaussianChoice:
        """By twelve random bytes an output."""
        sums = np.frombuffer(drawn, np.uint8).reshape(outputs, GAUSSIAN_BYTES).sum(axis=1, dtype=np.int64)
        return cls((sums - _MEAN_SUM) << (LOGIT_FRAC_BITS - 8))

    def error(self) -> IntegerArray:
        """n_k."""
        return self.numbers

    def difference(self, of_outputs: IntegerArray) -> int:
        """sum_k n_k dmu_k, each product rounded."""
        return int(round_shift(self.numbers * of_outputs, DIFFERENCE_FRAC_BITS).sum())


def continuous_action(means: IntegerArray, numbers: IntegerArray) -> IntegerArray:
    """int16 actions in Q12 of means (n_o,) and what was drawn around them, both Q12."""
    return saturate(np.clip(means, -_OUTPUT_LIMIT, _OUTPUT_LIMIT) + numbers, 16)
