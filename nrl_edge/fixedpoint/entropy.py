"""Entropy sources of the reference agent, written from section 3 of docs/arithmetic.md.

A source hands out bytes in draws; it returns None, and takes nothing, where it cannot give a whole draw.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from nrl_edge.agent import EntropyMode, EntropySettings
from nrl_edge.errors import ConfigurationError

_MASK32, _MASK64 = (1 << 32) - 1, (1 << 64) - 1


class EntropySource(Protocol):
    """Where random bytes come from."""

    mode: EntropyMode
    bytes_drawn: int

    def draw(self, length: int) -> bytes | None:
        """The next `length` bytes, or None where they cannot all be had."""
        ...

    def resume(self, bytes_drawn: int, state: Sequence[int]) -> None:
        """Go on from where a source of the same mode was, as a snapshot says; a raw source cannot and does not."""
        ...


def splitmix64(state: int) -> tuple[int, int]:
    """One step of SplitMix64 (Steele, Lea and Flood, 2014): (new state, output), both 64 bits."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK64
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK64
    return state, mixed ^ (mixed >> 31)


class SeededSource:
    """xoshiro128++ 1.0 (Blackman and Vigna, 2019), low byte of a word first; a draw drops what is left of a word."""

    mode: EntropyMode = "seeded"

    def __init__(self, seed: int) -> None:
        state, first = splitmix64(seed & _MASK64)
        _, second = splitmix64(state)
        self.state = (first & _MASK32, first >> 32, second & _MASK32, second >> 32)
        self.bytes_drawn = 0

    def _next_word(self) -> int:
        s0, s1, s2, s3 = self.state
        total = (s0 + s3) & _MASK32
        word = (((total << 7) | (total >> 25)) + s0) & _MASK32
        shifted = (s1 << 9) & _MASK32
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = ((s3 << 11) | (s3 >> 21)) & _MASK32
        self.state = (s0, s1, s2, s3)
        return word

    def draw(self, length: int) -> bytes:
        """The next `length` bytes."""
        self.bytes_drawn = (self.bytes_drawn + length) & _MASK32
        words = -(-length // 4)
        return b"".join(self._next_word().to_bytes(4, "little") for _ in range(words))[:length]

    def resume(self, bytes_drawn: int, state: Sequence[int]) -> None:
        """Take the generator's state back."""
        self.bytes_drawn = bytes_drawn
        self.state = (state[0], state[1], state[2], state[3])


class RawSource:
    """The operating system's generator, in the place of a board's hardware generator."""

    mode: EntropyMode = "raw"

    def __init__(self) -> None:
        self.bytes_drawn = 0

    def draw(self, length: int) -> bytes:
        """`length` fresh bytes."""
        self.bytes_drawn = (self.bytes_drawn + length) & _MASK32
        return os.urandom(length)

    def resume(self, bytes_drawn: int, state: Sequence[int]) -> None:
        """Nothing: what a hardware generator gave does not come again."""


class ReplaySource:
    """The bytes of a recorded stream, in order. A draw beyond its end fails."""

    mode: EntropyMode = "replay"

    def __init__(self, recording: bytes) -> None:
        self._recording = recording
        self.bytes_drawn = 0

    def draw(self, length: int) -> bytes | None:
        """The next `length` recorded bytes, or None where fewer are left."""
        end = self.bytes_drawn + length
        if end > len(self._recording):
            return None
        drawn = self._recording[self.bytes_drawn : end]
        self.bytes_drawn = end
        return drawn

    def resume(self, bytes_drawn: int, state: Sequence[int]) -> None:
        """Go to the byte after those that had been drawn."""
        self.bytes_drawn = bytes_drawn


def open_source(settings: EntropySettings) -> SeededSource | RawSource | ReplaySource:
    """The source that `settings` describe. Raises ConfigurationError for `expanded`: it needs a board's generator."""
    if settings.mode == "seeded":
        return SeededSource(settings.seed)
    if settings.mode == "raw":
        return RawSource()
    if settings.mode == "replay":
        return ReplaySource(settings.recording)
    raise ConfigurationError(
        "entropy mode 'expanded' expands the bits of a board's hardware generator, which a simulation on the host does "
        "not have; use mode 'seeded', 'raw' (the operating system's generator) or 'replay'"
    )
