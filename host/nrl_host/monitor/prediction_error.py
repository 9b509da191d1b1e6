"""The reward prediction error of episodes, as returns and baselines tell it (docs/arithmetic.md, section 7)."""

from __future__ import annotations

import math

BASELINE_RATE = 169 / 256
"""Share of an episode's return that its baseline takes over."""


class PredictionErrors:
    """(R - Rbar) / |R| of one episode after the other, with |Rbar| for a return of 0: what delayed reward learns from.

    Where the device reports its baseline, that is used; elsewhere it is followed from the returns, in float64.
    """

    def __init__(self) -> None:
        self._baseline: float | None = None
        self._episode = 0

    def add(self, episode: int, episode_return: float, baseline_after: float | None = None) -> float:
        """The error of an episode, numbered from 1; `baseline_after` as its telemetry says."""
        before = self._baseline
        if baseline_after is not None and (before is None or episode != self._episode + 1):
            # The telemetry before it is missing: what the baseline was follows from what became of it.
            before = (baseline_after - BASELINE_RATE * episode_return) / (1.0 - BASELINE_RATE)
        if before is None:
            before = episode_return
        error = episode_return - before
        self._episode = episode
        self._baseline = before + BASELINE_RATE * error if baseline_after is None else baseline_after
        divisor = abs(episode_return) or abs(before)
        return error / divisor if divisor else (math.nan if error else 0.0)
