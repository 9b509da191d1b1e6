"""Seeds of single episodes, so that any episode of any run can be created again on its own."""

from __future__ import annotations

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_GOLDEN_GAMMA_64 = np.uint64(_GOLDEN_GAMMA)


def _mix(value: int) -> int:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64-bit numbers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def splitmix64(seed: int) -> int:
    """The first output of SplitMix64 started at `seed`, taken modulo 2^64."""
    return _mix((seed + _GOLDEN_GAMMA) & _MASK)


def episode_seed(seed: int, episode: int) -> int:
    """The 31-bit seed that episode number `episode` (from 0) of a run with `seed` is reset with.

    The first output of SplitMix64 started at `seed` starts a second SplitMix64, whose output number `episode` gives its
    upper 31 bits. Neighbouring seeds and neighbouring episodes are therefore unrelated, which `seed + episode` is not.
    Both arguments are taken modulo 2^64.
    """
    start = splitmix64(seed)
    return _mix((start + (episode + 1) * _GOLDEN_GAMMA) & _MASK) >> 33


def episode_seeds(seed: int, first: int, count: int) -> list[int]:
    """`episode_seed` of episodes `first`, ..., `first + count - 1`, all at once."""
    mixed = np.uint64(splitmix64(seed)) + np.arange(first + 1, first + count + 1, dtype=np.uint64) * _GOLDEN_GAMMA_64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    seeds: list[int] = (mixed >> np.uint64(33)).tolist()
    return seeds


def environment_generator(seed: int) -> np.random.Generator:
    """The generator that gymnasium gives an environment which is reset with `seed`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
