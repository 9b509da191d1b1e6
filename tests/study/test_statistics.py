"""Point estimates against SciPy's (which arch brings along), intervals against what they have to contain."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from nrl_edge import statistics
from nrl_edge.errors import MissingToolError

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("size", [3, 4, 7, 40])
def test_estimates_are_scipys(size: int) -> None:
    from scipy import stats

    a, b = RANDOM.normal(size=size), RANDOM.normal(0.5, 1.0, size + 2).round(1)
    assert statistics.interquartile_mean(a) == pytest.approx(stats.trim_mean(a, 0.25))
    b[0] = a[0]
    expected = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    assert statistics.probability_of_improvement(a, b).value == pytest.approx(expected)
    smaller = statistics.probability_of_improvement(a, b, smaller_is_better=True)
    assert smaller.value == pytest.approx(1.0 - expected)


def test_intervals_hold_what_they_estimate_as_often_as_they_say() -> None:
    random = np.random.default_rng(2)
    inside = 0
    for _ in range(60):
        estimate = statistics.interval(random.normal(3.0, 1.0, 40), lambda sample: float(sample.mean()))
        assert estimate.low <= estimate.value <= estimate.high
        inside += estimate.low <= 3.0 <= estimate.high
    assert inside >= 51, "95 % of 60 are 57; the bootstrap of 40 values is a little narrow"


def test_the_same_figures_have_the_same_interval() -> None:
    values = RANDOM.normal(size=20)
    assert statistics.interval(values, np.median) == statistics.interval(values, np.median)


def test_seeds_that_never_arrived_are_infinite_and_not_left_out() -> None:
    some = [120.0, 130.0, 140.0, math.inf, 150.0]
    estimate = statistics.interval(some, np.median)
    assert estimate.value == 140.0 and estimate.low >= 120.0 and estimate.high == math.inf
    assert estimate.as_list() == [140.0, estimate.low, None] and str(estimate) == "140 [120, never]"
    assert statistics.interval([math.inf] * 3 + [100.0], np.median).value == math.inf
    assert statistics.interval([math.inf] * 3, np.median).low == math.inf
    assert statistics.ratio(some, [70.0] * 5).value == 2.0
    assert math.isnan(statistics.ratio(some, [math.inf] * 5).value), "nothing can be said of a ratio to never"
    improvement = statistics.probability_of_improvement([math.inf] * 4, [math.inf] * 4, smaller_is_better=True)
    assert improvement.value == 0.5, "never against never is a tie"


def test_bands_lie_around_the_mean() -> None:
    curves = RANDOM.normal(size=(30, 12))
    mean, low, high = statistics.mean_band(curves)
    assert mean == pytest.approx(curves.mean(axis=0)) and (low < mean).all() and (mean < high).all()
    assert np.array_equal(statistics.mean_band(curves[:1])[1], curves[0])


def test_without_arch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arch.bootstrap", None)
    with pytest.raises(MissingToolError, match=r"pip install 'nrl-edge\[evidence\]'"):
        statistics.require_statistics()
