"""The online reference agent: a case by hand, its critic against float64, its bounds, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint import actor_critic as integer
from nrl_edge.fixedpoint.actor_critic import ActorCriticAgent, product_16
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.arithmetic import round_shift
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.learning import LearningSettings, episodes_to_threshold
from nrl_edge.learning import actor_critic as floating
from nrl_edge.lockstep import Lockstep
from nrl_edge.runs import snapshot_info, snapshot_weights
from nrl_edge.tasks import make_task

INT16, TINY = Formats(16, 10, 12, 8, 8), Formats(8, 10, 5, 1, 8)


def online(inputs: int = 1, hidden: tuple[int, ...] = (1,), formats: Formats = INT16, **changes) -> AgentConfiguration:
    return AgentConfiguration(
        inputs, hidden, 2, formats, learning_rate_exponent=1, clip_exponent=3, preset="actor-critic", **changes
    )


ONE = np.array([1024], np.int16)


def agent_with_known_weights(step_bytes: bytes) -> ActorCriticAgent:
    """1-1-2 with weights 1.0 and +-0.5, as in test_reference.py."""
    agent = ActorCriticAgent(online(), EntropySettings("replay", recording=b"\0\0" + step_bytes))
    agent.weights = [np.array([[4096]]), np.array([[2048], [-2048]])]
    return agent


def test_one_step_and_an_end_worked_out_by_hand() -> None:
    agent = agent_with_known_weights(bytes([1, 0, 0, 128, 0, 255]))
    assert agent.step(ONE, 0, False, False) == 0
    # phi = (1, 1, 1), P = 2, n = 8: 1/8 in Q28 three times
    assert agent.critic.peak == 2 << 14
    assert agent.critic.trace.tolist() == [1 << 25] * 3
    # d = 1102 and errors 4407, -4406 as in test_reference.py: (1102 * 1024 + 2^13) >> 14 = 69, the others 69 and -69
    assert [trace.tolist() for trace in agent.traces] == [[[69]], [[69], [-69]]]

    # The first reward, 2.0, makes V = 2.0 = 65536; delta = 512 - 65536 = -65024, q = -8128, D = -32767
    # v: 512 * -8128 >> 3 = -520192; Q = 3 * 69^2 = 14283, h = -9, isqrt = 61189, y = 31, room = 15 + 8 + 1 + 9 - 3 = 30
    # n = 13: -32767 * 69 = -2260923, >> 5 = -70654; with bytes 128, 0, 255: -276, -276 and +276
    assert agent.step(ONE, 512, True, False) == EPISODE_ENDED
    assert agent.critic.weights.tolist() == [(1 << 25) - 520192, -520192, -520192]
    assert [matrix.tolist() for matrix in agent.weights] == [[[3820]], [[1772], [-1772]]]
    assert not any(trace.any() for trace in (*agent.traces, agent.critic.trace))
    assert (agent.block_delta, agent.block_steps, agent.critic.peak) == (0, 0, 0)
    assert (agent.episodes, agent.steps, agent.episode_return) == (1, 1, 512)


def test_a_time_limit_counts_the_value_of_the_last_observation() -> None:
    agent = agent_with_known_weights(bytes([1, 0, 0, 128, 0, 255]))
    agent.step(ONE, 0, False, False)
    # V = V' = 2.0, as the constant alone is not zero: delta = 512 + 65536 - 512 - 65536 = 0, and nothing is learned
    assert agent.step(np.array([-7000], np.int16), 512, False, True) == EPISODE_ENDED
    assert agent.critic.weights.tolist() == [1 << 25, 0, 0]
    assert [matrix.tolist() for matrix in agent.weights] == [[[4096]], [[2048], [-2048]]]


def test_a_block_of_four_steps_halves_the_traces_by_the_lowest_bit_of_each_byte() -> None:
    agent = agent_with_known_weights(bytes([1, 0, 0] * 4 + [255, 0, 128] + [1, 0, 0]))
    agent.step(ONE, 0, False, False)
    for _ in range(3):
        agent.step(ONE, 256, False, False)
    hidden, up, down = (int(trace) for trace in (agent.traces[0][0, 0], *agent.traces[1][:, 0]))
    assert (hidden, up, down) == (4 * 69, 4 * 69, -4 * 69), "no update so far: each step is the same"
    agent.traces[0][0, 0] = 277
    agent.traces[1][0, 0] = 277
    # The last draw fails, so the next step adds nothing: 277 is halved up with byte 255 and down with byte 0.
    agent._entropy._recording = agent._entropy._recording[:-3]
    agent.step(ONE, 256, False, False)
    assert [trace.ravel().tolist() for trace in agent.traces] == [[139], [138, -138]]
    assert (agent.block_delta, agent.block_steps, agent.counters().entropy) == (0, 0, 1)


def test_a_failed_draw_ends_an_update_where_it_is() -> None:
    agent = agent_with_known_weights(bytes([1, 0, 0, 128]))
    agent.step(ONE, 0, False, False)
    agent.step(ONE, 512, True, False)
    assert [matrix.tolist() for matrix in agent.weights] == [[[3820]], [[2048], [-2048]]]
    assert agent.counters().entropy == 1
    assert agent.critic.weights[1] == -520192, "the critic needs no entropy"


def test_the_number_of_bytes_drawn_does_not_depend_on_data() -> None:
    for formats, per_step in ((INT16, 2 + 3 + 2), (TINY, 2 + 3 + 2 + 5 + 9 + 17)):
        configuration = online(5, (9, 17), formats)
        for reward, observation in ((0, np.zeros(5, np.int16)), (300, np.full(5, 2000, np.int16))):
            agent = ActorCriticAgent(configuration, EntropySettings(seed=1))
            drawn = 2 * (5 * 9 + 9 * 17)
            for step in range(1, 11):
                agent.step(observation, reward, False, False)
                # Learning comes with the call after a step: four rewards have come at calls 5 and 9.
                drawn += per_step + (configuration.parameters if step in (5, 9) else 0)
                assert agent._entropy.bytes_drawn == drawn
            agent.step(observation, reward, True, False)
            assert agent._entropy.bytes_drawn == drawn + configuration.parameters


def test_products_are_exact_and_stay_within_32_bits() -> None:
    rng = np.random.default_rng(1)
    limit = 1 << 31
    for a in (*rng.integers(-limit, limit, 2000).tolist(), -limit, limit - 1, 65535, -65536):
        for b in (*rng.integers(-32768, 32768, 20).tolist(), -32768, 32767):
            high, low = (a >> 16) * b, (a & 65535) * b + 32768
            assert -limit <= low < limit and -limit <= high < limit
            assert high + (low >> 16) == round_shift(a * b, 16) == product_16(a, b)


@settings(deadline=None, max_examples=60)
@given(
    frac_bits=st.integers(7, 14),
    reward_frac_bits=st.integers(0, 16),
    features=st.sampled_from(["products", "squares"]),
    seed=st.integers(0, 1 << 32),
    scale=st.sampled_from([1, 100, 4000, 32768]),
)
def test_nothing_of_the_critic_leaves_its_range(frac_bits, reward_frac_bits, features, seed, scale) -> None:
    formats = Formats(16, frac_bits, 12, 8, reward_frac_bits)
    agent = ActorCriticAgent(online(6, (3,), formats, critic_features=features), EntropySettings(seed=1))
    rng = np.random.default_rng(seed)
    limit = (1 << 22) - 1
    for step in range(40):
        observation = rng.integers(-scale, scale, 6).astype(np.int16)
        reward = int(rng.choice([-limit, -256, 0, 256, limit]))
        agent.step(observation, reward, bool(step % 17 == 16), False)
        critic = agent.critic
        assert int(np.abs(critic.trace).max()) < 1 << 31
        assert int(np.abs(critic.weights).max()) <= 1 << 30
        assert abs(critic.value(observation.astype(np.int64))) <= 1 << 21
        assert 0 <= critic.peak < 1 << 31
        assert abs(agent.block_delta) <= 32767


@pytest.mark.parametrize("features", ["products", "squares"])
@pytest.mark.parametrize(("frac_bits", "largest"), [(10, 3.0), (9, 12.0), (7, 60.0)])
def test_the_critic_computes_what_the_float_critic_does(features, frac_bits, largest) -> None:
    formats = replace(INT16, observation_frac_bits=frac_bits)
    fixed = integer.Critic(online(4, (8,), formats, critic_features=features))
    exact = floating.Critic(4, 1, LearningSettings(preset="actor-critic", critic_features=features))
    rng = np.random.default_rng(3)
    observation = np.zeros(4, np.int64)
    for step in range(400):
        observation = np.clip(observation + rng.normal(0, largest / 8, 4) * 2**frac_bits, -largest * 2**frac_bits, None)
        observation = np.minimum(observation, largest * 2**frac_bits).astype(np.int64)
        following = np.maximum(observation - 2 ** (frac_bits - 1), -(1 << 15))
        reward, end = int(rng.integers(-256, 257)), step % 50 == 49
        fixed.see(observation)
        exact.see(observation[None] / 2**frac_bits)
        if step == 0:
            fixed.set_first_value(reward)
        fixed_delta = fixed.learn(reward, 0 if end else fixed.value(following))
        exact_delta = exact.learn(np.array([reward / 256]), np.array([end]), following[None] / 2**frac_bits)
        assert fixed_delta / 2**15 == pytest.approx(float(exact_delta[0]), abs=0.02), step
        if end:
            fixed.forget_episode()
            exact.episode_ended(slice(None))
    assert fixed.weights / 2**24 == pytest.approx(exact.weights[0], abs=0.01)


@pytest.mark.parametrize("formats", [INT16, TINY])
def test_a_snapshot_resumes_exactly(formats: Formats) -> None:
    configuration = online(3, (8, 5), formats)
    rng = np.random.default_rng(5)

    def episodes(agent: ActorCriticAgent, stream: np.ndarray) -> None:
        for episode in stream:
            for step, observation in enumerate(episode):
                last = step == len(episode) - 1
                agent.step(observation, int(observation[0]), last and observation[1] > 0, last)

    stream = rng.integers(-3000, 3000, (12, 7, 3)).astype(np.int16)
    whole = ActorCriticAgent(configuration, EntropySettings(seed=9))
    episodes(whole, stream)
    first = ActorCriticAgent(configuration, EntropySettings(seed=9))
    episodes(first, stream[:5])
    second = ActorCriticAgent(configuration, EntropySettings(seed=1))
    # An open episode is dropped.
    episodes(second, stream[:2])
    second.step(stream[0, 0], 0, False, False)
    second.step(stream[0, 1], 100, False, False)
    second.restore(first.snapshot())
    episodes(second, stream[5:])
    assert second.snapshot() == whole.snapshot()
    assert len(whole.snapshot()) == configuration.snapshot_bytes == 76 + configuration.weight_bytes + 4 * 10
    assert snapshot_info(whole.snapshot()).weights_crc32 == whole.weights_crc32()
    scale = 1 << formats.weight_frac_bits
    for stored, weights in zip(snapshot_weights(whole.snapshot(), configuration), whole.weights, strict=True):
        assert np.array_equal(stored * scale, weights)


def test_a_snapshot_with_a_critic_beyond_its_range_changes_nothing() -> None:
    agent = ActorCriticAgent(online(), EntropySettings(seed=1))
    before = agent.snapshot()
    agent.critic.weights[2] = (1 << 30) + 1
    damaged = agent.snapshot()
    agent.critic.weights[2] = 0
    with pytest.raises(ConfigurationError, match="critic is beyond"):
        agent.restore(damaged)
    assert agent.snapshot() == before


def test_identities_of_edge_agents_stay_and_those_of_online_agents_are_new() -> None:
    edge = AgentConfiguration(4, (64,), 2)
    assert edge.description == "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed"
    products, squares = online(4, (64,)), online(4, (64,), critic_features="squares")
    assert products.description == (
        "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=8 Fr=8 K=1 C=3 reward=delayed preset=actor-critic critic=products"
    )
    assert (products.critic_parameters, squares.critic_parameters, edge.critic_parameters) == (15, 9, 0)
    assert len({edge.identity, products.identity, squares.identity}) == 3
    assert isinstance(reference_agent(edge, EntropySettings()), ReferenceAgent)
    assert isinstance(reference_agent(products, EntropySettings()), ActorCriticAgent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"immediate_reward": True}, "learns at every step by itself"),
        ({"formats": Formats(16, 6, 12, 8, 8)}, "least 7"),
        ({"preset": "critic"}, "allowed are edge, actor-critic"),
        ({"critic_features": "fourth"}, "allowed are products, squares, cubes"),
        ({"preset": "edge", "critic_features": "squares"}, "edge agent has no critic"),
    ],
)
def test_agents_that_cannot_be_are_refused(changes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(online(4, (8,)), **changes)


@pytest.mark.slow
@pytest.mark.parametrize("formats", [INT16, TINY], ids=["int16", "tiny"])
def test_it_learns_cartpole(formats: Formats) -> None:
    """One seed: the generated C computes the same, and learns from many more in the studies."""
    seed = 70001
    task = make_task("CartPole-v1", None, (0, 0, 3, 0))
    agent = ActorCriticAgent(online(4, (64,), formats), EntropySettings(seed=seed))
    lockstep = Lockstep(agent, task, seed)
    returns = np.array([lockstep.run_episode(episode).episode_return for episode in range(190)])
    assert episodes_to_threshold(returns, 475.0) is not None
    task.close()
