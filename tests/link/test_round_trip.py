"""When a request is given up: the estimate of the round trip time follows what was observed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrl_host.link.round_trip import SHORTEST_PATIENCE_SECONDS, RoundTripTime

LONGEST = 0.5


def test_a_steady_line_is_waited_for_hardly_longer_than_it_takes() -> None:
    round_trip = RoundTripTime(LONGEST)
    for _ in range(60):
        round_trip.observe(0.004)
    assert 0.004 < round_trip.patience(0) < 0.0044


def test_a_line_that_varies_is_waited_for_longer() -> None:
    round_trip = RoundTripTime(LONGEST)
    for number in range(200):
        round_trip.observe(0.004 if number % 2 else 0.008)
    assert 0.008 < round_trip.patience(0) < 0.018


@given(st.lists(st.floats(1e-6, LONGEST), max_size=50))
def test_patience_grows_within_its_limits(observed: list[float]) -> None:
    round_trip = RoundTripTime(LONGEST)
    for seconds in observed:
        round_trip.observe(seconds)
    waits = [round_trip.patience(attempt) for attempt in range(0, 60, 4)]
    assert waits[0] >= SHORTEST_PATIENCE_SECONDS and waits[-1] == LONGEST
    assert all(later == pytest.approx(min(2.0 * wait, LONGEST)) for wait, later in itertools.pairwise(waits))


def test_before_anything_was_observed_a_slow_device_is_given_time() -> None:
    assert 0.05 < RoundTripTime(LONGEST).patience(0) < LONGEST
