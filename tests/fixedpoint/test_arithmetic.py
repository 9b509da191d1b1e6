"""The primitives of docs/arithmetic.md against oracles in exact or floating arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrl_edge.fixedpoint import arithmetic
from nrl_edge.fixedpoint.entropy import SeededSource, splitmix64

int32 = st.integers(-(2**31), 2**31 - 1)


@given(int32, st.integers(0, 31))
def test_round_shift_is_nearest_with_halves_up(value: int, bits: int) -> None:
    assert arithmetic.round_shift(value, bits) == math.floor(Fraction(value, 2**bits) + Fraction(1, 2))


@given(int32, st.integers(0, 8))
def test_stochastic_shift_is_unbiased_where_a_byte_resolves_the_fraction(value: int, bits: int) -> None:
    outcomes = arithmetic.stochastic_shift(np.full(256, value), bits, np.arange(256))
    assert int(outcomes.sum()) * 2**bits == value * 256


@given(int32, st.integers(9, 39))
def test_stochastic_shift_is_unbiased_to_half_a_step_of_its_byte(value: int, bits: int) -> None:
    outcomes = arithmetic.stochastic_shift(np.full(256, value), bits, np.arange(256))
    assert abs(Fraction(int(outcomes.sum()), 256) - Fraction(value, 2**bits)) <= Fraction(1, 512)
    assert outcomes.max() - outcomes.min() <= 1


@given(st.integers(0, 70000))
def test_exp_neg_is_the_exponential(value: int) -> None:
    assert arithmetic.exp_neg(value) == pytest.approx(32768 * math.exp(-value / 4096), abs=5)


@given(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_quotient_is_normalised_and_close(numerator: int, denominator: int) -> None:
    mantissa, exponent = arithmetic.quotient(numerator, denominator)
    assert 2**14 <= mantissa < 2**15
    exact = Fraction(numerator, denominator)
    assert abs(mantissa * Fraction(2) ** exponent - exact) <= exact / 2**13


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=128))
def test_limit_row_holds_the_limit_and_leaves_small_rows_alone(values: list[int]) -> None:
    row = np.array(values, np.int64)
    limited, rounds = arithmetic.limit_row(row)
    assert np.abs(limited).sum() <= arithmetic.ROW_LIMIT
    assert (rounds == 0) == (np.abs(row).sum() <= arithmetic.ROW_LIMIT)
    assert np.all(limited * row >= 0)


def test_splitmix64_gives_the_published_sequence() -> None:
    state, outputs = 1234567, []
    for _ in range(5):
        state, output = splitmix64(state)
        outputs.append(output)
    assert outputs == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_xoshiro128plusplus_gives_the_published_sequence() -> None:
    source = SeededSource(0)
    source.state = (1, 2, 3, 4)
    words = np.frombuffer(source.draw(40), "<u4").tolist()
    assert words == [
        641, 1573767, 3222811527, 3517856514, 836907274, 4247214768, 3867114732, 1355841295, 495546011, 621204420,
    ]  # fmt: skip


def test_a_draw_drops_what_is_left_of_its_last_word() -> None:
    whole, cut = SeededSource(7), SeededSource(7)
    words = [whole.draw(4) for _ in range(3)]
    assert cut.draw(5) == words[0] + words[1][:1]
    assert cut.draw(2) == words[2][:2]
    assert cut.bytes_drawn == 7
