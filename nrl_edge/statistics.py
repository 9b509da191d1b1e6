"""Statistics of studies: medians, interquartile means and probabilities of improvement, with intervals by `arch`.

What is estimated is as in Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice"
(NeurIPS 2021); the bootstrap is arch's, which the optional extra `evidence` installs. Episodes to a threshold may be
infinite, where a seed never reached it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nrl_edge.errors import MissingToolError

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
REPETITIONS = 2000
SEED = 20250323
"""Of the bootstrap: the same figures always get the same intervals."""

_NEVER = 1e12
"""Stands for infinity in a bootstrap, which has to interpolate between values."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % confidence interval; infinite where episodes are counted that were never enough."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.value)} [{_short(self.low)}, {_short(self.high)}]"

    def as_list(self) -> list[float | None]:
        """[value, low, high]; None for infinity, which JSON and CSV do not have."""
        return [number if math.isfinite(number) else None for number in (self.value, self.low, self.high)]


def _short(number: float) -> str:
    if not math.isfinite(number):
        return "never"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def require_statistics() -> None:
    """Raise MissingToolError where the extra `evidence` is not installed."""
    _bootstrap()


def _bootstrap() -> Any:
    # Imported when needed: arch brings pandas and statsmodels, which take seconds.
    try:
        return importlib.import_module("arch.bootstrap")
    except ImportError as error:
        raise MissingToolError(
            f"bootstrap confidence intervals need arch, which is not installed ({error}); install it with: "
            "pip install 'nrl-edge[evidence]'"
        ) from error


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at either end."""
    ordered = np.sort(np.asarray(values, np.float64))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def interval(values: ArrayLike, statistic: Callable[[Floats], float]) -> Estimate:
    """A statistic of one sample (n,), for instance `np.median` or `interquartile_mean`."""
    sample = _finite(values)
    return _estimate([sample], lambda resampled: statistic(resampled))


def ratio(values: ArrayLike, others: ArrayLike, statistic: Callable[[Floats], float] = np.median) -> Estimate:
    """A statistic of one sample over that of another, independent one. NaN where the other's never came."""
    sample, other = _finite(values), _finite(others)
    if statistic(other) >= _NEVER / 2 or statistic(other) == 0.0:
        return Estimate(math.nan, math.nan, math.nan)

    def divide(first: Floats, second: Floats) -> float:
        return float(statistic(first) / (statistic(second) or math.nan))

    return _estimate([sample, other], divide)


def difference(values: ArrayLike, others: ArrayLike, statistic: Callable[[Floats], float]) -> Estimate:
    """A statistic of one sample minus that of another, independent one."""
    return _estimate([_finite(values), _finite(others)], lambda a, b: statistic(a) - statistic(b))


def probability_of_improvement(values: ArrayLike, others: ArrayLike, *, smaller_is_better: bool = False) -> Estimate:
    """P(a run of `values` is better than one of `others`), ties counting half: the Mann-Whitney statistic over n m."""
    first, second = _finite(values), _finite(others)
    if smaller_is_better:
        first, second = -first, -second

    def share(a: Floats, b: Floats) -> float:
        return 0.5 + 0.5 * float(np.sign(a[:, None] - b).mean())

    return _estimate([first, second], share)


def mean_band(curves: Floats, repetitions: int = 500) -> tuple[Floats, Floats, Floats]:
    """Mean over seeds of curves (seeds, points) and its 95 % band: mean, low and high, (points,) each."""
    mean: Floats = curves.mean(axis=0)
    if len(curves) < 2:
        return mean, mean, mean
    bootstrap = _bootstrap().IIDBootstrap(curves, seed=SEED)
    low, high = bootstrap.conf_int(
        lambda sample: sample.mean(axis=0), reps=repetitions, method="percentile", size=CONFIDENCE
    )
    return mean, low, high


def _estimate(samples: Sequence[Floats], statistic: Callable[..., float]) -> Estimate:
    value = float(statistic(*samples))
    if all(len(np.unique(sample)) == 1 for sample in samples):
        low = high = value
    else:
        bootstrap = _bootstrap().IndependentSamplesBootstrap(*samples, seed=SEED)
        bounds = bootstrap.conf_int(statistic, reps=REPETITIONS, method="percentile", size=CONFIDENCE)
        low, high = (float(bound) for bound in bounds.ravel())
    # Interpolated with "never", a number of episodes is as good as never.
    return Estimate(*(math.inf if number > _NEVER / 1e6 else number for number in (value, low, high)))


def _finite(values: ArrayLike) -> Floats:
    return np.minimum(np.asarray(values, np.float64), _NEVER)
