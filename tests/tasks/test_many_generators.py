"""First numbers of many generators at once are those of the generators themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from nrl_edge.tasks.batched import ExpectsEpisodes, GymnasiumBatch, make_batched_task
from nrl_edge.tasks.many_generators import first_uniforms
from nrl_edge.tasks.seeding import environment_generator, episode_seed, episode_seeds
from nrl_edge.tasks.task import TaskSettings

SEEDS = some.lists(some.integers(0, 2**32 - 1), min_size=1, max_size=40)


@given(SEEDS, some.integers(1, 7))
def test_they_are_the_generators_to_the_last_bit(seeds: list[int], count: int) -> None:
    expected = np.array([environment_generator(seed).random(count) for seed in seeds])
    assert np.array_equal(first_uniforms(seeds, count), expected)


def test_carries_and_rotations_of_many_seeds() -> None:
    seeds = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, *np.random.default_rng(3).integers(0, 2**32, 5000).tolist()]
    expected = np.array([environment_generator(seed).random(4) for seed in seeds])
    assert np.array_equal(first_uniforms(seeds, 4), expected)


@given(some.integers(0, 2**64 - 1), some.integers(0, 10**6), some.integers(1, 300))
def test_seeds_of_many_episodes_are_those_of_each(seed: int, first: int, count: int) -> None:
    assert episode_seeds(seed, first, count) == [episode_seed(seed, first + number) for number in range(count)]


def test_an_announced_episode_begins_as_it_would_have() -> None:
    for task in ("CartPole-v1", "Acrobot-v1"):
        told, untold = make_batched_task(TaskSettings(task), 3), make_batched_task(TaskSettings(task), 3)
        assert isinstance(told, ExpectsEpisodes)
        told.expect([11, 12, 13, 99])
        rows = np.arange(3)
        assert np.array_equal(told.reset(rows, [12, 11, 13]), untold.reset(rows, [12, 11, 13]))
        # A seed that was told once may be used again, and one that never was may be used too.
        assert np.array_equal(told.reset(rows, [12, 7, 99]), untold.reset(rows, [12, 7, 99]))
    assert not isinstance(GymnasiumBatch(TaskSettings("CartPole-v1"), 1), ExpectsEpisodes)
