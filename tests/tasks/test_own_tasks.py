from __future__ import annotations

import math
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks import (
    ENTRY_POINTS,
    GymnasiumBatch,
    TaskSettings,
    episode_seed,
    make_batched_task,
    make_task,
    register_tasks,
)


@pytest.mark.parametrize("task_id", ENTRY_POINTS)
def test_environments_pass_the_checker_without_a_warning(task_id):
    register_tasks()  # a second time changes nothing
    environment = gymnasium.make(task_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment.unwrapped, skip_render_check=True)
    assert environment.spec.entry_point == ENTRY_POINTS[task_id][0]
    environment.close()


@pytest.mark.parametrize(
    ("task_id", "kwargs"),
    [
        ("NRL/Reaching1D-v0", {}),
        ("NRL/Reaching1D-v0", {"exact_target": True}),
        ("NRL/XOR-v0", {}),
        ("NRL/ContextualBandit-v0", {}),
        ("NRL/ContextualBandit-v0", {"payoff_probability": 0.7}),
        ("NRL/Bandit-v0", {}),
        ("NRL/Bandit-v0", {"arms": 6, "paying": 5, "payoff_probability": 0.7}),
    ],
)
def test_batches_equal_the_environments_bit_for_bit(task_id, kwargs):
    settings, batch = TaskSettings(task_id, kwargs), 5
    fast, slow = make_batched_task(settings, batch), GymnasiumBatch(settings, batch)
    assert not isinstance(fast, GymnasiumBatch)
    assert (fast.inputs, fast.actions, fast.batch) == (slow.inputs, slow.actions, batch)
    random = np.random.default_rng(3)
    rows = np.arange(batch)
    seeds = [episode_seed(9, row) for row in range(batch)]
    observation = fast.reset(rows, seeds)
    assert observation.dtype == np.float64 and np.array_equal(observation, slow.reset(rows, seeds))
    episodes = 0
    for step in range(700):
        actions = random.integers(0, fast.actions, batch)
        # Runs of one action take the hand round the ring and over its seam.
        actions[0], actions[1] = 1, 2
        actions %= fast.actions
        result = fast.step(actions)
        for mine, theirs in zip(result, slow.step(actions), strict=True):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs), f"step {step}"
        ended = np.flatnonzero(result[2] | result[3])
        episodes += len(ended)
        if ended.size:
            seeds = [episode_seed(step, int(row)) for row in ended]
            assert np.array_equal(fast.reset(ended, seeds), slow.reset(ended, seeds))
    assert episodes >= 2 * batch


def test_reaching_is_what_its_docstring_says():
    task, exact = make_task("NRL/Reaching1D-v0"), make_task("NRL/Reaching1D-v0", {"exact_target": True})
    assert (task.inputs, task.actions, task.time_limit) == (32, 3, 300)
    angles = 2 * math.pi * np.arange(16) / 16
    for seed in range(5):
        observation = task.reset(seed)
        assert np.array_equal(observation, exact.reset(seed))
        target = math.atan2(observation[4], observation[0]) % (2 * math.pi)  # cos and sin of the target
        hand = math.pi
        for step in range(300):
            action = (0, 1, 1, 2)[step % 4] if seed % 2 else 1
            hand = (hand + (0.0, 0.05, -0.05)[action]) % (2 * math.pi)
            observation, reward, terminated, truncated = task.step(action)
            assert observation == pytest.approx(np.cos(np.concatenate((angles - target, angles - hand))), abs=1e-6)

            def expected(rewarded: float, hand: float = hand) -> float:
                distance = abs(hand - rewarded)
                return max(1 - min(distance, 2 * math.pi - distance), -0.1)

            assert reward == pytest.approx(expected(math.floor(target)), abs=1e-6)
            assert exact.step(action)[1] == pytest.approx(expected(target), abs=1e-6)
            assert (terminated, truncated) == (False, step == 299)


def test_xor_pays_for_telling_equal_from_different():
    task = make_task("NRL/XOR-v0")
    seen = set()
    for seed in range(40):
        for action in (0, 1):
            x, y = task.reset(seed)
            assert {abs(x), abs(y)} == {1.0}
            _, reward, terminated, truncated = task.step(action)
            assert (terminated, truncated) == (True, False)
            assert reward == (1.0 if action == (x != y) else -1.0)
            seen.add((x, y))
    assert len(seen) == 4


def test_the_better_arm_pays_as_often_as_promised():
    batch = make_batched_task(TaskSettings("NRL/ContextualBandit-v0", {"payoff_probability": 0.8}), 4000)
    contexts = batch.reset(np.arange(4000), list(range(4000)))
    better = (contexts[:, 0] != contexts[:, 1]).astype(np.intp)
    _, rewards, _, _ = batch.step(better)
    assert set(rewards) == {-1.0, 1.0}
    assert rewards.mean() == pytest.approx(0.6, abs=0.04)
    # The same trials, the other arm: what pays on one of them does so by the same draw of chance.
    batch.reset(np.arange(4000), list(range(4000)))
    assert batch.step(1 - better)[1].mean() == pytest.approx(-0.6, abs=0.04)
    # Each cue alone, and the third with any other, tells nothing.
    assert len(np.unique(contexts, axis=0)) == 8
    for cue in range(3):
        assert abs(np.corrcoef(contexts[:, cue], better)[0, 1]) < 0.06
    with pytest.raises(ConfigurationError, match=r"payoff_probability = 0\.5"):
        make_batched_task(TaskSettings("NRL/ContextualBandit-v0", {"payoff_probability": 0.5}), 1)


def test_arguments_are_refused_where_the_task_has_none():
    with pytest.raises(ConfigurationError, match=r"NRL/XOR-v0.*bits"):
        make_batched_task(TaskSettings("NRL/XOR-v0", {"bits": 3}), 1)
