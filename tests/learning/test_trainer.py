"""The trainer: bookkeeping, independence of the batch, errors, and that the rules learn."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.learning import (
    EpisodeRecord,
    LearningSettings,
    episodes_to_threshold,
    lowest_mean_after_threshold,
    train,
)
from nrl_edge.learning.network import initial_weights
from nrl_edge.learning.streams import BLOCK_STEPS, RandomStreams, agent_generator
from nrl_edge.learning.traces import EligibilityTraces
from nrl_edge.tasks import TaskSettings, episode_seed, make_task, task_defaults

CARTPOLE = TaskSettings("CartPole-v1", {}, (0, 0, 3, 0), 475.0)

KINDS = {
    "edge": LearningSettings(),
    "edge with three draws": LearningSettings(noise_draws=3),
    "edge immediate": LearningSettings(reward="immediate", learning_rate=2.0**-9),
    "paper": LearningSettings(preset="paper", learning_rate=5e-3, clip=None),
    "paper noisy only": LearningSettings(preset="paper", learning_rate=5e-3, clip=None, noisy_passes=2),
    "paper gaussian": LearningSettings(preset="paper", learning_rate=5e-3, clip=None, noise="gaussian"),
    "paper immediate": LearningSettings(preset="paper", learning_rate=5e-3, clip=0.1, reward="immediate"),
    "rmhl": LearningSettings(rule="rmhl", preset="paper", sigma=0.1, clip=None, noise="gaussian"),
    "rmhl moving average": LearningSettings(rule="rmhl", sigma=0.1, noise_estimate="moving_average"),
    "reinforce": LearningSettings(rule="reinforce"),
    "actor-critic": LearningSettings(preset="actor-critic"),
    "actor-critic with two draws": LearningSettings(preset="actor-critic", noise_draws=2),
    "actor-critic squares": LearningSettings(preset="actor-critic", critic_features="squares", block_steps=3),
    "actor-critic reinforce": LearningSettings(rule="reinforce", preset="actor-critic", optimistic_start=False),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("task", "hidden"), [(CARTPOLE, (16,)), (TaskSettings("Acrobot-v1"), (8, 9))])
def test_an_agent_learns_the_same_in_any_batch(kind, task, hidden):
    seeds = [3, 14, 15, 92, 65]
    episodes = 40 if task is CARTPOLE else 3
    # Different constants a seed: agents leave the batch at different times and learn at different rates.
    settings = [
        replace(KINDS[kind], episodes=episodes, learning_rate=KINDS[kind].learning_rate * (1.0 + 0.1 * index))
        for index in range(5)
    ]
    together = train(task, hidden, settings, seeds)
    for index, seed in enumerate(seeds):
        alone = train(task, hidden, settings[index], [seed])
        assert np.array_equal(alone.returns[0], together.returns[index])
        assert np.array_equal(alone.lengths[0], together.lengths[index])
        for mine, theirs in zip(alone.weights, together.weights, strict=True):
            assert np.array_equal(mine[0], theirs[index])
    for initial, final in zip(together.initial_weights, together.weights, strict=True):
        assert (initial != final).reshape(5, -1).any(axis=1).all() or task is not CARTPOLE, "something was learned"


def test_gymnasium_itself_gives_the_same_run_as_the_numpy_dynamics():
    settings = LearningSettings(episodes=15)
    fast = train(CARTPOLE, (8,), settings, [1, 2])
    # An explicit default argument makes the trainer use gymnasium's environments.
    slow = train(replace(CARTPOLE, kwargs={"sutton_barto_reward": False}), (8,), settings, [1, 2])
    assert np.array_equal(fast.returns, slow.returns)
    assert all(np.array_equal(a, b) for a, b in zip(fast.weights, slow.weights, strict=True))


def test_the_first_episode_starts_where_its_seed_says_and_learns_nothing():
    result = train(CARTPOLE, (8,), LearningSettings(episodes=1), [5])
    # Nothing is learned in episode 0, so it can be played again by hand from the recorded initial weights.
    assert all(np.array_equal(a, b) for a, b in zip(result.initial_weights, result.weights, strict=True))
    assert (result.weights[1] == 0.0).all(), "the output starts at zero"
    generator = agent_generator(5)
    assert np.array_equal(initial_weights((4, 8, 2), [generator])[0], result.weights[0])
    streams = RandomStreams([generator], 8, "sign")
    task = make_task("CartPole-v1")
    task.reset(episode_seed(5, 0))
    steps, ended = 0, False
    while not ended:
        # A zero output layer chooses both actions with probability 1/2.
        _, uniform = streams.next()
        _, _, terminated, truncated = task.step(int(uniform[0] >= 0.5))
        steps, ended = steps + 1, terminated or truncated
    assert result.returns[0, 0] == result.lengths[0, 0] == result.steps[0] == steps


def test_seeds_that_are_worked_out_ahead_are_those_of_every_episode(monkeypatch):
    settings = LearningSettings(episodes=17)
    at_once = train(CARTPOLE, (8,), settings, [1, 2, 3])
    monkeypatch.setattr("nrl_edge.learning.trainer.EPISODES_AHEAD", 3)
    in_threes = train(CARTPOLE, (8,), settings, [1, 2, 3])
    assert np.array_equal(at_once.returns, in_threes.returns)


def test_progress_is_told_every_episode_in_order():
    records: list[EpisodeRecord] = []
    result = train(CARTPOLE, (8,), LearningSettings(episodes=7), [1, 2, 3], records.append)
    assert len(records) == 21
    for agent in range(3):
        own = [record for record in records if record.agent == agent]
        assert [record.episode for record in own] == list(range(7))
        assert [record.episode_return for record in own] == result.returns[agent].tolist()
        assert [record.episode_steps for record in own] == result.lengths[agent].tolist()
    assert [record.agent_steps for record in records] == sorted(record.agent_steps for record in records)
    assert records[-1].agent_steps == result.steps.sum()
    assert result.agent_steps_per_second > 0


class ScriptedRewards(gymnasium.Env):
    """Two steps an episode. Rewards come from a list, whatever the action."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, rewards: list[float]) -> None:
        self.rewards = iter(rewards)
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.array([1.0], dtype=np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.array([1.0], dtype=np.float32), next(self.rewards), self.steps == 2, False, {}


@pytest.fixture
def prediction_errors(monkeypatch):
    """Every prediction error that the trainer hands to the rule."""
    from nrl_edge.learning.nrl import NrlEdge

    seen: list[float] = []
    learn = NrlEdge.learn

    def spy(self, rows, prediction_error):
        seen.extend(prediction_error.tolist())
        learn(self, rows, prediction_error)

    monkeypatch.setattr(NrlEdge, "learn", spy)
    gymnasium.register("ScriptedRewards-v0", entry_point=ScriptedRewards)
    yield seen
    del gymnasium.registry["ScriptedRewards-v0"]


def test_delayed_prediction_errors_by_hand(prediction_errors):
    rewards = [1.0, 1.0, 3.0, 1.0, 0.0, 0.0, -5.0, 1.0]
    train(
        TaskSettings("ScriptedRewards-v0", {"rewards": rewards}), (2,), LearningSettings(episodes=4, gamma_avg=0.5), [0]
    )
    # Returns 2, 4, 0, -4. Rbar = 2; RPE (4 - 2) / 4, Rbar = 3; RPE (0 - 3) / |3|, Rbar = 1.5; RPE (-4 - 1.5) / 4.
    assert prediction_errors == [0.0, 0.5, -1.0, -1.375]


def test_immediate_prediction_errors_by_hand(prediction_errors):
    settings = LearningSettings(episodes=2, gamma_avg=0.5, reward="immediate")
    train(TaskSettings("ScriptedRewards-v0", {"rewards": [1.0, 3.0, 2.0, 0.0]}), (2,), settings, [0])
    # rbar starts at 0 in each trial: 1 - 0; 3 - 0.5; then again 2 - 0; 0 - 1.
    assert prediction_errors == [1.0, 2.5, 2.0, -1.0]


def test_threshold_is_the_mean_of_the_last_100():
    returns = np.concatenate([np.zeros(50), np.full(150, 10.0)])
    assert episodes_to_threshold(returns, 10.0) == 150
    assert episodes_to_threshold(returns, 5.0) == 100
    assert episodes_to_threshold(returns, 5.1) == 101
    assert episodes_to_threshold(returns, 10.1) is None
    assert episodes_to_threshold(returns, None) is None
    assert episodes_to_threshold(returns[:99], 0.0) is None


def test_a_fall_after_the_threshold_is_seen_and_one_before_it_is_not():
    returns = np.concatenate([np.full(100, 2.0), np.full(100, 10.0), np.full(50, 4.0), np.full(200, 12.0)])
    assert lowest_mean_after_threshold(returns, 10.0) == 7.0
    assert lowest_mean_after_threshold(returns, 12.0) == 12.0
    assert lowest_mean_after_threshold(returns, 12.1) is None
    assert lowest_mean_after_threshold(returns, None) is None


def test_traces_of_any_number_of_steps_are_the_sum_of_outer_products():
    random = np.random.default_rng(0)
    traces = EligibilityTraces((3, 4, 2), 2, block_steps=8)
    expected = [np.zeros((2, 4, 3)), np.zeros((2, 2, 4))]
    for step in range(30):
        for layer, (post_units, pre_units) in enumerate(((4, 3), (2, 4))):
            post, pre = random.normal(size=(2, post_units)), random.normal(size=(2, pre_units))
            traces.record(layer, post, pre)
            expected[layer] += post[:, :, None] * pre[:, None, :]
        if step in (3, 7, 20):
            for taken, sums in zip(traces.take(np.array([1])), expected, strict=True):
                assert taken == pytest.approx(sums[[1]], rel=1e-12, abs=1e-14)
                sums[1] = 0.0
        traces.advance()
    for taken, sums in zip(traces.take(slice(None)), expected, strict=True):
        assert taken == pytest.approx(sums, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("units", [1, 3, 64])
def test_signs_are_the_bits_of_the_generators_bytes(units):
    # What published tables were made with: the bytes of a block, the highest bit of each first.
    streams, generator = RandomStreams([agent_generator(7)], units, "sign"), agent_generator(7)
    for _ in range(2):
        bits = np.unpackbits(np.frombuffer(generator.bytes(BLOCK_STEPS * units // 8), dtype=np.uint8))
        signs, uniform = 2.0 * bits.reshape(BLOCK_STEPS, units) - 1.0, generator.random(BLOCK_STEPS)
        for step in range(BLOCK_STEPS):
            noise, number = streams.next()
            assert np.array_equal(noise[0], signs[step]) and number[0] == uniform[step]


def test_one_agent_learns_as_several_do_to_the_last_bit(monkeypatch):
    # Few agents whose episodes end together learn one by one; more of them learn in one go.
    settings = LearningSettings(episodes=25)
    one_by_one = train(CARTPOLE, (8, 5), settings, range(6))
    monkeypatch.setattr("nrl_edge.learning.nrl.LEARN_ONE_BY_ONE", 0)
    together = train(CARTPOLE, (8, 5), settings, range(6))
    assert np.array_equal(one_by_one.returns, together.returns)
    assert all(np.array_equal(a, b) for a, b in zip(one_by_one.weights, together.weights, strict=True))


def test_runs_are_those_that_tables_were_published_with():
    # A run as it was before the trainer was made faster.
    result = train(CARTPOLE, (16,), LearningSettings(episodes=40), [1, 2])
    assert result.returns.sum(axis=1).tolist() == [1928.0, 1068.0]


@pytest.mark.parametrize("kind", ["sign", "gaussian"])
def test_streams_are_standardised_and_each_agents_own(kind):
    steps = BLOCK_STEPS + 10
    batch = RandomStreams([agent_generator(seed) for seed in (1, 2)], 30, kind)
    alone = RandomStreams([agent_generator(2)], 30, kind)
    noise, uniform = [], []
    for _ in range(steps):
        both, single = batch.next(), alone.next()
        assert np.array_equal(both[0][1], single[0][0]) and both[1][1] == single[1][0]
        noise.append(both[0])
        uniform.append(both[1])
    noise, uniform = np.array(noise), np.array(uniform)
    assert abs(noise.mean()) < 0.03 and noise.var() == pytest.approx(1.0, abs=0.05)
    assert set(np.unique(noise)) == {-1.0, 1.0} or kind == "gaussian"
    assert uniform.min() >= 0.0 and uniform.max() < 1.0 and uniform.mean() == pytest.approx(0.5, abs=0.05)
    assert not np.array_equal(noise[:, 0], noise[:, 1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "nlr"},
        {"preset": "board"},
        {"reward": "none"},
        {"episodes": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip": -1.0},
        {"sigma": float("inf")},
        {"gamma_avg": 1.5},
        {"noisy_passes": -1},
        {"noise_draws": 0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        LearningSettings(**wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "no seeds"),
        ({"seeds": [-1]}, "seed -1 is negative"),
        ({"hidden": ()}, r"hidden = \[\]"),
        ({"settings": [LearningSettings()]}, "1 learning settings for 2 seeds"),
        ({"settings": [LearningSettings(), LearningSettings(rule="rmhl")]}, "agents 0 and 1 differ in more than"),
    ],
)
def test_wrong_calls_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        train(**{"task": CARTPOLE, "hidden": (4,), "settings": LearningSettings(), "seeds": [0, 1], **arguments})


def test_divergence_ends_the_run_with_an_error():
    settings = LearningSettings(rule="reinforce", preset="paper", learning_rate=1e200, clip=None, episodes=50)
    with pytest.raises(RunError, match="learning rate is too high"):
        train(CARTPOLE, (8, 8), settings, [0, 1])


@pytest.mark.slow
def test_edge_learns_cartpole():
    defaults = task_defaults("cartpole")
    settings = LearningSettings(learning_rate=defaults.learning_rate, clip=defaults.clip, episodes=500)
    result = train(defaults.task_settings(), (64,), settings, [70001, 70002])
    assert all(episodes is not None and episodes <= 450 for episodes in result.episodes_to_threshold)


@pytest.mark.slow
def test_hidden_layers_earn_their_credit():
    # 64 units solve CartPole with the hidden layer frozen as well; two layers of 8 need theirs to learn.
    settings = LearningSettings(learning_rate=2.0**-6, clip=0.5, episodes=500)
    seeds = list(range(70001, 70009))
    learned = train(CARTPOLE, (8, 8), settings, seeds).returns[:, -100:].mean(axis=1)
    frozen = train(CARTPOLE, (8, 8), replace(settings, freeze_hidden=True), seeds).returns[:, -100:].mean(axis=1)
    assert np.median(learned) > 400.0
    assert np.median(frozen) < 200.0


@pytest.mark.slow
def test_paper_learns_cartpole():
    settings = LearningSettings(preset="paper", learning_rate=5e-3, clip=None, noise="gaussian", episodes=500)
    result = train(CARTPOLE, (64,), settings, [70001, 70002, 70003, 70004])
    best = [max(np.convolve(returns, np.ones(100) / 100, "valid")) for returns in result.returns]
    assert np.median(best) > 150.0, "a random policy balances for about 22 steps"


@pytest.mark.slow
def test_reinforce_learns_cartpole():
    settings = LearningSettings(rule="reinforce", learning_rate=2.0**-6, clip=0.25, episodes=500)
    result = train(CARTPOLE, (64,), settings, [70001, 70002])
    assert all(episodes is not None for episodes in result.episodes_to_threshold)
