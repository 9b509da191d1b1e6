"""The promise: reference and generated C agree bit for bit after every update, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest
from streams import TERMINATED, TRUNCATED, random_configuration, random_stream

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.native.agent import NativeAgent

# Large networks cost the reference more an update, so they get fewer; the total is what the promise is tested on.
NETWORKS = 160
PARAMETERS_TIMES_UPDATES = 4_000_000
TOTAL_UPDATES = 100_000


def planned_updates(configuration: AgentConfiguration) -> int:
    rows = sum(shape[0] for shape in configuration.weight_shapes)
    return int(np.clip(PARAMETERS_TIMES_UPDATES / (configuration.parameters + 100 * rows), 60, 2500))


def assert_agreement(configuration: AgentConfiguration, seed: int, updates: int) -> int:
    rng = np.random.default_rng([seed, 1])
    stream = random_stream(rng, configuration, updates)
    reference = ReferenceAgent(configuration, EntropySettings(seed=seed))
    native = NativeAgent(configuration, EntropySettings(seed=seed))
    actions, crcs = native.run_stream(stream.observations, stream.rewards, stream.flags)
    for t in range(len(stream.flags)):
        terminated, truncated = bool(stream.flags[t] & TERMINATED), bool(stream.flags[t] & TRUNCATED)
        action = reference.step(stream.observations[t], int(stream.rewards[t]), terminated, truncated)
        assert action == actions[t], f"{configuration.description}: action differs at call {t}"
        if terminated or truncated or configuration.immediate_reward:
            assert reference.weights_crc32() == crcs[t], f"{configuration.description}: weights differ at call {t}"
    assert reference.counters() == native.counters()
    assert reference.snapshot() == native.snapshot()
    return stream.updates


@pytest.mark.parametrize("seed", range(12))
def test_small_random_networks_agree(seed: int) -> None:
    configuration = random_configuration(np.random.default_rng(1000 + seed), largest_layer=16)
    assert_agreement(configuration, seed, 60)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_random_networks_agree_over_many_updates(part: int) -> None:
    for seed in range(part, NETWORKS, 16):
        configuration = random_configuration(np.random.default_rng(seed))
        assert_agreement(configuration, seed, planned_updates(configuration))


def test_the_plan_reaches_the_promised_number_of_updates() -> None:
    total = sum(planned_updates(random_configuration(np.random.default_rng(seed))) for seed in range(NETWORKS))
    assert total >= TOTAL_UPDATES


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


def test_a_recording_that_ends_in_mid_run_agrees() -> None:
    configuration = AgentConfiguration(3, (10, 6), 3, learning_rate_exponent=2)
    rng = np.random.default_rng(4)
    stream = random_stream(rng, configuration, 40)
    for length in (200, 203, 220, 260, 301):
        recording = rng.bytes(length)
        reference = ReferenceAgent(configuration, EntropySettings("replay", recording=recording))
        native = NativeAgent(configuration, EntropySettings("replay", recording=recording))
        actions, _ = native.run_stream(stream.observations, stream.rewards, stream.flags)
        for t, flags in enumerate(stream.flags):
            action = reference.step(stream.observations[t], int(stream.rewards[t]), bool(flags & 1), bool(flags & 2))
            assert action == actions[t]
        assert reference.counters().entropy > 0
        assert reference.snapshot() == native.snapshot()
