"""The distribution of the magnitudes of one quantity, collected value by value."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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
