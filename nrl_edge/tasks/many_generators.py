"""The first numbers of many environments' generators at once.

gymnasium gives an environment that is reset with a seed NumPy's generator PCG64, started by a SeedSequence. Making one
takes longer than an agent's step, so that here both are computed for many seeds in parallel, in NumPy's integers.
Sources: M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
Generation" (2014), variant XSL-RR 128/64; and numpy/random/bit_generator.pyx for the SeedSequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""Upper and lower 64 bits of 128-bit numbers."""

_POOL_WORDS = 4
_INIT_A, _MULTIPLIER_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULTIPLIER_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_HALF_WORD = np.uint32(16)

_MULTIPLIER = np.uint64(2549297995355413924), np.uint64(4865540595714422341)
_LOW_HALF, _32, _63 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(63)


class _Hash:
    """Hashes one word after the other with a constant that changes."""

    def __init__(self, constant: int, multiplier: int) -> None:
        self._constant, self._multiplier = constant, multiplier

    def __call__(self, words: Words) -> Words:
        words = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._multiplier & 0xFFFFFFFF
        words *= np.uint32(self._constant)
        words ^= words >> _HALF_WORD
        return words


def _mix(left: Words, right: Words) -> Words:
    mixed = _MIX_LEFT * left - _MIX_RIGHT * right
    mixed ^= mixed >> _HALF_WORD
    return mixed


def _seed_words(seeds: Words) -> list[NDArray[np.uint64]]:
    """SeedSequence(seed).generate_state(4, np.uint64) of every seed, word by word."""
    hashed = _Hash(_INIT_A, _MULTIPLIER_A)
    pool = [hashed(seeds if word == 0 else np.zeros_like(seeds)) for word in range(_POOL_WORDS)]
    for source in range(_POOL_WORDS):
        for destination in range(_POOL_WORDS):
            if source != destination:
                pool[destination] = _mix(pool[destination], hashed(pool[source]))
    hashed = _Hash(_INIT_B, _MULTIPLIER_B)
    words = [hashed(pool[word % _POOL_WORDS]).astype(np.uint64) for word in range(8)]
    return [words[2 * word] | words[2 * word + 1] << _32 for word in range(4)]


def _add(a: Halves, b: Halves) -> Halves:
    low = a[1] + b[1]
    return a[0] + b[0] + (low < a[1]), low


def _times_multiplier(a: Halves) -> Halves:
    upper, lower = _MULTIPLIER
    a_low, a_high = a[1] & _LOW_HALF, a[1] >> _32
    b_low, b_high = lower & _LOW_HALF, lower >> _32
    cross, other = a_low * b_high, a_high * b_low
    middle = (a_low * b_low >> _32) + (cross & _LOW_HALF) + (other & _LOW_HALF)
    carried = a_high * b_high + (cross >> _32) + (other >> _32) + (middle >> _32)
    return carried + a[0] * lower + a[1] * upper, a[1] * lower


def first_uniforms(seeds: Sequence[int], count: int) -> NDArray[np.float64]:
    """environment_generator(seed).random(count) of every seed of 0..2^32 - 1, (N, count), to the last bit."""
    state_high, state_low, stream_high, stream_low = _seed_words(np.array(seeds, dtype=np.uint32))
    one = np.uint64(1)
    increment = (stream_high << one | stream_low >> _63, stream_low << one | one)
    state = _add(_times_multiplier(_add(increment, (state_high, state_low))), increment)
    numbers = np.empty((len(seeds), count))
    for column in range(count):
        state = _add(_times_multiplier(state), increment)
        rotation, mixed = state[0] >> np.uint64(58), state[0] ^ state[1]
        drawn = mixed >> rotation | mixed << ((np.uint64(64) - rotation) & _63)
        numbers[:, column] = (drawn >> np.uint64(11)) * 2.0**-53
    return numbers
