"""Health tests against the standard read bit by bit, sick sources against the bounds, healthy ones against alpha."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.errors import ConfigurationError
from nrl_edge.noise import Alarm, Cutoffs, HealthTests, cutoffs
from nrl_edge.noise.health import LONG_WINDOW, WINDOW


@pytest.mark.parametrize(
    ("min_entropy", "exponent", "repetition", "proportion"),
    [(1, 20, 21, 589), (1, 30, 31, 609), (1, 40, 41, 625), (0.5, 20, 41, 793), (0.5, 30, 61, 810), (0.5, 40, 81, 824)],
)
def test_cutoffs_are_those_of_the_exact_distribution(
    min_entropy: float, exponent: int, repetition: int, proportion: int
) -> None:
    limits = cutoffs(min_entropy, exponent)
    assert (limits.repetition, limits.proportion) == (repetition, proportion)
    assert limits.byte_repetition == 1 + math.ceil(exponent / (8 * min_entropy))


def log2_of_sum(first: int, draws: int) -> float:
    """log2 of P(X >= first), X binomial with so many fair draws, in whole numbers."""
    term, total = math.comb(draws, first), 0
    for k in range(first, draws + 1):
        total += term
        term = term * (draws - k) // (k + 1)
    return math.log2(total) - draws


@pytest.mark.parametrize("exponent", [20, 60])
def test_the_cutoff_of_the_long_window_is_exact_for_a_fair_bit(exponent: int) -> None:
    share = cutoffs(1.0, exponent).share
    # P(X > k) <= alpha for k = share - 1, and for no smaller k.
    assert log2_of_sum(share, LONG_WINDOW) <= -exponent < log2_of_sum(share - 1, LONG_WINDOW)


@pytest.mark.parametrize("exponent", [20, 40, 60])
def test_the_proportion_cutoff_of_a_fair_bit_is_exact_in_whole_numbers(exponent: int) -> None:
    # 1 + the smallest k with P(X > k) <= 2^-exponent, X binomial with 1024 fair draws.
    tail, k = 0, WINDOW + 1
    while tail * 2**exponent <= 2**WINDOW:
        k -= 1
        tail += math.comb(WINDOW, k)
    assert cutoffs(1.0, exponent).proportion == k + 1


@pytest.mark.parametrize(("min_entropy", "exponent"), [(0.0, 20), (1.1, 20), (float("nan"), 20), (1.0, 0), (1.0, 201)])
def test_claims_without_sense_are_refused(min_entropy: float, exponent: int) -> None:
    with pytest.raises(ConfigurationError):
        cutoffs(min_entropy, exponent)


def one_by_one(bits: np.ndarray, limits: Cutoffs) -> list[Alarm]:
    """4.4.1 and 4.4.2 of the standard, a bit at a time."""
    alarms = []
    last, run = None, 0
    first, seen, equal, raised = None, 0, 0, False
    for position, bit in enumerate(bits.tolist()):
        run = run + 1 if bit == last else 1
        last = bit
        if run == limits.repetition:
            alarms.append(Alarm("repetition", position))
        if seen == 0:
            first, equal, raised = bit, 0, False
        equal += bit == first
        seen = (seen + 1) % WINDOW
        if equal >= limits.proportion and not raised:
            raised = True
            alarms.append(Alarm("proportion", position))
    whole = [tuple(bits[start : start + 8]) for start in range(0, len(bits) - 7, 8)]
    for index, byte in enumerate(whole):
        length = 1
        while index >= length and whole[index - length] == byte:
            length += 1
        if length == limits.byte_repetition:
            alarms.append(Alarm("byte_repetition", 8 * index + 7))
    for start in range(0, len(bits), LONG_WINDOW):
        for value in (0, 1):
            count = 0
            for position, bit in enumerate(bits[start : start + LONG_WINDOW].tolist(), start):
                count += bit == value
                if bit == value and count == limits.share:
                    alarms.append(Alarm("share", position))
    return sorted(alarms, key=lambda alarm: (alarm.position, alarm.test))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_however_a_stream_is_cut_its_alarms_are_those_of_the_standard(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    parts = [
        (rng.random(data.draw(st.integers(1, 1500))) < data.draw(st.sampled_from([0.0, 0.02, 0.5, 0.6, 1.0]))).astype(
            np.uint8
        )
        for _ in range(data.draw(st.integers(1, 6)))
    ]
    limits = Cutoffs(
        data.draw(st.integers(2, 60)),
        data.draw(st.integers(500, 1024)),
        data.draw(st.integers(2, 9)),
        data.draw(st.integers(1000, 6000)),
    )
    stream = np.concatenate(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    tests = HealthTests(limits)
    alarms = [alarm for piece in np.split(stream, cuts) for alarm in tests.feed(piece)]
    assert alarms == one_by_one(stream, limits)
    assert tests.position == len(stream)


def test_long_windows_follow_each_other() -> None:
    rng = np.random.default_rng(12)
    stream = np.concatenate(
        [(rng.random(count) < ones).astype(np.uint8) for count, ones in ((70_000, 0.62), (75_000, 0.35))]
    )
    tests = HealthTests(Cutoffs(1000, 1024, 1000, 36_258))
    alarms = [alarm for piece in np.split(stream, [1, 50_000, 131_072]) for alarm in tests.feed(piece)]
    assert alarms == one_by_one(stream, tests.limits)
    assert [alarm.position // LONG_WINDOW for alarm in alarms] == [0, 1]


@pytest.mark.parametrize("value", [0, 1])
def test_a_stuck_source_is_found_at_the_repetition_cutoff(value: int) -> None:
    limits = cutoffs(1.0, 30)
    [first, *_] = HealthTests(limits).feed(np.full(5000, value, np.uint8))
    assert first == Alarm("repetition", limits.repetition - 1)


def test_a_source_that_sticks_late_is_found_within_the_cutoff() -> None:
    limits = cutoffs(1.0, 30)
    bits = np.random.default_rng(3).integers(0, 2, 100_000, np.uint8)
    bits[70_000:] = 1
    alarms = [alarm for alarm in HealthTests(limits).feed(bits) if alarm.test == "repetition"]
    assert len(alarms) == 1 and 70_000 - limits.repetition < alarms[0].position < 70_000 + limits.repetition


def test_a_bias_of_65_percent_is_found_within_a_few_windows() -> None:
    limits = cutoffs(1.0, 30)
    bits = (np.random.default_rng(4).random(20 * WINDOW) < 0.65).astype(np.uint8)
    assert any(alarm.test == "proportion" for alarm in HealthTests(limits).feed(bits))


@pytest.mark.parametrize("share", [0.6, 0.4])
def test_a_bias_of_60_percent_is_found_within_two_long_windows(share: float) -> None:
    """H = 0.9 allows 53.6 %. The rest of a window in which it begins may pass; the next one does not."""
    limits = cutoffs(0.9, 60)
    healthy = np.random.default_rng(8).integers(0, 2, 100_000, np.uint8)
    lean = (np.random.default_rng(9).random(3 * LONG_WINDOW) < share).astype(np.uint8)
    alarms = [alarm for alarm in HealthTests(limits).feed(np.concatenate([healthy, lean])) if alarm.test == "share"]
    assert 100_000 < alarms[0].position < 100_000 + 2 * LONG_WINDOW


@pytest.mark.slow
def test_false_alarms_of_healthy_bits_come_as_often_as_alpha_says() -> None:
    # A run reaches the cut-off C at a bit where C equal ones end that a different one precedes: once in 2^C bits.
    limits = cutoffs(1.0, 10)
    bits = np.random.default_rng(5).integers(0, 2, 20_000_000, np.uint8)
    alarms = HealthTests(limits).feed(bits)
    repetitions = sum(alarm.test == "repetition" for alarm in alarms)
    expected = len(bits) * 2.0**-limits.repetition
    assert abs(repetitions - expected) < 5.0 * math.sqrt(expected)
    windows = len(bits) // WINDOW
    proportions = sum(alarm.test == "proportion" for alarm in alarms)
    # The first bit of a window counts itself: what has to be exceeded is the tail of the other 1023.
    tail = sum(math.comb(WINDOW - 1, k) for k in range(limits.proportion - 1, WINDOW)) / 2 ** (WINDOW - 1)
    assert tail <= 2.0**-9
    assert abs(proportions - windows * tail) < 5.0 * math.sqrt(windows * tail) + 1.0
