"""Curves of any length in bounded memory: the longer they get, the coarser they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

POINTS = 1024
"""Points of a curve at most."""


class BoundedSeries:
    """Values by episode, several a row, in at most `points` buckets of equally many episodes each.

    Every bucket keeps the mean of each column, and least and largest of the first one. Where a new bucket would be one
    too many, neighbours are merged in pairs: the whole curve stays, and adding a row costs constant time on average.
    """

    def __init__(self, columns: Sequence[str], points: int = POINTS) -> None:
        if points < 2 or points % 2:
            raise ValueError(f"points = {points}: an even number, 2 at least")
        self.columns = tuple(columns)
        self.rows = 0
        """Rows added so far."""
        self._points = points
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.rows = 0
        self._per_bucket = 1
        self._in_last = 0
        self._x: list[float] = []
        self._means: list[list[float]] = [[] for _ in self.columns]
        self._least: list[float] = []
        self._largest: list[float] = []

    def add(self, x: float, values: Sequence[float]) -> None:
        """Add a row: its episode, and a value a column; NaN where there is none."""
        self.rows += 1
        if self._in_last in (0, self._per_bucket):
            if len(self._x) == self._points:
                self._merge()
            self._in_last = 0
            self._x.append(x)
            self._least.append(values[0])
            self._largest.append(values[0])
            for means, value in zip(self._means, values, strict=True):
                means.append(value)
            self._in_last = 1
            return
        self._in_last += 1
        self._x[-1] = x
        self._least[-1] = min(self._least[-1], values[0])
        self._largest[-1] = max(self._largest[-1], values[0])
        for means, value in zip(self._means, values, strict=True):
            if math.isnan(means[-1]):
                means[-1] = value
            elif not math.isnan(value):
                means[-1] += (value - means[-1]) / self._in_last

    def _merge(self) -> None:
        """Every two buckets, all of which are full, become one."""
        self._per_bucket *= 2
        self._x = self._x[1::2]
        self._least = [min(pair) for pair in zip(self._least[::2], self._least[1::2], strict=True)]
        self._largest = [max(pair) for pair in zip(self._largest[::2], self._largest[1::2], strict=True)]
        self._means = [[_mean(pair) for pair in zip(means[::2], means[1::2], strict=True)] for means in self._means]

    def latest(self, column: str, count: int) -> list[float]:
        """The last `count` buckets' means of a column."""
        return self._means[self.columns.index(column)][-count:]

    def as_dict(self) -> Mapping[str, list[float | None]]:
        """By column, `episode` first: what JSON takes, None for NaN; `least` and `largest` of the first column."""
        columns = {"episode": self._x, "least": self._least, "largest": self._largest}
        columns |= dict(zip(self.columns, self._means, strict=True))
        return {name: [_number(value) for value in values] for name, values in columns.items()}


def _mean(pair: tuple[float, float]) -> float:
    first, second = pair
    if math.isnan(first) or math.isnan(second):
        return second if math.isnan(first) else first
    return (first + second) / 2


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
