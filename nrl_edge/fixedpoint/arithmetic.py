"""Integer primitives of the reference agent, written from sections 2 and 4 of docs/arithmetic.md.

They take Python integers or int64 arrays alike. int64 is wide enough that nothing can wrap here; that 32 bits are wide
enough for the firmware is argued on that page and checked by the undefined-behaviour sanitizer on the generated C.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

IntegerArray = NDArray[np.int64]
IntegerOrArray = TypeVar("IntegerOrArray", int, NDArray[np.int64])

ROW_LIMIT = 65535
LEAKY_SLOPE, LEAKY_SLOPE_FRAC_BITS = 205, 11
BASELINE_RATE, BASELINE_RATE_FRAC_BITS = 169, 8
RETURN_LIMIT = (1 << 22) - 1
LOG2_E_Q14 = 23637
EXP_TABLE = tuple(math.floor(2**15 * 2 ** (-i / 64) + 0.5) for i in range(65))


def round_shift(value: IntegerOrArray, bits: int) -> IntegerOrArray:
    """`value / 2^bits` to the nearest integer, halves up."""
    return value if bits == 0 else (value + (1 << (bits - 1))) >> bits


def stochastic_shift(value: IntegerArray, bits: int, random_bytes: IntegerArray) -> IntegerArray:
    """`value / 2^bits` rounded up with the probability of its fraction (to 1/256), else down; one byte a value."""
    if bits >= 8:
        return (round_shift(value, bits - 8) + random_bytes) >> 8
    return (value + (random_bytes >> (8 - bits))) >> bits


def saturate(value: IntegerArray, bits: int) -> IntegerArray:
    """Clamp to the range of a signed integer of `bits` bits."""
    limit = 1 << (bits - 1)
    return np.minimum(np.maximum(value, -limit), limit - 1)


def saturate_scalar(value: int, bits: int) -> int:
    """`saturate` for one Python integer."""
    limit = 1 << (bits - 1)
    return min(max(value, -limit), limit - 1)


def clamp_return(value: int) -> int:
    """Clamp a reward or a return to +-(2^22 - 1)."""
    return min(max(value, -RETURN_LIMIT), RETURN_LIMIT)


def leaky_relu(value: IntegerArray, positive: NDArray[np.bool_]) -> IntegerArray:
    """Leaky ReLU with slope 205/2048 where `positive` is False; also the chain rule's factor for a difference."""
    return np.where(positive, value, round_shift(value * LEAKY_SLOPE, LEAKY_SLOPE_FRAC_BITS))


def exp_neg(value: int) -> int:
    """e^-value in Q15 for `value` >= 0 in Q12."""
    if value >= 65536:
        return 0
    exponent = round_shift(value * LOG2_E_Q14, 14)
    whole, entry, rest = exponent >> 12, (exponent >> 6) & 63, exponent & 63
    if whole > 15:
        return 0
    interpolated = EXP_TABLE[entry] - round_shift((EXP_TABLE[entry] - EXP_TABLE[entry + 1]) * rest, 6)
    return interpolated >> whole


def quotient(numerator: int, denominator: int) -> tuple[int, int]:
    """(m, x) with 2^14 <= m < 2^15 and m * 2^x ~ numerator / denominator, truncated. Both are in 1..2^32 - 1."""
    numerator_shift = 32 - numerator.bit_length()
    denominator_shift = 16 - denominator.bit_length()
    narrowed = denominator << denominator_shift if denominator_shift >= 0 else denominator >> -denominator_shift
    mantissa, exponent = (numerator << numerator_shift) // narrowed, denominator_shift - numerator_shift
    while mantissa >= 1 << 15:
        mantissa, exponent = mantissa >> 1, exponent + 1
    return mantissa, exponent


def limit_row(row: IntegerArray) -> tuple[IntegerArray, int]:
    """Shrink a row of weights until its magnitudes sum to at most ROW_LIMIT. Returns (row, rounds taken)."""
    rounds = 0
    while int(np.abs(row).sum()) > ROW_LIMIT:
        row = row - (row >> 3)
        rounds += 1
    return row, rounds
