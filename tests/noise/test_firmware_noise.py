"""The firmware's watch over its noise: its health tests are those of nrl_edge.noise; faults end learning in time."""

from __future__ import annotations

import ctypes
import math
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrl_edge.boards import EntropySource, find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.noise import HARD_ALPHA_EXPONENT, NoiseSettings, noise_settings, soft_alpha_exponent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.entropy import SeededSource
from nrl_edge.native.compiler import build_cached
from nrl_edge.noise import HealthTests
from nrl_edge.noise.health import LONG_WINDOW

CONFIGURATION = AgentConfiguration(4, (8,), 2)
BOARD = find_board("microbit")
HERE = Path(__file__).resolve().parent / "harness"
SOFT_REPETITION, SOFT_PROPORTION, HARD_REPETITION, HARD_PROPORTION = 1, 2, 4, 8
SOFT_BYTES, HARD_BYTES, SOFT_SHARE, HARD_SHARE = 16, 32, 64, 128
FLAGS = (1, 2, 4, 8, 16, 32, 64, 128)
SILENT, REPETITION, PROPORTION, PERIOD = 2, 6, 7, 8


def noise_of(min_entropy: float) -> NoiseSettings:
    assert BOARD.entropy_source is not None
    return noise_settings(
        CONFIGURATION, replace(BOARD, entropy_source=replace(BOARD.entropy_source, min_entropy=min_entropy))
    )


@cache
def library(min_entropy: float = 0.9) -> ctypes.CDLL:
    assert BOARD.entropy_source is not None
    board = replace(BOARD, entropy_source=replace(BOARD.entropy_source, min_entropy=min_entropy))
    files = render_firmware(CONFIGURATION, seed=1, entropy_mode="raw", board=board)
    sources = {
        PurePosixPath(path).name: text
        for path, text in files.items()
        if path.startswith(("include/", "src/noise/")) or path == "src/core/nrl_entropy.c"
    }
    sources["faulty_generator.c"] = (HERE / "faulty_generator.c").read_text(encoding="utf-8")
    flags = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
    loaded = ctypes.CDLL(str(build_cached(sources, "faulty-generator", shared=True, extra_flags=flags)))
    for name in ("draw", "draw_expanded", "draw_replayed", "log_is_full", "supply"):
        getattr(loaded, f"faulty_{name}").restype = ctypes.c_bool
    loaded.faulty_room.restype = ctypes.c_uint32
    return loaded


def pack(bits: NDArray[np.uint8]) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()


def firmware_alarms(bits: NDArray[np.uint8], min_entropy: float) -> list[tuple[int, int]]:
    """(byte, alarms) of every byte that raises some."""
    data = pack(bits)
    alarms = ctypes.create_string_buffer(len(data))
    library(min_entropy).faulty_alarms(data, ctypes.c_size_t(len(data)), alarms)
    return [(index, value) for index, value in enumerate(alarms.raw[: len(data)]) if value]


def expected_alarms(bits: NDArray[np.uint8], min_entropy: float) -> list[tuple[int, int]]:
    chosen, found = noise_of(min_entropy), {}
    for limits, flags in (
        (
            chosen.soft,
            {
                "repetition": SOFT_REPETITION,
                "proportion": SOFT_PROPORTION,
                "byte_repetition": SOFT_BYTES,
                "share": SOFT_SHARE,
            },
        ),
        (
            chosen.hard,
            {
                "repetition": HARD_REPETITION,
                "proportion": HARD_PROPORTION,
                "byte_repetition": HARD_BYTES,
                "share": HARD_SHARE,
            },
        ),
    ):
        for alarm in HealthTests(limits).feed(bits):
            found[alarm.position // 8] = found.get(alarm.position // 8, 0) | flags[alarm.test]
    return sorted(found.items())


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 0.9, 1.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.8, 1.0]), st.integers(1, 150)), min_size=1, max_size=8),
)
def test_the_firmware_raises_the_alarms_that_python_raises(seed, min_entropy, pieces):
    """Streams of pieces with so many percent of ones and so many bytes; at once over every alarm's kind and level."""
    generator = np.random.default_rng(seed)
    bits = np.concatenate([(generator.random(8 * length) < share).astype(np.uint8) for share, length in pieces])
    assert firmware_alarms(bits, min_entropy) == expected_alarms(bits, min_entropy)


def test_every_kind_of_alarm_was_compared():
    generator = np.random.default_rng(7)
    shares = (0.5, 0.62, 0.7, 1.0, *[0.5] * 5, *[0.58] * 16)
    bits = np.concatenate([(generator.random(8192) < share).astype(np.uint8) for share in shares])
    found = firmware_alarms(bits, 0.9)
    assert found == expected_alarms(bits, 0.9)
    assert {flag for _, value in found for flag in FLAGS if value & flag} == set(FLAGS)


@pytest.mark.parametrize("value", [0, 1])
def test_a_share_that_is_reached_by_the_last_bit_of_a_byte_alarms_there(value: int):
    """The firmware looks at the long window a byte at a time, and Python at each bit."""
    hard = noise_of(0.9).hard.share
    assert hard % 8 == 0
    found = firmware_alarms(np.full(LONG_WINDOW + 64, value, np.uint8), 0.9)
    assert found == expected_alarms(np.full(LONG_WINDOW + 64, value, np.uint8), 0.9)
    assert [byte for byte, alarms in found if alarms & HARD_SHARE] == [hard // 8 - 1]


def run_until_failure(stream: bytes, draw_bytes: int = 3, min_entropy: float = 0.9) -> tuple[int, list[int]]:
    """(draws that worked, [bytes the generator gave, restarts, soft alarms, failure]) where the first draw fails."""
    loaded = library(min_entropy)
    loaded.faulty_start(stream, ctypes.c_size_t(len(stream)))
    bytes_ = ctypes.create_string_buffer(draw_bytes)
    draws = 0
    while loaded.faulty_draw(bytes_, ctypes.c_uint16(draw_bytes)):
        draws += 1
    numbers = (ctypes.c_uint32 * 4)()
    loaded.faulty_status(numbers)
    return draws, list(numbers)


def healthy(count: int, seed: int = 11) -> bytes:
    return np.random.default_rng(seed).bytes(count)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_stuck_generator_fails_at_power_on(byte):
    draws, (taken, _, _, failure) = run_until_failure(bytes([byte]) * 100_000)
    assert (draws, failure) == (0, REPETITION)
    # Within the hard cut-off, or four attempts of 16 bytes, whichever is first.
    assert taken <= max(math.ceil(noise_of(0.9).hard.repetition / 8), 4 * 16)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_generator_that_sticks_late_fails_within_the_cutoff(byte):
    good = healthy(128 + 30_000)
    draws, (taken, restarts, soft, failure) = run_until_failure(good + bytes([byte]) * 100_000)
    assert draws >= 29_990 // 3
    assert (failure, soft > 0, restarts > 0) == (REPETITION, True, True)
    # The run may have begun in the last good byte; a draw is looked at when it is complete, and four draws are tried.
    assert taken - len(good) <= max(noise_of(0.9).hard.repetition // 8 + 1 + 3, 4 * 3)


@pytest.mark.parametrize(("byte", "cutoff"), [(0x00, "repetition"), (0x55, "byte_repetition")])
def test_nothing_of_a_stuck_run_is_used_beyond_the_soft_cutoff(byte: int, cutoff: str):
    """Draws of one byte: between the soft and the hard cut-off there are draws that raise no alarm of their own."""
    good = healthy(128 + 500)
    draws, (_, _, soft, _) = run_until_failure(good + bytes([byte]) * 1000, draw_bytes=1)
    bits = getattr(noise_of(0.9).soft, cutoff) * (8 if cutoff == "byte_repetition" else 1)
    assert soft >= 1
    assert draws - 500 <= bits // 8


def test_a_generator_that_goes_silent_fails_after_four_attempts():
    draws, (_, restarts, _, failure) = run_until_failure(healthy(128 + 3000))
    assert (draws, failure, restarts) == (1000, SILENT, 4)


@pytest.mark.parametrize(
    ("share", "bits"),
    [(0.58, 2 * LONG_WINDOW), (0.6, 2 * LONG_WINDOW), (0.4, 2 * LONG_WINDOW), (0.66, 60_000), (0.8, 8_000)],
)
def test_a_biased_generator_fails_within_so_many_bits(share: float, bits: int):
    """H = 0.9 allows a share of 0.536. The rest of the long window in which a bias begins may pass, and the next does
    not; the larger the bias, the sooner a short window alarms."""
    good = healthy(128 + 3000)
    lean = pack((np.random.default_rng(5).random(8 * 200_000) < share).astype(np.uint8))
    draws, (taken, _, soft, failure) = run_until_failure(good + lean)
    assert draws >= 1000
    assert failure in (REPETITION, PROPORTION, PERIOD) and soft >= 1
    assert 8 * (taken - len(good)) <= bits


def test_half_a_percent_of_bias_is_left_alone():
    lean = pack((np.random.default_rng(6).random(8 * 200_000) < 0.505).astype(np.uint8))
    draws, (_, _, soft, failure) = run_until_failure(lean)
    assert (soft, failure) == (0, SILENT) and draws == (200_000 - 128) // 3


LONE_ALARM = b"\xa5" + bytes(5) + b"\xa5\x5a"
"""40 zeros between ones: beyond the soft cut-off of a run of bits, below the hard one, and below those of bytes."""


def with_alarms(count: int, length: int, seed: int) -> bytes:
    """Healthy bytes, so many of which are a lone alarm, in pieces of 512 from the start."""
    stream = bytearray(healthy(length, seed))
    for number in range(count):
        stream[512 * number : 512 * number + len(LONE_ALARM)] = LONE_ALARM
    return bytes(stream)


def test_the_eighth_soft_alarm_within_a_million_bits_is_a_failure():
    assert noise_of(0.9).soft.repetition <= 40 < noise_of(0.9).hard.repetition
    assert noise_of(0.9).soft.byte_repetition > 5
    good = healthy(128)
    _, (_, restarts, soft, failure) = run_until_failure(good + with_alarms(7, 100_000, 1), draw_bytes=8)
    assert (soft, failure, restarts) == (7, SILENT, 7 + 4), "the end of the stream, and no sooner"
    draws, (taken, restarts, soft, failure) = run_until_failure(good + with_alarms(8, 100_000, 1), draw_bytes=8)
    assert (soft, failure, restarts) == (8, REPETITION, 8)
    assert taken == 128 + 7 * 512 + 8 and draws == (7 * 512) // 8 - 7


def test_soft_alarms_of_an_earlier_million_bits_are_forgotten():
    # 131,072 bytes are watched together, the start-up test's included.
    first, second = with_alarms(7, 131_072 - 128, 1), with_alarms(7, 100_000, 2)
    _, (_, _, soft, failure) = run_until_failure(healthy(128) + first + second, draw_bytes=8)
    assert (soft, failure) == (14, SILENT)
    # A draw earlier, and the first of the second seven is the eighth.
    _, (_, _, soft, failure) = run_until_failure(healthy(128) + first[:-8] + second, draw_bytes=8)
    assert (soft, failure) == (8, REPETITION)


def fetch(position: int, room: int = 60_000) -> bytes | None:
    bytes_ = ctypes.create_string_buffer(room)
    count = library().faulty_fetch(ctypes.c_uint32(position), bytes_, ctypes.c_uint16(room))
    return None if count < 0 else bytes_.raw[:count]


def draw(length: int) -> bytes:
    bytes_ = ctypes.create_string_buffer(length)
    assert library().faulty_draw(bytes_, ctypes.c_uint16(length))
    return bytes_.raw


def test_the_log_hands_out_what_was_drawn_and_nothing_else():
    loaded, log = library(), noise_of(0.9).log_bytes
    raw = healthy(128 + 4 * log)
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    assert fetch(0) == b""
    given = draw(10) + draw(7)
    assert fetch(0) == given and fetch(3, 5) == given[3:8] and fetch(17) == b""
    assert fetch(0xFFFFFFFF) is None and fetch(18) is None, "before the first and behind the last"
    while len(given) < log:
        given += draw(1)
    assert fetch(0) == given
    given += draw(1)
    assert fetch(0) is None and fetch(1) == given[1:]
    # Another agent: what the log still holds is not its own.
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    assert draw(2) == given[:2] and fetch(0) == given[:2] and fetch(0xFFFFFFFF) is None


def test_the_host_is_called_before_a_call_of_step_could_overwrite_what_it_lacks():
    loaded, chosen = library(), noise_of(0.9)
    raw = healthy(128 + 4 * chosen.log_bytes)
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    given = b""
    while len(given) < chosen.log_bytes - chosen.call_bytes:
        given += draw(1)
        assert not loaded.faulty_log_is_full()
    given += draw(1)
    assert loaded.faulty_log_is_full()
    assert fetch(1) == given[1:] and not loaded.faulty_log_is_full(), "it has said that it has the first"


def test_recorded_noise_is_drawn_as_it_was_supplied_and_never_beyond():
    loaded, log = library(), noise_of(0.9).log_bytes
    raw = healthy(128 + 100)
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    draw(50)
    recording = healthy(3 * log, seed=5)

    def supply(start: int, length: int) -> bool:
        part = recording[start : start + length]
        return bool(loaded.faulty_supply(ctypes.c_uint32(start), part, ctypes.c_uint16(length)))

    def replayed(length: int) -> bytes | None:
        bytes_ = ctypes.create_string_buffer(length)
        return bytes_.raw if loaded.faulty_draw_replayed(bytes_, ctypes.c_uint16(length)) else None

    assert supply(0, 0) and loaded.faulty_room() == log
    assert fetch(0xFFFFFFFF) is None, "the log of the run before is gone"
    assert not supply(0, log + 1) and supply(0, log) and loaded.faulty_room() == 0
    assert not supply(log, 1) and not supply(log - 1, 0)
    assert replayed(9) == recording[:9] and loaded.faulty_room() == 9
    assert not supply(log, 10) and supply(log, 9)
    assert replayed(log + 1) is None and replayed(log) == recording[9 : 9 + log]
    assert replayed(1) is None and supply(log + 9, 1) and replayed(1) == recording[log + 9 : log + 10]
    assert supply(0, 3) and replayed(3) == recording[:3], "a recording that begins again"


@pytest.mark.parametrize("byte", [0x55, 0x99, 0x1D])
def test_a_generator_of_a_short_period_fails_within_the_cutoff(byte):
    """Periods of 2, 4 and 8 bits, which neither test of the standard can see."""
    good = healthy(128 + 3000)
    draws, (taken, _, soft, failure) = run_until_failure(good + bytes([byte]) * 100_000)
    assert (draws >= 999, soft > 0, failure) == (True, True, PERIOD)
    assert taken - len(good) <= max(noise_of(0.9).hard.byte_repetition + 3, 4 * 3)


def test_soft_alarms_follow_the_rate_and_hard_ones_do_not():
    assert soft_alpha_exponent(11_800) == 33
    assert soft_alpha_exponent(38_000_000) == 45
    assert soft_alpha_exponent(None) == 40
    assert soft_alpha_exponent(10**12) == HARD_ALPHA_EXPONENT - 1
    for min_entropy in (0.5, 0.9, 1.0):
        chosen = noise_of(min_entropy)
        assert chosen.soft.repetition < chosen.hard.repetition and chosen.soft.proportion < chosen.hard.proportion
    assert EntropySource("x").min_entropy == 0.9


def test_the_log_holds_what_a_call_draws_where_memory_allows():
    chosen = noise_settings(CONFIGURATION, BOARD)
    assert chosen.can_be_recorded and chosen.log_bytes >= 2 * chosen.call_bytes
    assert noise_settings(AgentConfiguration(64, (128, 128), 16), BOARD).can_be_recorded is False
    assert noise_settings(CONFIGURATION, find_board("uno")).log_bytes == 1


@pytest.mark.slow
def test_false_alarms_of_a_billion_healthy_bits_are_as_rare_as_computed():
    """At H = 1 and the soft level of the microbit's rate, 2^-33 a bit, 10^9 bits raise 0.12 alarms on average."""
    counts = (ctypes.c_uint64 * 2)()
    state = (ctypes.c_uint32 * 4)(0x9E3779B9, 0x7F4A7C15, 0xF39CC060, 0x5CEDC834)
    library(1.0).faulty_count_alarms(state, ctypes.c_uint64(10**9 // 8), counts)
    # The repetition count at each bit, the proportion in each window, both values' shares in each long window.
    expected = 10**9 * 2.0 ** -noise_of(1.0).soft_alpha_exponent * (1 + 1 / 1024 + 2 / LONG_WINDOW)
    assert expected < 0.2
    # A Poisson count of mean 0.2 is above 3 with a probability of 6e-5; the seed is fixed.
    assert counts[0] <= 3
    assert counts[1] == 0


def test_expanded_noise_is_xoshiro128_keyed_from_healthy_raw_bytes():
    """Python's own xoshiro128++ beside the firmware's: 16 raw bytes are mixed in before and after every 1024."""
    raw = healthy(4096, seed=21)
    loaded = library()
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    given = b""
    lengths = [3, 8, 1, 300, 17] * 12
    for length in lengths:
        drawn = ctypes.create_string_buffer(length)
        assert loaded.faulty_draw_expanded(drawn, ctypes.c_uint16(length))
        given += drawn.raw
    generator, taken, since = SeededSource(0), 128, 1024
    generator.state = (0, 0, 0, 0)
    expected = b""
    for length in lengths:
        if since >= 1024:
            key = struct.unpack("<4I", raw[taken : taken + 16])
            generator.state = tuple(a ^ b for a, b in zip(generator.state, key, strict=True))
            taken, since = taken + 16, 0
        expected += generator.draw(length)
        since += length
    assert given == expected
    numbers = (ctypes.c_uint32 * 4)()
    loaded.faulty_status(numbers)
    assert numbers[0] == taken == 128 + 16 * 4


def test_a_key_that_leaves_no_bit_of_the_state_starts_it_from_one():
    loaded = library()
    generator = SeededSource(0)
    generator.state = struct.unpack("<4I", healthy(16, seed=4))
    first = struct.pack("<4I", *generator.state)
    expected = generator.draw(1024)
    raw = healthy(128, seed=21) + first + struct.pack("<4I", *generator.state) + healthy(100)
    loaded.faulty_start(raw, ctypes.c_size_t(len(raw)))
    drawn = ctypes.create_string_buffer(1024)
    assert loaded.faulty_draw_expanded(drawn, ctypes.c_uint16(1024)) and drawn.raw == expected
    generator.state = (1, 0, 0, 0)
    assert loaded.faulty_draw_expanded(drawn, ctypes.c_uint16(1024)) and drawn.raw == generator.draw(1024)


def test_expanded_noise_fails_with_its_generator():
    loaded = library()
    stream = healthy(128 + 16) + bytes(10_000)
    loaded.faulty_start(stream, ctypes.c_size_t(len(stream)))
    drawn = ctypes.create_string_buffer(128)
    results = [loaded.faulty_draw_expanded(drawn, ctypes.c_uint16(128)) for _ in range(12)]
    assert results == [True] * 8 + [False] * 4
    numbers = (ctypes.c_uint32 * 4)()
    loaded.faulty_status(numbers)
    assert numbers[3] == REPETITION
