"""The core alone, with address and undefined-behaviour sanitizers, on extreme streams and damaged snapshots."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from stream import COMPILERS, STRICT_FLAGS, build_harness, run_driver, run_program

from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.core import write_core
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native import NativeAgent, compile_c
from nrl_edge.native.compiler import CCompiler

TINY = Formats(parameter_bits=8, weight_frac_bits=5, trace_frac_bits=0)
# The corners of every format, where shifts are 0 or largest.
CONFIGURATIONS = {
    "cartpole": AgentConfiguration(4, (64,), 2),
    "tiny": AgentConfiguration(4, (64,), 2, TINY),
    "small fractions": AgentConfiguration(5, (9, 3), 3, Formats(16, 0, 12, 12, 16), 0, 0),
    "large fractions": AgentConfiguration(3, (17, 8, 5), 16, Formats(16, 12, 15, 0, 0), 20, 8, immediate_reward=True),
    "tiny, small fractions": AgentConfiguration(7, (8, 7), 2, Formats(8, 5, 7, 6, 8), 0, None, immediate_reward=True),
    "tiny, large fractions": AgentConfiguration(2, (3, 3, 3), 5, Formats(8, 14, 0, 0, 16), 3, None),
    "smallest": AgentConfiguration(1, (1,), 2, clip_exponent=8),
    "online": AgentConfiguration(4, (64,), 2, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic"),
    "online, tiny": AgentConfiguration(
        5, (9, 4), 3, Formats(8, 10, 5, 1, 8), 1, 3, preset="actor-critic", critic_features="squares"
    ),
    "online, small fractions": AgentConfiguration(3, (7,), 3, Formats(16, 7, 5, 0, 0), 0, 8, preset="actor-critic"),
    "online, large fractions": AgentConfiguration(
        6, (8, 7, 5), 2, Formats(16, 14, 13, 12, 16), 20, None, preset="actor-critic"
    ),
    "online, many inputs": AgentConfiguration(64, (3,), 2, Formats(16, 7, 8, 8, 8), 1, 0, preset="actor-critic"),
    "continuous": AgentConfiguration(
        3,
        (16,),
        2,
        Formats(16, 14, 11, 12, 16),
        1,
        5,
        preset="actor-critic",
        critic_features="cubes",
        noise_draws=4,
        policy="gaussian",
        discount_exponent=4,
        block_steps=1,
    ),
    "continuous, tiny": AgentConfiguration(4, (9, 5), 16, Formats(8, 14, 7, 6, 0), 0, 8, policy="gaussian"),
    "continuous, small fractions": AgentConfiguration(
        8,
        (5,),
        1,
        Formats(16, 7, 5, 0, 0),
        0,
        None,
        preset="actor-critic",
        critic_features="cubes",
        policy="gaussian",
        discount_exponent=8,
        block_steps=2,
    ),
    "online, tiny, no clip": AgentConfiguration(2, (8,), 2, Formats(8, 14, 7, 6, 12), 0, None, preset="actor-critic"),
}


def extreme_stream(
    rng: np.random.Generator, configuration: AgentConfiguration, count: int, ends: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observations and rewards that are often at the ends of their ranges; episodes of any length, errors included."""
    shape = (count, configuration.inputs)
    ordinary = rng.normal(0, 2000, shape).clip(-32768, 32767)
    extreme = rng.choice([-32768, -32767, -1, 0, 1, 32767], shape)
    observations = np.where(rng.random((count, 1)) < 0.5, ordinary, extreme).astype(np.int16)
    rewards = np.where(
        rng.random(count) < 0.5,
        rng.integers(-1000, 1000, count),
        rng.choice([-(2**31), -(2**22), 0, 2**22 - 1, 2**31 - 1], count),
    ).astype(np.int32)
    flags = np.where(rng.random(count) < ends, rng.integers(1, 4, count), 0).astype(np.uint8)
    return observations, rewards, flags


def check_stream(
    folder: Path, configuration: AgentConfiguration, seed: int, compiler: str, count: int, ends: float = 0.2
) -> None:
    stream = extreme_stream(np.random.default_rng(seed), configuration, count, ends)
    result = run_driver(folder, configuration, EntropySettings(seed=seed), *stream, compiler=compiler)
    agent = NativeAgent(configuration, EntropySettings(seed=seed))
    actions, crcs = agent.run_stream(*stream)
    assert np.array_equal(result.actions, actions)
    assert np.array_equal(result.crcs, crcs)
    assert result.counters == agent.counters()
    assert set(actions.tolist()) <= set(range(-2, configuration.actions))
    assert len(set(crcs.tolist())) > 1, "nothing was learned, so nothing was tested"


@pytest.mark.parametrize("name", ["cartpole", "tiny", "online", "online, tiny"])
def test_extreme_streams(name: str, tmp_path: Path) -> None:
    check_stream(tmp_path, CONFIGURATIONS[name], 5, COMPILERS[0], 400)


@pytest.mark.parametrize("name", ["online", "online, tiny"])
def test_extreme_streams_in_long_episodes(name: str, tmp_path: Path) -> None:
    """The critic's traces grow to what the arithmetic allows only in episodes of dozens of steps."""
    check_stream(tmp_path, CONFIGURATIONS[name], 7, COMPILERS[0], 1500, ends=0.004)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_extreme_streams_at_the_corners_of_the_formats(name: str, compiler: str, tmp_path: Path) -> None:
    check_stream(tmp_path, CONFIGURATIONS[name], 6, compiler, 3000)


@pytest.mark.parametrize("name", ["cartpole", "tiny, small fractions", "online", "online, tiny"])
def test_interface(name: str) -> None:
    run_program(build_harness("interface_check", CONFIGURATIONS[name], COMPILERS[0]))


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_interface_at_the_corners_of_the_formats(name: str, compiler: str) -> None:
    run_program(build_harness("interface_check", CONFIGURATIONS[name], compiler))


def test_a_recording_that_ends_gives_the_same_in_the_driver(tmp_path: Path) -> None:
    configuration = AgentConfiguration(3, (8,), 2, TINY)
    recording = np.random.default_rng(3).bytes(700)
    stream = extreme_stream(np.random.default_rng(8), configuration, 200)
    entropy = EntropySettings(mode="replay", recording=recording)
    result = run_driver(tmp_path, configuration, entropy, *stream)
    actions, crcs = NativeAgent(configuration, entropy).run_stream(*stream)
    assert np.array_equal(result.actions, actions)
    assert np.array_equal(result.crcs, crcs)
    assert result.counters.entropy > 50


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ["cartpole", "tiny, small fractions", "online", "online, tiny, no clip"])
def test_core_compiles_for_a_machine_without_libc(name: str, compiler: str, tmp_path: Path) -> None:
    paths = write_core(CONFIGURATIONS[name], tmp_path)
    for path in paths:
        if path.suffix == ".c":
            flags = ("-c", "-Os", "-ffreestanding", "-nostdlib", "-Wstrict-prototypes", *STRICT_FLAGS)
            compile_c([path], path.with_suffix(".o"), extra_flags=flags, compiler=CCompiler((compiler,)))
    if shutil.which("nm") is None:
        return
    symbols = [line.split() for path in tmp_path.glob("*.o") for line in _symbols(path).splitlines()]
    defined = {fields[-1] for fields in symbols if fields[-2] != "U"}
    # A compiler may turn loops into these, and supplies them itself where there is no libc.
    assert {fields[-1] for fields in symbols if fields[-2] == "U"} - defined <= {"memcpy", "memmove", "memset"}


def _symbols(path: Path) -> str:
    return subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
