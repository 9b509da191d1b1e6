from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.tasks import ObservationQuantiser, quantise_reward


def round_half_even(value: Fraction) -> int:
    floor = value.numerator // value.denominator
    rest = value - floor
    return floor + (1 if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2) else 0)


@settings(deadline=None)
@given(
    observation=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    scale=st.lists(st.integers(-6, 6), min_size=3, max_size=3),
    frac_bits=st.integers(0, 14),
)
def test_every_value_follows_section_10(observation, scale, frac_bits):
    quantiser = ObservationQuantiser(scale, frac_bits)
    exact = [
        round_half_even(Fraction(o) * Fraction(2) ** (s + frac_bits)) for o, s in zip(observation, scale, strict=True)
    ]
    expected = [max(-32768, min(32767, value)) for value in exact]
    result = quantiser(np.array(observation))
    assert result.dtype == np.int16
    assert result.tolist() == expected
    assert quantiser.saturated == sum(e != v for e, v in zip(expected, exact, strict=True))


@settings(deadline=None)
@given(reward=st.floats(allow_nan=False, allow_infinity=False), frac_bits=st.integers(0, 16))
def test_every_reward_follows_section_10(reward, frac_bits):
    limit = 2**22 - 1
    exact = round_half_even(Fraction(reward) * 2**frac_bits)
    assert quantise_reward(reward, frac_bits) == max(-limit, min(limit, exact))


def test_halves_go_to_even():
    quantiser = ObservationQuantiser((0,) * 5, 1)
    assert quantiser(np.array([0.25, 0.75, 1.25, -0.25, -0.75])).tolist() == [0, 2, 2, 0, -2]
    assert [quantise_reward(value, 1) for value in (0.25, 0.75, -0.25, -0.75)] == [0, 2, 0, -2]


def test_saturation_is_counted_value_by_value():
    quantiser = ObservationQuantiser((0, 0, 0), 10)
    out = np.empty(3, dtype=np.int16)
    assert quantiser(np.array([32.0, -32.0, 31.999], dtype=np.float32), out) is out
    assert out.tolist() == [32767, -32768, 32767]
    assert quantiser.saturated == 1, "-32.0 is -32768 exactly, and 31.999 rounds to 32767: both fit"
    quantiser(np.array([1e9, -1e9, 0.0]))
    assert quantiser.saturated == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_errors(value):
    with pytest.raises(RunError, match=f"observation input 1 is {value}"):
        ObservationQuantiser((0, 0), 10)(np.array([0.0, value]))
    with pytest.raises(RunError, match=f"a reward is {value}"):
        quantise_reward(value, 8)


def test_wrong_shapes_are_errors():
    with pytest.raises(RunError, match=r"shape \(3,\) came to an agent with 2 inputs"):
        ObservationQuantiser((0, 0), 10)(np.zeros(3))
    with pytest.raises(ConfigurationError):
        ObservationQuantiser((), 10)
