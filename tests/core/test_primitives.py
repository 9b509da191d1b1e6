"""The primitives in C against oracles with unbounded integers and exact fractions."""

from __future__ import annotations

import ctypes
import math
import zlib
from decimal import Decimal, getcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream import HARNESS

from nrl_edge.codegen.core import render_core, seed_state
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native import build_cached

INT32 = st.integers(-(2**31), 2**31 - 1)


def build_primitives() -> ctypes.CDLL:
    files = {**render_core(AgentConfiguration(1, (1,), 2)), "primitives.c": (HARNESS / "primitives.c").read_text()}
    library = ctypes.CDLL(str(build_cached(files, "primitives", shared=True)))
    library.nrl_isqrt.restype = ctypes.c_uint16
    library.test_isqrt_mismatch.restype = ctypes.c_uint32
    library.nrl_crc32.restype = ctypes.c_uint32
    library.nrl_crc32.argtypes = (ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t)
    library.nrl_exp_neg.restype = ctypes.c_uint32
    library.nrl_exp_neg.argtypes = (ctypes.c_uint32,)
    library.test_quotient.argtypes = (ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
    return library


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return build_primitives()


@given(value=INT32, bits=st.integers(2, 32))
def test_saturate(library: ctypes.CDLL, value: int, bits: int) -> None:
    assert library.test_saturate(value, bits) == max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, value))


@given(value=st.integers(-(2**30), 2**30 - 1), shift=st.integers(0, 31))
def test_round_shift_is_the_nearest_halves_up(library: ctypes.CDLL, value: int, shift: int) -> None:
    assert library.test_round_shift(value, shift) == math.floor(Fraction(value, 2**shift) + Fraction(1, 2))


@given(value=st.integers(-(2**30) + 1, 2**30 - 1), shift=st.integers(0, 39), random=st.integers(0, 255))
def test_stochastic_shift(library: ctypes.CDLL, value: int, shift: int, random: int) -> None:
    if shift >= 8:
        expected = (math.floor(Fraction(value, 2 ** (shift - 8)) + Fraction(1, 2)) + random) // 256
    else:
        expected = (value + random // 2 ** (8 - shift)) // 2**shift
    assert library.test_stochastic_shift(value, shift, random) == expected


@pytest.mark.parametrize("value", [1, -1, 5, -77, 12345, -(2**29), 2**29 + 3])
@pytest.mark.parametrize("shift", [1, 3, 7, 8])
def test_stochastic_shift_is_right_on_average(library: ctypes.CDLL, value: int, shift: int) -> None:
    mean = Fraction(sum(library.test_stochastic_shift(value, shift, random) for random in range(256)), 256)
    assert mean == Fraction(value, 2**shift)


def test_isqrt_around_every_square(library: ctypes.CDLL) -> None:
    assert library.test_isqrt_mismatch() == 65536


@given(value=st.integers(0, 2**32 - 1))
def test_isqrt(library: ctypes.CDLL, value: int) -> None:
    assert library.nrl_isqrt(ctypes.c_uint32(value)) == math.isqrt(value)


# Every width equally often, so that all shifts of the normalisation occur.
WIDE = st.integers(0, 31).flatmap(lambda width: st.integers(2**width, 2 ** (width + 1) - 1))


@settings(max_examples=500)
@given(numerator=WIDE, denominator=WIDE)
def test_quotient(library: ctypes.CDLL, numerator: int, denominator: int) -> None:
    result = (ctypes.c_int32 * 2)()
    library.test_quotient(numerator, denominator, result)
    mantissa, exponent = result
    assert 2**14 <= mantissa < 2**15
    # From the definition: the denominator keeps its top 16 bits, the rest is one truncated division.
    kept = denominator.bit_length() - 16
    top = Fraction(denominator >> kept) * 2**kept if kept > 0 else Fraction(denominator)
    exact = Fraction(numerator) / top / Fraction(2) ** exponent
    assert mantissa == math.floor(exact)
    approximation = mantissa * Fraction(2) ** exponent / Fraction(numerator, denominator)
    assert 1 - Fraction(1, 2**14) < approximation < 1 + Fraction(1, 2**14)


def test_exp_neg_everywhere(library: ctypes.CDLL) -> None:
    worst = max(abs(library.nrl_exp_neg(z) / 32768 - math.exp(-z / 4096)) for z in range(65536))
    assert worst < 2e-4
    assert library.nrl_exp_neg(0) == 32768
    assert all(library.nrl_exp_neg(z) == 0 for z in (65536, 2**31, 2**32 - 1))


def test_exp_neg_is_its_formula(library: ctypes.CDLL) -> None:
    getcontext().prec = 40
    table = [int(2 ** (15 - Decimal(i) / 64) + Decimal("0.5")) for i in range(65)]
    for z in range(65536):
        t = (2 * z * 23637 + 2**14) // 2**15
        whole, i, rest = t // 4096, t // 64 % 64, t % 64
        step = (2 * (table[i] - table[i + 1]) * rest + 64) // 128
        assert library.nrl_exp_neg(z) == (0 if whole > 15 else (table[i] - step) >> whole), z


@given(parts=st.lists(st.binary(max_size=100), max_size=4))
def test_crc32_is_zlibs_and_chains(library: ctypes.CDLL, parts: list[bytes]) -> None:
    crc = 0
    for part in parts:
        crc = library.nrl_crc32(crc, part, len(part))
    assert crc == zlib.crc32(b"".join(parts))
    assert library.nrl_crc32(0, b"123456789", 9) == 0xCBF43926


def random_bytes(library: ctypes.CDLL, state: tuple[int, ...], length: int) -> tuple[bytes, tuple[int, ...]]:
    words, drawn = (ctypes.c_uint32 * 4)(*state), (ctypes.c_uint8 * length)()
    library.test_random_bytes(words, drawn, ctypes.c_uint16(length))
    return bytes(drawn), tuple(words)


def test_xoshiro_from_the_state_1_2_3_4(library: ctypes.CDLL) -> None:
    # First outputs of the published C code for the state that its users' test vectors start from.
    drawn, _ = random_bytes(library, (1, 2, 3, 4), 16)
    words = [int.from_bytes(drawn[i : i + 4], "little") for i in range(0, 16, 4)]
    assert words == [641, 1573767, 3222811527, 3517856514]


@given(state=st.tuples(*(st.integers(0, 2**32 - 1),) * 4), length=st.integers(0, 70))
def test_xoshiro_against_unbounded_integers(library: ctypes.CDLL, state: tuple[int, ...], length: int) -> None:
    def rotate(value: int, count: int) -> int:
        return (value * 2**count) % 2**32 + value // 2 ** (32 - count)

    a, b, c, d = state
    expected = b""
    for _ in range(math.ceil(length / 4)):
        expected += ((rotate((a + d) % 2**32, 7) + a) % 2**32).to_bytes(4, "little")
        a, b, c, d = a ^ d ^ b, b ^ c ^ a, c ^ a ^ (b * 512 % 2**32), rotate(d ^ b, 11)
    assert random_bytes(library, state, length) == (expected[:length], (a, b, c, d))


@pytest.mark.parametrize(
    ("seed", "outputs"),
    [
        # Published test values of SplitMix64 for the seeds 0 and 1234567.
        (0, (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4)),
        (1234567, (6457827717110365317, 3203168211198807973)),
    ],
)
def test_seed_state(seed: int, outputs: tuple[int, int]) -> None:
    first, second = outputs
    assert seed_state(seed) == (first % 2**32, first >> 32, second % 2**32, second >> 32)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_have_64_bits(seed: int) -> None:
    with pytest.raises(ConfigurationError, match="2\\^64"):
        seed_state(seed)
