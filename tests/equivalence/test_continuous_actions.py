"""Continuous actions: reference and generated C give the same numbers and the same weights, whatever comes in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streams import TERMINATED, TRUNCATED, random_continuous_configuration, random_stream

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native.agent import NativeAgent

PENDULUM = AgentConfiguration(
    3,
    (16,),
    1,
    Formats(trace_frac_bits=8),
    1,
    5,
    preset="actor-critic",
    critic_features="cubes",
    noise_draws=4,
    policy="gaussian",
    discount_exponent=6,
    block_steps=2,
)


def assert_agreement(
    configuration: AgentConfiguration, entropy: EntropySettings, seed: int, updates: int
) -> tuple[int, int]:
    """Step both through the same calls; returns updates and failed draws."""
    stream = random_stream(np.random.default_rng([seed, 1]), configuration, updates)
    reference, native = reference_agent(configuration, entropy), NativeAgent(configuration, entropy)
    for t, flags in enumerate(stream.flags):
        call = (stream.observations[t], int(stream.rewards[t]), bool(flags & TERMINATED), bool(flags & TRUNCATED))
        assert reference.step(*call) == native.step(*call)
        where = f"{configuration.description}: call {t}"
        assert reference.action_outputs.tolist() == native.action_outputs.tolist(), where
        assert reference.weights_crc32() == native.weights_crc32(), where
    assert reference.counters() == native.counters()
    assert reference.snapshot() == native.snapshot()
    return stream.updates, reference.counters().entropy


@pytest.mark.parametrize("seed", range(8))
def test_small_random_networks_agree(seed: int) -> None:
    configuration = random_continuous_configuration(np.random.default_rng(4000 + seed), largest_layer=16)
    assert_agreement(configuration, EntropySettings(seed=seed), seed, 50)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_random_networks_agree_over_many_updates(part: int) -> None:
    done = 0
    for seed in range(part, 48, 4):
        configuration = random_continuous_configuration(np.random.default_rng([5000, seed]), largest_layer=48)
        done += assert_agreement(configuration, EntropySettings(seed=seed), seed, 150)[0]
    assert done >= 12 * 150


@pytest.mark.parametrize("parameter_bits", [16, 8])
def test_a_recording_that_ends_leaves_the_means(parameter_bits: int) -> None:
    formats = Formats(parameter_bits, 10, 12 if parameter_bits == 16 else 5, 4, 8)
    configuration = replace(PENDULUM, formats=formats, actions=2)
    recording = np.random.default_rng(1).bytes(700)
    _, failed = assert_agreement(configuration, EntropySettings("replay", recording=recording), 1, 40)
    assert failed > 0


@pytest.mark.parametrize("frac_bits", [7, 10, 14])
def test_a_cubic_critic_at_its_limits_agrees(frac_bits: int) -> None:
    """Long episodes at the largest observations, with rewards that drive the critic's weights to their limit."""
    configuration = replace(PENDULUM, formats=Formats(16, frac_bits, 6, 8, 8), discount_exponent=4)
    reference = reference_agent(configuration, EntropySettings(seed=5))
    native = NativeAgent(configuration, EntropySettings(seed=5))
    rng = np.random.default_rng(frac_bits)
    for episode, size in enumerate((32767, 30, 3000, 1 << frac_bits, 0)):
        observations = np.full((160, 3), [size, -size, size], np.int16)
        observations[80:] = rng.integers(-size, size + 1, (80, 3)) >> (np.arange(80)[:, None] // 20)
        for t, observation in enumerate(observations):
            reward = int(rng.choice([2**22, 2**31 - 1])) if episode % 2 else int(rng.choice([-(2**22), 0, 256, 2**22]))
            call = (observation, reward, t == 159 and episode % 2 == 0, t == 159)
            assert reference.step(*call) == native.step(*call)
            assert reference.weights_crc32() == native.weights_crc32(), f"episode {episode}, call {t}"
    critic = np.frombuffer(native.snapshot()[-4 - 4 * configuration.critic_parameters : -4], "<i4")
    assert np.abs(critic).max() > 2**28, "the critic stayed small"
