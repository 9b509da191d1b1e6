"""The continuous health tests of NIST SP 800-90B, section 4.4, for a source of single bits, and two more.

Both count how often one value comes: the repetition count in a row, the adaptive proportion in a window of 1024. What
is too often follows from the min-entropy H that the source claims a bit, and from alpha, the chance that a source which
keeps its claim raises an alarm all the same, at one place where an alarm could be raised.

Neither sees a source that alternates, 0101.., so the repetition count is done over whole bytes too: it finds a period
of 2, 4 or 8 bits. And in 1024 bits a bias of 60 % cannot be told from the 53.6 % that H = 0.9 allows, so both values
are also counted over 65,536. The standard allows tests of one's own beside its two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError

WINDOW = 1024
"""Bits of a window of the adaptive proportion test of a binary source (section 4.4.2)."""
LONG_WINDOW = 65536
"""Bits of a window in which the share of ones and of zeros is looked at; a multiple of 8."""
START_UP_BITS = 1024
"""Bits that have to pass both tests before any is used (section 4.3)."""

Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Cutoffs:
    """From how many on a count is an alarm."""

    repetition: int
    """Equal bits in a row."""
    proportion: int
    """Bits of a window that equal its first, that one included."""
    byte_repetition: int
    """Equal bytes in a row."""
    share: int
    """Bits of a long window that are ones, or that are zeros."""


def cutoffs(min_entropy: float, alpha_exponent: int) -> Cutoffs:
    """The cut-offs for a source of `min_entropy` bits a bit, at alpha = 2^-alpha_exponent.

    Repetition count (4.4.1): C = 1 + ceil(-log2(alpha) / H). Adaptive proportion (4.4.2): C = 1 + critbinom(W, 2^-H,
    1 - alpha), the smallest number that a binomial count exceeds with a probability of at most alpha. A byte holds 8 H.
    In a long window the same C for its W counts ones and zeros: a source alarms in one by a chance of at most 2 alpha.
    Raises ConfigurationError where H is not above 0 and up to 1, or the exponent not 1 to 200.
    """
    if not 0.0 < min_entropy <= 1.0:
        raise ConfigurationError(f"min-entropy {min_entropy}: a bit has more than 0 and at most 1")
    if not 1 <= alpha_exponent <= 200:
        raise ConfigurationError(f"alpha 2^-{alpha_exponent}: an exponent from 1 to 200 is needed")
    repetition = 1 + math.ceil(alpha_exponent / min_entropy)
    probability, alpha = 2.0**-min_entropy, 2.0**-alpha_exponent
    proportion = min(WINDOW, 1 + _critical_binomial(WINDOW, probability, alpha))
    share = min(LONG_WINDOW, 1 + _critical_binomial(LONG_WINDOW, probability, alpha))
    return Cutoffs(repetition, proportion, 1 + math.ceil(alpha_exponent / (8.0 * min_entropy)), share)


@cache
def _critical_binomial(draws: int, probability: float, alpha: float) -> int:
    """The smallest k with P(X > k) <= alpha, X of so many draws; summed from the tail, where 1 - alpha would round."""
    log_p, log_q = math.log(probability), math.log1p(-probability)
    tail = 0.0
    for k in range(draws, -1, -1):
        log_choose = math.lgamma(draws + 1) - math.lgamma(k + 1) - math.lgamma(draws - k + 1)
        tail += math.exp(log_choose + k * log_p + (draws - k) * log_q)
        if tail > alpha:
            return k
    return 0


@dataclass(frozen=True)
class Alarm:
    """A count that reached its cut-off."""

    test: Literal["repetition", "proportion", "byte_repetition", "share"]
    position: int
    """Index, from the stream's start, of the bit that raised it."""


class _Runs:
    """The repetition count over values that come in pieces."""

    def __init__(self, cutoff: int) -> None:
        self._cutoff = cutoff
        self._last: int | None = None
        self._length = 0

    def feed(self, values: Bits) -> list[int]:
        """Indices into `values` (N,) at which a run reaches the cut-off."""
        if values.size == 0:
            return []
        # Runs begin where a value differs from the one before; the first may go on from the last piece.
        starts = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
        lengths = np.diff(np.concatenate((starts, [len(values)])))
        before = np.zeros(len(lengths), np.int64)
        before[0] = self._length if self._last == int(values[0]) else 0
        reached = (before < self._cutoff) & (before + lengths >= self._cutoff)
        self._last, self._length = int(values[-1]), int(before[-1] + lengths[-1])
        return [int(place) for place in (starts + self._cutoff - 1 - before)[reached]]


class HealthTests:
    """The tests over a stream that comes in pieces of any length; how it is cut changes nothing.

    A run of equal bits or bytes raises one alarm, at its cut-off; a window, short or long, one, at the bit that reaches
    the cut-off.
    Windows follow each other without overlapping, as the standard has them. Bytes are counted from the stream's start.
    """

    def __init__(self, limits: Cutoffs) -> None:
        self.limits = limits
        self.position = 0
        """Bits seen."""
        self._bit_runs = _Runs(limits.repetition)
        self._byte_runs = _Runs(limits.byte_repetition)
        self._part_of_byte: Bits = np.zeros(0, np.uint8)
        self._window: Bits = np.zeros(0, np.uint8)
        self._long_ones = 0

    def feed(self, bits: Bits) -> list[Alarm]:
        """Take bits (N,), each 0 or 1, and return the alarms that they raise, by position."""
        if bits.size == 0:
            return []
        alarms = [Alarm("repetition", self.position + place) for place in self._bit_runs.feed(bits)]
        alarms += [*self._byte_repetitions(bits), *self._proportions(bits), *self._shares(bits)]
        self.position += len(bits)
        return sorted(alarms, key=lambda alarm: (alarm.position, alarm.test))

    def _byte_repetitions(self, bits: Bits) -> list[Alarm]:
        joined = np.concatenate((self._part_of_byte, bits))
        first = self.position - len(self._part_of_byte)
        whole = len(joined) // 8 * 8
        self._part_of_byte = joined[whole:]
        places = self._byte_runs.feed(np.packbits(joined[:whole], bitorder="little"))
        return [Alarm("byte_repetition", first + 8 * place + 7) for place in places]

    def _shares(self, bits: Bits) -> list[Alarm]:
        alarms = []
        begin = 0
        while begin < len(bits):
            seen = (self.position + begin) % LONG_WINDOW
            part = bits[begin : begin + LONG_WINDOW - seen]
            ones = np.cumsum(part, dtype=np.int64) + self._long_ones
            zeros = np.arange(seen + 1, seen + 1 + len(part)) - ones
            for counts, before in ((ones, self._long_ones), (zeros, seen - self._long_ones)):
                # Counts only grow: the first that has reached the cut-off, if none had before.
                place = int(np.searchsorted(counts, self.limits.share))
                if place < len(part) and before < self.limits.share:
                    alarms.append(Alarm("share", self.position + begin + place))
            self._long_ones = 0 if seen + len(part) == LONG_WINDOW else int(ones[-1])
            begin += len(part)
        return alarms

    def _proportions(self, bits: Bits) -> list[Alarm]:
        held = len(self._window)
        joined = np.concatenate((self._window, bits))
        first = self.position - held
        whole = len(joined) // WINDOW * WINDOW
        alarms = []
        for start, window in ((0, joined[:whole].reshape(-1, WINDOW)), (whole, joined[None, whole:])):
            if window.size == 0:
                continue
            counts = np.cumsum(window == window[:, :1], axis=1, dtype=np.int64)
            rows = np.flatnonzero(counts[:, -1] >= self.limits.proportion)
            columns = np.argmax(counts[rows] >= self.limits.proportion, axis=1)
            places = first + start + rows * WINDOW + columns
            # A window that is not full yet comes again with the next piece: only what is new in it counts.
            alarms += [Alarm("proportion", int(place)) for place in places if place >= self.position]
        self._window = joined[whole:]
        return alarms
