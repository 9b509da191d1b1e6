from __future__ import annotations

import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks import GymnasiumBatch, TaskSettings, episode_seed, make_batched_task
from nrl_edge.tasks.classic_control import AcrobotBatch, CartPoleBatch
from nrl_edge.tasks.pendulum import PendulumBatch


def pump(observation):
    """Acrobot: torque with the second joint's rate, which swings it up."""
    return np.where(observation[:, 5] > 0, 2, 0)


def balance(observation):
    """CartPole: push under the falling pole, which lasts to the time limit often enough."""
    return (observation[:, 2] + 0.4 * observation[:, 3] + 0.05 * observation[:, 1] > 0).astype(np.intp)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_id", "vectorised", "policy"), [("CartPole-v1", CartPoleBatch, balance), ("Acrobot-v1", AcrobotBatch, pump)]
)
def test_numpy_dynamics_equal_gymnasium_bit_for_bit(task_id, vectorised, policy):
    settings, batch = TaskSettings(task_id), 7
    fast, slow = make_batched_task(settings, batch), GymnasiumBatch(settings, batch)
    assert isinstance(fast, vectorised)
    assert (fast.inputs, fast.actions, fast.batch) == (slow.inputs, slow.actions, batch)
    random = np.random.default_rng(3)
    # Rows differ in how often they act at random, so some episodes end early and some at the time limit.
    carelessness = np.array([0.0, 0.0, 0.05, 0.2, 0.5, 0.9, 1.0])

    rows = np.arange(batch)
    seeds = [episode_seed(9, row) for row in range(batch)]
    observation = fast.reset(rows, seeds)
    assert np.array_equal(observation, slow.reset(rows, seeds))
    terminations = truncations = 0
    for step in range(3000):
        at_random = random.integers(0, fast.actions, batch)
        actions = np.where(random.random(batch) < carelessness, at_random, policy(observation))
        result = fast.step(actions)
        for mine, theirs in zip(result, slow.step(actions), strict=True):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs), f"step {step}"
        observation, _, terminated, truncated = result
        terminations, truncations = terminations + terminated.sum(), truncations + truncated.sum()
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            seeds = [episode_seed(step, int(row)) for row in ended]
            observation[ended] = fast.reset(ended, seeds)
            assert np.array_equal(observation[ended], slow.reset(ended, seeds))
    assert terminations >= 20
    assert truncations >= 3


@pytest.mark.slow
@pytest.mark.parametrize("action_scale", [None, -1])
def test_the_pendulum_equals_gymnasium_bit_for_bit(action_scale):
    settings, batch = TaskSettings("Pendulum-v1", action_scale=action_scale), 25
    fast, slow = make_batched_task(settings, batch), GymnasiumBatch(settings, batch)
    assert isinstance(fast, PendulumBatch)
    assert (fast.inputs, fast.actions, fast.batch, fast.continuous) == (slow.inputs, slow.actions, batch, True)
    random = np.random.default_rng(4)
    rows = np.arange(batch)
    # From nearly nothing to torques beyond the limit.
    size = np.geomspace(0.01, 4.0, batch)[:, None]
    for episode in range(10):
        seeds = [episode_seed(episode, row) for row in range(batch)]
        assert np.array_equal(fast.reset(rows, seeds), slow.reset(rows, seeds))
        for step in range(200):
            actions = size * random.normal(size=(batch, 1))
            results = fast.step(actions), slow.step(actions)
            for mine, theirs in zip(*results, strict=True):
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs), f"episode {episode}, step {step}"
        assert results[0][3].all()
    slow.close()


def test_kept_pendulums_go_on_as_if_alone():
    settings = TaskSettings("Pendulum-v1")
    three, one = make_batched_task(settings, 3), make_batched_task(settings, 1)
    three.reset(np.arange(3), [11, 12, 13])
    one.reset(np.arange(1), [13])
    three.keep(np.array([2, 0]))
    for torque in (0.3, -2.0, 0.0, 1.5):
        both, alone = three.step(np.array([[torque], [1.0]])), one.step(np.array([[torque]]))
        for mine, theirs in zip(both, alone, strict=True):
            assert np.array_equal(mine[:1], theirs)


@pytest.mark.parametrize("task_id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "NRL/Reaching1D-v0"])
def test_kept_rows_go_on_as_if_alone(task_id):
    settings = TaskSettings(task_id)
    three, one = make_batched_task(settings, 3), make_batched_task(settings, 1)
    three.reset(np.arange(3), [11, 12, 13])
    one.reset(np.arange(1), [13])
    three.step(np.array([0, 1, 1]))
    one.step(np.array([1]))
    three.keep(np.array([2, 0]))
    assert three.batch == 2
    for action in (0, 1, 1, 0):
        both, alone = three.step(np.array([action, 1])), one.step(np.array([action]))
        for mine, theirs in zip(both, alone, strict=True):
            assert np.array_equal(mine[:1], theirs)
    three.close()


def test_arguments_choose_gymnasium_itself():
    batch = make_batched_task(TaskSettings("CartPole-v1", {"sutton_barto_reward": True}), 2)
    assert isinstance(batch, GymnasiumBatch)
    batch.reset(np.arange(2), [0, 1])
    assert batch.step(np.array([0, 1]))[1].tolist() == [0.0, 0.0]


def test_an_empty_batch_is_refused():
    with pytest.raises(ConfigurationError, match="batch = 0"):
        make_batched_task(TaskSettings("CartPole-v1"), 0)
