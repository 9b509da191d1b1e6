"""The promise: reference and generated C agree bit for bit after every update, whatever comes in."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from streams import TERMINATED, TRUNCATED, random_configuration, random_online_configuration, random_stream

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.native.agent import NativeAgent

# Large networks cost the reference more an update, so they get fewer; the total is what the promise is tested on.
NETWORKS = 160
ONLINE_NETWORKS = 64
PARAMETERS_TIMES_UPDATES = 4_000_000
TOTAL_UPDATES = 100_000
ONLINE_TOTAL_UPDATES = 20_000


def planned_updates(configuration: AgentConfiguration) -> int:
    rows = sum(shape[0] for shape in configuration.weight_shapes)
    return int(np.clip(PARAMETERS_TIMES_UPDATES / (configuration.parameters + 100 * rows), 60, 2500))


def planned_online_updates(configuration: AgentConfiguration) -> int:
    """A third: an update has up to four steps, each of which teaches the critic."""
    return max(planned_updates(configuration) // 3, 60)


def assert_agreement(configuration: AgentConfiguration, seed: int, updates: int) -> int:
    rng = np.random.default_rng([seed, 1])
    stream = random_stream(rng, configuration, updates)
    reference = reference_agent(configuration, EntropySettings(seed=seed))
    native = NativeAgent(configuration, EntropySettings(seed=seed))
    actions, crcs = native.run_stream(stream.observations, stream.rewards, stream.flags)
    for t in range(len(stream.flags)):
        terminated, truncated = bool(stream.flags[t] & TERMINATED), bool(stream.flags[t] & TRUNCATED)
        action = reference.step(stream.observations[t], int(stream.rewards[t]), terminated, truncated)
        assert action == actions[t], f"{configuration.description}: action differs at call {t}"
        if terminated or truncated or configuration.immediate_reward or configuration.online:
            assert reference.weights_crc32() == crcs[t], f"{configuration.description}: weights differ at call {t}"
    assert reference.counters() == native.counters()
    assert reference.snapshot() == native.snapshot()
    return stream.updates


@pytest.mark.parametrize("seed", range(12))
def test_small_random_networks_agree(seed: int) -> None:
    configuration = random_configuration(np.random.default_rng(1000 + seed), largest_layer=16)
    assert_agreement(configuration, seed, 60)


@pytest.mark.parametrize("seed", range(12))
def test_small_random_online_networks_agree(seed: int) -> None:
    configuration = random_online_configuration(np.random.default_rng(2000 + seed), largest_layer=16)
    assert_agreement(configuration, seed, 60)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_random_online_networks_agree_over_many_updates(part: int) -> None:
    for seed in range(part, ONLINE_NETWORKS, 8):
        configuration = random_online_configuration(np.random.default_rng([3000, seed]))
        assert_agreement(configuration, seed, planned_online_updates(configuration))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_random_networks_agree_over_many_updates(part: int) -> None:
    for seed in range(part, NETWORKS, 16):
        configuration = random_configuration(np.random.default_rng(seed))
        assert_agreement(configuration, seed, planned_updates(configuration))


def test_the_plan_reaches_the_promised_number_of_updates() -> None:
    total = sum(planned_updates(random_configuration(np.random.default_rng(seed))) for seed in range(NETWORKS))
    assert total >= TOTAL_UPDATES
    online = (random_online_configuration(np.random.default_rng([3000, seed])) for seed in range(ONLINE_NETWORKS))
    assert sum(map(planned_online_updates, online)) >= ONLINE_TOTAL_UPDATES


def test_weights_that_reach_the_row_limit_agree() -> None:
    # A large learning rate without a clip drives rows into the limit again and again.
    configuration = AgentConfiguration(16, (24, 12), 4, learning_rate_exponent=0, clip_exponent=None)
    rng = np.random.default_rng(0)
    stream = random_stream(rng, configuration, 300)
    reference = ReferenceAgent(configuration, EntropySettings(seed=1))
    for t in range(len(stream.flags)):
        flags = int(stream.flags[t])
        reference.step(stream.observations[t], int(stream.rewards[t]), bool(flags & 1), bool(flags & 2))
    assert reference.counters().weight > 100
    assert assert_agreement(configuration, 1, 300) >= 300


ONLINE_16 = AgentConfiguration(3, (10, 6), 3, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic")
ONLINE_8 = AgentConfiguration(
    3, (10, 6), 3, Formats(8, 10, 5, 1, 8), 1, 3, preset="actor-critic", critic_features="squares"
)


@pytest.mark.parametrize("frac_bits", [7, 10, 14])
@pytest.mark.parametrize("parameter_bits", [16, 8])
def test_long_online_episodes_agree(parameter_bits: int, frac_bits: int) -> None:
    """Where traces of the critic are at their largest, its peak decays, and its values are at their limit."""
    configuration = AgentConfiguration(
        3, (7,), 3, Formats(parameter_bits, frac_bits, 6, 4, 8), 1, 3, preset="actor-critic"
    )
    rng = np.random.default_rng(frac_bits)
    reference = reference_agent(configuration, EntropySettings(seed=5))
    native = NativeAgent(configuration, EntropySettings(seed=5))
    largest = []
    for episode, size in enumerate((32767, 30, 3000, 1 << frac_bits, 0)):
        steps = 250
        # The same extreme observation for a while, then smaller and smaller ones.
        observations = np.full((steps, 3), [size, -size, size], np.int16)
        noise = rng.integers(-size, size + 1, (steps // 2, 3))
        observations[steps // 2 :] = noise >> (np.arange(steps // 2)[:, None] // 20)
        rewards = rng.choice([0, 256, -(2**22), 2**22, 2**31 - 1], steps).astype(np.int32)
        if episode % 2:
            rewards[:] = 2**22
        flags = np.zeros(steps, np.uint8)
        flags[-1] = TRUNCATED if episode % 2 else TERMINATED
        actions, crcs = native.run_stream(observations, rewards, flags)
        for t in range(steps):
            ends = int(flags[t])
            action = reference.step(observations[t], int(rewards[t]), bool(ends & TERMINATED), bool(ends & TRUNCATED))
            assert (action, reference.weights_crc32()) == (actions[t], crcs[t]), f"episode {episode}, call {t}"
        snapshot = native.snapshot()
        assert reference.snapshot() == snapshot
        largest.append(np.abs(np.frombuffer(snapshot[-4 - 4 * configuration.critic_parameters : -4], "<i4")).max())
    assert max(largest) == 2**30, "no weight of the critic came to its limit"


@pytest.mark.parametrize("preset", ["edge", "actor-critic"])
def test_a_recording_that_ends_in_mid_run_agrees(preset: str) -> None:
    edge = AgentConfiguration(3, (10, 6), 3, learning_rate_exponent=2)
    configuration = ONLINE_16 if preset == "actor-critic" else edge
    rng = np.random.default_rng(4)
    stream = random_stream(rng, configuration, 40)
    for length in (200, 203, 220, 260, 301):
        recording = rng.bytes(length)
        reference = reference_agent(configuration, EntropySettings("replay", recording=recording))
        native = NativeAgent(configuration, EntropySettings("replay", recording=recording))
        actions, _ = native.run_stream(stream.observations, stream.rewards, stream.flags)
        for t, flags in enumerate(stream.flags):
            action = reference.step(stream.observations[t], int(stream.rewards[t]), bool(flags & 1), bool(flags & 2))
            assert action == actions[t]
        assert reference.counters().entropy > 0
        assert reference.snapshot() == native.snapshot()


@pytest.mark.parametrize("configuration", [ONLINE_16, ONLINE_8], ids=["int16", "tiny"])
def test_online_snapshots_change_sides(configuration: AgentConfiguration) -> None:
    """What one side learned goes on at the other, from the middle of an episode there, and refusals agree."""
    rng = np.random.default_rng(7)
    stream, later = random_stream(rng, configuration, 40), random_stream(rng, configuration, 40)
    reference = reference_agent(configuration, EntropySettings(seed=1))
    native = NativeAgent(configuration, EntropySettings(seed=2))
    native.run_stream(stream.observations, stream.rewards, stream.flags)
    for _ in range(3):
        reference.step(stream.observations[0], 100, False, False)
    snapshot = native.snapshot()
    reference.restore(snapshot)
    assert reference.snapshot() == snapshot
    for _ in range(6):
        native.step(stream.observations[1], 50, False, False)
    native.restore(snapshot)
    actions, crcs = native.run_stream(later.observations, later.rewards, later.flags)
    for t, flags in enumerate(later.flags):
        action = reference.step(later.observations[t], int(later.rewards[t]), bool(flags & 1), bool(flags & 2))
        assert (action, reference.weights_crc32()) == (actions[t], crcs[t])
    assert reference.snapshot() == native.snapshot() != snapshot

    last = 2**30
    for value, accepted in ((last, True), (-last, True), (last + 1, False), (-last - 1, False)):
        changed = snapshot[:-8] + value.to_bytes(4, "little", signed=True)
        changed += zlib.crc32(changed).to_bytes(4, "little")
        for agent in (reference, native):
            if accepted:
                agent.restore(changed)
                assert agent.snapshot() == changed
            else:
                before = agent.snapshot()
                with pytest.raises(ConfigurationError):
                    agent.restore(changed)
                assert agent.snapshot() == before
