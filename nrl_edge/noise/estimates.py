"""Estimates of what a bit of a source is worth, from a capture: two of NIST SP 800-90B's, and the autocorrelation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]

_Z_99 = 2.5758293035489008
"""99 % of a normal distribution lie within so many standard deviations."""
_MARKOV_STEPS = 128


def most_common_value_min_entropy(bits: Bits) -> float:
    """Min-entropy a bit by the most common value (6.3.1): -log2 of the upper 99 % bound of its probability."""
    share = max(float(bits.mean()), 1.0 - float(bits.mean()))
    upper = min(1.0, share + _Z_99 * math.sqrt(share * (1.0 - share) / max(1, len(bits) - 1)))
    # 0 and not -0 for a source that is certain.
    return max(0.0, -math.log2(upper))


def markov_min_entropy(bits: Bits) -> float:
    """Min-entropy a bit by the Markov estimate (6.3.3), which sees what follows what; at most 1."""
    ones = float(bits.mean())
    initial = np.array([1.0 - ones, ones])
    transitions = np.zeros((2, 2))
    np.add.at(transitions, (bits[:-1], bits[1:]), 1.0)
    sums = transitions.sum(axis=1, keepdims=True)
    p = np.divide(transitions, sums, out=np.zeros((2, 2)), where=sums > 0)

    def log2(value: float) -> float:
        return math.log2(value) if value > 0.0 else -math.inf

    def times(count: int, value: float) -> float:
        return count * log2(value) if count else 0.0

    half = _MARKOV_STEPS // 2
    likeliest = max(
        log2(initial[0]) + times(127, p[0, 0]),
        log2(initial[0]) + times(half, p[0, 1]) + times(half - 1, p[1, 0]),
        log2(initial[0]) + log2(p[0, 1]) + times(126, p[1, 1]),
        log2(initial[1]) + log2(p[1, 0]) + times(126, p[0, 0]),
        log2(initial[1]) + times(half, p[1, 0]) + times(half - 1, p[0, 1]),
        log2(initial[1]) + times(127, p[1, 1]),
    )
    return min(1.0, max(0.0, -likeliest / _MARKOV_STEPS))


def autocorrelation(bits: Bits, lags: int = 64) -> NDArray[np.float64]:
    """Correlation of the stream with itself 1, 2, ..., `lags` bits later, (lags,); zeros where no bit ever changes.

    Bits that are independent give numbers around 0 with a standard deviation of 1 / sqrt(N).
    """
    centred = bits - bits.mean()
    power = float(centred @ centred)
    if power == 0.0:
        return np.zeros(lags)
    return np.array([float(centred[:-lag] @ centred[lag:]) / power for lag in range(1, lags + 1)])
