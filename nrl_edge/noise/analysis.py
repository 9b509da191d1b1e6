"""Everything that is asked of a capture of random bits, with a verdict a line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.noise.estimates import autocorrelation, markov_min_entropy, most_common_value_min_entropy
from nrl_edge.noise.health import START_UP_BITS, Alarm, HealthTests, cutoffs

Bits = NDArray[np.uint8]

LAGS = 64
MIN_BITS = 8 * START_UP_BITS
"""Shorter captures say too little."""
LAG_ALARM = 5.0
"""Standard deviations from 0 at which an autocorrelation counts: of 64 lags, one in 27,000 healthy captures has one."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Check:
    """One claim on a capture, and whether it holds."""

    claim: str
    holds: bool
    figure: str


@dataclass(frozen=True)
class NoiseReport:
    """What a capture is like."""

    bits: int
    ones: float
    """Share of ones."""
    most_common_value: float
    """Min-entropy a bit."""
    markov: float
    """Min-entropy a bit."""
    autocorrelation: NDArray[np.float64]
    """At lags 1 to 64."""
    alarms: tuple[Alarm, ...]
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return all(check.holds for check in self.checks)


def read_capture(path: Path) -> Bits:
    """The bits of a file of raw bytes, in order, the low bit of each byte first. Raises ConfigurationError."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the capture cannot be read: {error.strerror or error}. Name a file of raw bytes, such as "
            "`nrl-edge noise capture` writes"
        ) from error
    if 8 * len(data) < MIN_BITS:
        raise ConfigurationError(
            f"{path} holds {8 * len(data)} bits: {MIN_BITS} at least ({MIN_BITS // 8} bytes) are needed to say anything"
        )
    return np.unpackbits(data, bitorder="little")


def analyse(bits: Bits, *, min_entropy: float = 0.9, alpha_exponent: int = 30) -> NoiseReport:
    """Check a capture (N,) of bits against a claim of `min_entropy` bits a bit, with alarms at 2^-alpha_exponent.

    Raises ConfigurationError where the claim makes no sense.
    """
    limits = cutoffs(min_entropy, alpha_exponent)
    tests = HealthTests(limits)
    alarms: list[Alarm] = []
    for start in range(0, len(bits), _PIECE):
        alarms += tests.feed(bits[start : start + _PIECE])
    common, markov = most_common_value_min_entropy(bits), markov_min_entropy(bits)
    correlation = autocorrelation(bits, LAGS)
    largest = int(np.abs(correlation).argmax())
    deviations = abs(float(correlation[largest])) * math.sqrt(len(bits))

    def counted(test: str, cutoff: int) -> Check:
        own = [alarm.position for alarm in alarms if alarm.test == test]
        figure = f"none at cut-off {cutoff}" if not own else f"{len(own)} at cut-off {cutoff}, first at bit {own[0]}"
        names = {
            "repetition": "no value repeats too often",
            "proportion": "no value is too frequent in a window",
            "byte_repetition": "no byte repeats too often",
            "share": "no value is too frequent in a long window",
        }
        return Check(names[test], not own, figure)

    early = [alarm for alarm in alarms if alarm.position < START_UP_BITS]
    checks = (
        Check(f"the first {START_UP_BITS} bits pass the start-up test", not early, f"{len(early)} alarms"),
        counted("repetition", limits.repetition),
        counted("proportion", limits.proportion),
        counted("share", limits.share),
        counted("byte_repetition", limits.byte_repetition),
        Check(f"a bit holds {min_entropy:g} by its most common value", common >= min_entropy, f"{common:.4f}"),
        Check(f"a bit holds {min_entropy:g} by the Markov estimate", markov >= min_entropy, f"{markov:.4f}"),
        Check(
            "no bit tells of a later one",
            deviations < LAG_ALARM,
            f"largest correlation {correlation[largest]:+.4f}, at lag {largest + 1}: {deviations:.1f} deviations",
        ),
    )
    return NoiseReport(len(bits), float(bits.mean()), common, markov, correlation, tuple(alarms), checks)
