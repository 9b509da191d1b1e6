"""The online rule: the critic by hand, the actor's blocks against a literal loop, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.learning import LearningSettings, train
from nrl_edge.learning.actor_critic import ActorCritic, ActorCriticNrl, ActorCriticReinforce, Critic, feature_pairs
from nrl_edge.learning.nrl import NrlEdge
from nrl_edge.learning.reinforce import Reinforce
from nrl_edge.learning.streams import agent_generator
from nrl_edge.tasks import task_defaults

SETTINGS = LearningSettings(preset="actor-critic")
YES, NO = np.array([True]), np.array([False])


def after_one_step(**changes) -> Critic:
    """A critic of one input that saw 2, got reward 1 and then saw 1."""
    critic = Critic(1, 1, replace(SETTINGS, **changes))
    critic.see(np.array([[2.0]]))
    # The first reward makes V = 1 everywhere; a reward of 1 is then what was expected.
    assert critic.learn(np.array([1.0]), NO, np.array([[1.0]])).tolist() == [0.0]
    critic.see(np.array([[1.0]]))
    return critic


def test_the_critic_by_hand():
    critic = after_one_step()
    # phi = (1, 2, 4) with P = 1 + 4 and P^2 = 25, so n = 32; then phi = (1, 1, 1), P = 5 - 5/128 = 4.96, n = 32.
    trace = 51 / 64 * np.array([1.0, 2.0, 4.0]) / 32 + np.ones(3) / 32
    assert critic.trace[0] == pytest.approx(trace, rel=1e-15)
    assert critic.learn(np.zeros(1), YES, np.array([[7.0]])).tolist() == [-1.0], "nothing is expected of an end"
    assert critic.weights[0] == pytest.approx(np.array([1.0, 0.0, 0.0]) - trace / 8, rel=1e-15)
    critic.episode_ended(slice(None))
    assert not critic.trace.any() and not critic.peak.any()


def test_a_time_limit_is_not_an_end():
    critic = after_one_step()
    assert critic.learn(np.zeros(1), NO, np.array([[7.0]])) == pytest.approx([127 / 128 - 1.0], rel=1e-12)


@pytest.mark.parametrize(("reward", "optimistic", "first"), [(-3.0, True, 0.0), (-3.0, False, -3.0), (2.0, True, 2.0)])
def test_where_values_start(reward, optimistic, first):
    critic = Critic(2, 1, replace(SETTINGS, optimistic_start=optimistic))
    critic.see(np.zeros((1, 2)))
    delta = critic.learn(np.array([reward]), YES, np.zeros((1, 2)))
    assert delta == pytest.approx([reward / 128 - first])


def test_features_are_products_or_squares():
    assert [pair.tolist() for pair in feature_pairs(3, "products")] == [[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    assert [pair.tolist() for pair in feature_pairs(3, "squares")] == [[0, 1, 2], [0, 1, 2]]
    critic = Critic(4, 2, SETTINGS)
    critic.see(np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]))
    assert critic.features.tolist() == [
        [1, 1, 2, 3, 4, 1, 2, 3, 4, 4, 6, 8, 9, 12, 16],
        [1, *[0] * 14],
    ]


@pytest.mark.parametrize(("kind", "gradient_of"), [(ActorCriticNrl, NrlEdge), (ActorCriticReinforce, Reinforce)])
@pytest.mark.parametrize("limit", [0.01, None])
def test_blocks_of_four_steps_against_a_literal_loop(kind: type[ActorCritic], gradient_of, limit):
    sizes, settings = (3, 5, 4, 2), replace(SETTINGS, update_norm=limit)
    rule = kind(sizes, [settings], [agent_generator(1)])
    rng = np.random.default_rng(2)
    rule.weights = [rng.normal(size=weights.shape) for weights in rule.weights]
    z = [np.zeros_like(weights) for weights in rule.weights]
    total, halvings = 0.0, 0
    observation = rng.normal(size=(1, 3))
    for step in range(1, 15):
        noise, uniform = rng.choice([-1.0, 1.0], (1, rule.noise_units)), rng.random(1)
        twin = gradient_of(sizes, [replace(settings, preset="edge")], [agent_generator(1)])
        twin.weights = [weights.copy() for weights in rule.weights]
        assert twin.act(observation, noise, uniform) == rule.act(observation, noise, uniform)
        for mine, g in zip(z, twin.traces.take(slice(None)), strict=True):
            mine += g

        reward, following, terminated = rng.normal(size=1), rng.normal(size=(1, 3)), np.array([step == 10])
        before = [weights.copy() for weights in rule.weights]
        value = rule.critic._value(rule.critic.features)[0] if step > 1 else max(reward[0], 0.0)
        next_value = rule.critic._value(rule.critic._features(following))[0] if step > 1 else value
        total += reward[0] / 128 + (0.0 if terminated[0] else 127 / 128 * next_value) - value
        rule.observe(reward, terminated, NO, following)
        if step in (4, 8, 10, 14):
            # Step 10 ends the episode, and with it a block of two steps.
            change = 0.5 * total
            norm = math.sqrt(sum(float((trace**2).sum()) for trace in z))
            while limit is not None and abs(change) * norm > limit:
                change, halvings = change / 2, halvings + 1
            for old, new, trace in zip(before, rule.weights, z, strict=True):
                assert new == pytest.approx(old + change * trace, rel=1e-9, abs=1e-12)
            z = [trace * (0.0 if step == 10 else 0.5) for trace in z]
            total = 0.0
        else:
            assert all(np.array_equal(old, new) for old, new in zip(before, rule.weights, strict=True))
        if step == 10:
            rule.episode_ended(np.array([0]))
        rule.finish_step()
        observation = following
    assert (halvings > 0) == (limit is not None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "rmhl"}, "rmhl has no actor-critic form"),
        ({"reward": "immediate"}, "learns at every step by itself"),
        ({"block_steps": 0}, "block_steps = 0"),
        ({"discount": 1.0}, "discount = 1.0"),
        ({"critic_features": "quartics"}, "allowed are products, squares"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(SETTINGS, **changes)


def test_divergence_ends_the_run_with_an_error():
    settings = replace(SETTINGS, critic_step=64.0, episodes=50)
    with pytest.raises(RunError, match="grew without bounds"):
        train(task_defaults("cartpole").task_settings(), (8,), settings, [0, 1])


@pytest.mark.slow
@pytest.mark.parametrize(("task", "rule"), [("cartpole", "nrl"), ("cartpole", "reinforce"), ("acrobot", "nrl")])
def test_it_learns_in_half_the_episodes_that_edge_needs(task, rule):
    result = train(
        task_defaults(task).task_settings(), (64,), replace(SETTINGS, rule=rule, episodes=180), [70001, 70002]
    )
    assert all(episodes is not None for episodes in result.episodes_to_threshold)


@pytest.mark.slow
def test_hidden_layers_earn_their_credit():
    task, seeds = task_defaults("cartpole").task_settings(), list(range(70001, 70009))
    settings = replace(SETTINGS, episodes=250)
    learned = train(task, (8, 8), settings, seeds).returns[:, -50:].mean(axis=1)
    frozen = train(task, (8, 8), replace(settings, freeze_hidden=True), seeds).returns[:, -50:].mean(axis=1)
    assert np.median(learned) > 400.0
    assert np.median(frozen) < 300.0
