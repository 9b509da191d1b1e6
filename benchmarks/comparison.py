"""Two rates measured in turns, and what their ratio comes to."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Rate = Callable[[], float]
"""Measures once and returns a rate, in units a second."""

OnPair = Callable[[str], None]
"""Is called with a comparison's name after each of its pairs."""


@dataclass(frozen=True)
class Target:
    """What a ratio should be."""

    relation: Literal["<", ">="]
    value: float

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g}"

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is as it should be."""
        return ratio < self.value if self.relation == "<" else ratio >= self.value


def quotient_of_rates(first: float, second: float) -> float:
    """How many times as fast the first is as the second."""
    return first / second


def added_cost(first: float, second: float) -> float:
    """Where the first does all that the second does and more: the cost of the more, over the cost of the second."""
    return second / first - 1.0


@dataclass(frozen=True)
class Comparison:
    """The rates of two things, pair by pair, and the ratio that was asked for."""

    name: str
    unit: str
    """What is counted, in the plural."""
    first_name: str
    second_name: str
    pairs: tuple[tuple[float, float], ...]
    """(first rate, second rate) of each pair, in units a second."""
    ratio_of: Callable[[float, float], float] = quotient_of_rates
    target: Target | None = None

    @property
    def ratios(self) -> list[float]:
        """The ratio within each pair."""
        return [self.ratio_of(first, second) for first, second in self.pairs]

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool | None:
        """Whether the median is as it should be; None where nothing is asked of it."""
        return None if self.target is None else self.target.holds(self.ratio)

    @property
    def rates(self) -> tuple[float, float]:
        """Median of the first and of the second rate."""
        return (
            statistics.median(first for first, _ in self.pairs),
            statistics.median(second for _, second in self.pairs),
        )

    def as_dict(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        first, second = self.rates
        return {
            "name": self.name,
            "ratio": round(self.ratio, 3),
            "ratio_min": round(min(self.ratios), 3),
            "ratio_max": round(max(self.ratios), 3),
            "pairs": len(self.pairs),
            "target": None if self.target is None else str(self.target),
            "holds": self.holds,
            "unit": f"{self.unit} per second",
            "rates": {self.first_name: round(first), self.second_name: round(second)},
        }

    def as_text(self) -> str:
        """The comparison in two lines."""
        first, second = self.rates
        verdict = "" if self.target is None else f"  target {self.target}: {'holds' if self.holds else 'does not hold'}"
        spread = f"({min(self.ratios):.3g} to {max(self.ratios):.3g})"
        return (
            f"{self.name:<58} {self.ratio:>6.3g} {spread:<16}{verdict}\n"
            f"    {self.first_name} {first:,.0f}, {self.second_name} {second:,.0f} {self.unit}/s"
        )


def measure_in_turns(
    name: str, first: Rate, second: Rate, pairs: int, on_pair: OnPair
) -> tuple[tuple[float, float], ...]:
    """(first, second, first, second, ...), so that whatever else the machine does meets both alike."""
    measured = []
    for _ in range(pairs):
        measured.append((first(), second()))
        on_pair(name)
    return tuple(measured)
