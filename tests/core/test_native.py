"""NativeAgent, the compiler it is built with, and the example of the header."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from stream import COMPILERS, STRICT_FLAGS, run_program

from nrl_edge.agent import EPISODE_ENDED, Agent, EntropySettings
from nrl_edge.codegen.core import (
    initial_draw_bytes,
    render_core,
    step_draw_bytes,
    update_draw_bytes,
    write_core,
)
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native import TERMINATED, TRUNCATED, CCompiler, NativeAgent, build_cached, compile_c, find_c_compiler
from nrl_edge.native.compiler import cache_folder, shared_library_suffix

TINY = Formats(parameter_bits=8, weight_frac_bits=5, trace_frac_bits=0)
SMALL = AgentConfiguration(3, (8, 5), 3)
CONFIGURATIONS = [
    SMALL,
    AgentConfiguration(3, (8,), 2, TINY),
    AgentConfiguration(2, (6,), 4, immediate_reward=True),
    AgentConfiguration(3, (8,), 2, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic"),
    AgentConfiguration(3, (8,), 2, TINY, 1, 3, preset="actor-critic", critic_features="squares"),
    AgentConfiguration(3, (8,), 2, TINY, 1, 3, preset="actor-critic", critic_features="cubes", policy="gaussian"),
]


def run_episodes(agent: NativeAgent, seed: int, episodes: int, steps: int = 6) -> list[int]:
    rng = np.random.default_rng(seed)
    actions = []
    for _ in range(episodes):
        for _ in range(steps):
            observation = rng.integers(-3000, 3000, agent.configuration.inputs).astype(np.int16)
            actions.append(agent.step(observation, int(rng.integers(-500, 500)), False, False))
        actions.append(agent.step(observation, int(rng.integers(-500, 500)), bool(rng.integers(2)), True))
    return actions


def test_it_is_an_agent() -> None:
    agent: Agent = NativeAgent(SMALL, EntropySettings(seed=1))
    assert agent.configuration == SMALL
    assert agent.step(np.zeros(3, np.int16), 0, False, False) in range(3)
    assert agent.step(np.zeros(3, np.int16), 0, True, False) == EPISODE_ENDED


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.description)
def test_initial_weights(configuration: AgentConfiguration) -> None:
    agent = NativeAgent(configuration, EntropySettings(seed=7))
    weights = agent.weights()
    assert [matrix.shape for matrix in weights] == list(configuration.weight_shapes)
    for matrix, limit in zip(weights[:-1], configuration.xavier_limits(), strict=True):
        assert 0 < np.abs(matrix).max() <= limit
    assert not weights[-1].any()
    assert all(matrix.dtype == (np.int8 if configuration.formats == TINY else np.int16) for matrix in weights)
    assert agent.bytes_drawn == initial_draw_bytes(configuration)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.description)
def test_bytes_drawn_do_not_depend_on_data(configuration: AgentConfiguration) -> None:
    for seed in (1, 2):
        agent = NativeAgent(configuration, EntropySettings(seed=seed))
        run_episodes(agent, seed, 3)
        # An online agent's blocks have 4 steps, so that an episode of 6 has two.
        updates = 3 * (2 if configuration.online else 6 if configuration.immediate_reward else 1)
        expected = initial_draw_bytes(configuration) + 18 * step_draw_bytes(configuration)
        assert agent.bytes_drawn == expected + updates * update_draw_bytes(configuration)
        assert (agent.episodes, agent.steps, agent.episode_steps, agent.episode_is_open) == (3, 18, 6, False)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.description)
def test_snapshot_goes_on_where_it_was_taken(configuration: AgentConfiguration) -> None:
    agent = NativeAgent(configuration, EntropySettings(seed=3))
    run_episodes(agent, 1, 5)
    snapshot = agent.snapshot()
    other = NativeAgent(configuration, EntropySettings(seed=99))
    other.step(np.zeros(configuration.inputs, np.int16), 0, False, False)
    other.restore(snapshot)
    assert not other.episode_is_open
    assert other.snapshot() == snapshot
    assert run_episodes(agent, 2, 5) == run_episodes(other, 2, 5)
    assert other.snapshot() == agent.snapshot() != snapshot


def test_refused_snapshots_leave_the_episode_open() -> None:
    agent = NativeAgent(SMALL, EntropySettings(seed=3))
    run_episodes(agent, 1, 2)
    snapshot = agent.snapshot()
    agent.step(np.zeros(3, np.int16), 0, False, False)
    with pytest.raises(RunError, match="middle of an episode"):
        agent.snapshot()
    stranger = NativeAgent(AgentConfiguration(3, (8, 5), 3, learning_rate_exponent=7), EntropySettings()).snapshot()
    for refused in (b"", snapshot[:-1], snapshot + b"\0", bytes([snapshot[0] ^ 1]) + snapshot[1:], stranger):
        with pytest.raises(ConfigurationError, match="snapshot of this agent"):
            agent.restore(refused)
    assert agent.episode_is_open


def test_a_recorded_raw_run_is_replayed_to_the_same_weights() -> None:
    raw = NativeAgent(SMALL, EntropySettings(mode="raw"), recording=True)
    # More than the block of bytes that is asked of the operating system at a time.
    actions = run_episodes(raw, 4, 160)
    assert len(raw.recorded) == raw.bytes_drawn > 3 * 4096
    replay = NativeAgent(SMALL, EntropySettings(mode="replay", recording=raw.recorded))
    assert run_episodes(replay, 4, 160) == actions
    assert replay.weights_crc32() == raw.weights_crc32()
    assert replay.counters() == raw.counters()
    assert NativeAgent(SMALL, EntropySettings(mode="raw")).weights_crc32() != raw.weights_crc32()


def test_raw_bytes_are_used_in_order_and_none_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, given = np.random.default_rng(5), []

    def urandom(length: int) -> bytes:
        if sum(map(len, given)) >= 8192:
            raise OSError("no more random bytes")
        given.append(rng.bytes(length))
        return given[-1]

    monkeypatch.setattr("nrl_edge.native.agent.os.urandom", urandom)
    agent = NativeAgent(SMALL, EntropySettings(mode="raw"), recording=True)
    run_episodes(agent, 1, 160)
    produced = b"".join(given)
    assert len(given) > 1 and agent.counters().entropy > 0
    # A draw that is too large for what is left takes nothing; smaller ones go on taking it.
    assert agent.recorded == produced[: len(agent.recorded)]
    assert len(agent.recorded) == agent.bytes_drawn > len(produced) - 8


def test_a_restored_replay_goes_on_in_its_recording() -> None:
    recording = np.random.default_rng(0).bytes(20_000)
    entropy = EntropySettings(mode="replay", recording=recording)
    agent = NativeAgent(SMALL, entropy)
    run_episodes(agent, 1, 4)
    snapshot = agent.snapshot()
    run_episodes(agent, 2, 4)
    other = NativeAgent(SMALL, entropy)
    other.restore(snapshot)
    run_episodes(other, 2, 4)
    assert other.snapshot() == agent.snapshot()
    too_short = NativeAgent(SMALL, EntropySettings(mode="replay", recording=recording[:200]))
    with pytest.raises(ConfigurationError, match="recording has 200"):
        too_short.restore(snapshot)


def test_a_replay_that_ends_acts_greedily_and_learns_no_more() -> None:
    inputs, episode = 3, 6 * step_draw_bytes(SMALL)
    # Ends inside the third update, after the rows of the first hidden layer. (The first update has no prediction error,
    # and in the second the hidden layers have no traces yet, for the output layer started at zero.)
    first_layer = 8 * inputs
    length = initial_draw_bytes(SMALL) + 3 * episode + 2 * update_draw_bytes(SMALL) + first_layer
    recording = np.random.default_rng(1).bytes(length)
    agent = NativeAgent(SMALL, EntropySettings(mode="replay", recording=recording))
    whole = NativeAgent(SMALL, EntropySettings(mode="replay", recording=recording + bytes(1000)))
    for learner in (agent, whole):
        run_episodes(learner, 1, 3)
    assert agent.counters().entropy == 1 and whole.counters().entropy == 0
    assert np.array_equal(agent.weights()[0], whole.weights()[0])
    assert not np.array_equal(agent.weights()[1], whole.weights()[1])
    assert agent.return_baseline == whole.return_baseline

    crc, drawn = agent.weights_crc32(), agent.bytes_drawn
    observation = np.array([1000, -500, 20], np.int16)
    actions = {agent.step(observation, 100, False, False) for _ in range(20)}
    assert len(actions) == 1
    assert not any(matrix.any() for matrix in agent.traces())
    agent.step(observation, 100, True, False)
    assert (agent.weights_crc32(), agent.bytes_drawn) == (crc, drawn)
    assert agent.counters().entropy == 1 + 20 + 1


def test_entropy_that_an_agent_cannot_have() -> None:
    with pytest.raises(ConfigurationError, match="expanded"):
        NativeAgent(SMALL, EntropySettings(mode="expanded"))
    with pytest.raises(ConfigurationError, match="recording"):
        NativeAgent(SMALL, EntropySettings(mode="seeded"), recording=True)
    with pytest.raises(ConfigurationError, match="ends before the initial weights"):
        NativeAgent(SMALL, EntropySettings(mode="replay", recording=bytes(10)))
    with pytest.raises(ConfigurationError, match="seed"):
        NativeAgent(SMALL, EntropySettings(seed=-1))


def test_saturated_observations_and_rewards_are_counted_and_clamped() -> None:
    agent = NativeAgent(AgentConfiguration(3, (8, 5), 3, Formats(trace_frac_bits=12)), EntropySettings(seed=1))
    agent.step(np.array([32767, -32768, 32766], np.int16), 10**12, False, False)
    for _ in range(100):
        agent.step(np.array([0, -32767, 32767], np.int16), 10**12, False, False)
    assert agent.counters().observation == 102
    assert agent.counters().pre_activation > 0
    assert agent.counters().trace > 0
    assert max(np.abs(matrix.astype(int)).max() for matrix in agent.traces()) >= 32767
    assert agent.episode_return == 2**22 - 1
    for _ in range(3):
        agent.step(np.zeros(3, np.int16), -(10**12), False, False)
    assert agent.episode_return == -(2**22 - 1)


@pytest.mark.parametrize(
    "observation",
    [np.zeros(3), np.zeros(4, np.int16), np.zeros((1, 3), np.int16), np.zeros(3, ">i2"), [0, 0, 0]],
    ids=["float", "length", "shape", "byte order", "list"],
)
def test_wrong_observations_are_refused(observation: np.ndarray) -> None:
    agent = NativeAgent(SMALL, EntropySettings())
    with pytest.raises(ConfigurationError, match="int16"):
        agent.step(observation, 0, False, False)
    assert agent.steps == 0


def test_step_takes_its_own_buffer_views_and_numpy_rewards() -> None:
    agents = [NativeAgent(SMALL, EntropySettings(seed=5)) for _ in range(3)]
    rng = np.random.default_rng(0)
    for _ in range(20):
        wide = rng.integers(-4000, 4000, 6).astype(np.int16)
        agents[0].observation_buffer[:] = wide[::2]
        actions = {
            agents[0].step(agents[0].observation_buffer, 7, False, False),
            agents[1].step(wide[::2], np.int64(7), np.bool_(False), False),  # type: ignore[arg-type]
            agents[2].step(wide[::2].copy(), 7, False, False),
        }
        assert len(actions) == 1
    with pytest.raises(TypeError):
        agents[0].step(wide[::2], 1.5, False, False)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="no episode is open"):
        NativeAgent(SMALL, EntropySettings()).step(wide[::2], 0, True, False)


def test_run_stream_is_many_steps() -> None:
    rng = np.random.default_rng(2)
    observations = rng.integers(-4000, 4000, (300, 3)).astype(np.int16)
    rewards = rng.integers(-900, 900, 300).astype(np.int32)
    flags = rng.choice([0, 0, 0, 0, 0, TERMINATED, TRUNCATED], 300).astype(np.uint8)
    one, other = (NativeAgent(SMALL, EntropySettings(seed=2)) for _ in range(2))
    actions, crcs = one.run_stream(observations, rewards, flags)
    for t in range(300):
        if flags[t] and not other.episode_is_open:
            assert actions[t] == -2
            continue
        action = other.step(observations[t], int(rewards[t]), flags[t] == TERMINATED, flags[t] == TRUNCATED)
        assert (actions[t], crcs[t]) == (action, other.weights_crc32())
    assert one.snapshot() == other.snapshot() if not one.episode_is_open else one.counters() == other.counters()
    with pytest.raises(ConfigurationError, match="rewards must be"):
        one.run_stream(observations, rewards.astype(np.int64), flags)
    with pytest.raises(ConfigurationError, match="observations must be"):
        one.run_stream(observations[:10], rewards, flags)


def header_example() -> str:
    header = render_core(SMALL)["nrl_agent.h"]
    page = header[: header.index("*/")]
    block = re.search(r"^( \*     #include \"nrl_agent.h\"\n(?: \*.*\n)*?) \*     }\n", page, re.MULTILINE)
    assert block is not None
    lines = [line.removeprefix(" *") for line in (block[1] + " *     }\n").splitlines()]
    return textwrap.dedent("\n".join(lines)) + "\n"


@pytest.mark.parametrize(
    "configuration",
    [AgentConfiguration(4, (64,), 2), AgentConfiguration(4, (64,), 2, TINY), AgentConfiguration(1, (8,), 2)],
    ids=lambda c: c.description,
)
def test_the_example_of_the_header_runs_and_learns(configuration: AgentConfiguration) -> None:
    example = header_example()
    assert 20 <= len(example.splitlines()) <= 32
    for compiler in COMPILERS:
        program = build_cached(
            {**render_core(configuration), "main.c": example},
            "example",
            extra_flags=STRICT_FLAGS,
            compiler=CCompiler((compiler,)),
        )
        run_program(program)


@pytest.mark.parametrize("compiler", [name for name in ("g++", "clang++") if shutil.which(name) is not None])
def test_headers_are_cplusplus_too(compiler: str, tmp_path: Path) -> None:
    write_core(SMALL, tmp_path)
    source = tmp_path / "main.cpp"
    # Those of one instruction set are included by others, where they fit.
    parts = ("nrl_kernels_", "nrl_sweeps_", "nrl_wide_", "nrl_generate_")
    headers = [path.name for path in sorted(tmp_path.glob("*.h")) if not path.name.startswith(parts)]
    includes = "".join(f'#include "{name}"\n' for name in headers)
    source.write_text(f"{includes}int main() {{ return nrl_crc32(0, nullptr, 0) == 0 ? 0 : 1; }}\n")
    # The core itself is C, so only its headers are compiled as C++.
    flags = ["-std=c++11", "-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    done = subprocess.run([compiler, *flags, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_write_core_leaves_unchanged_files_alone(tmp_path: Path) -> None:
    paths = write_core(SMALL, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in paths}
    write_core(SMALL, tmp_path, default_seed=1)
    changed = [path.name for path in paths if path.stat().st_mtime_ns != before[path]]
    assert changed == ["nrl_config.h"]


def test_compiler_is_found_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", f"{COMPILERS[0]} -m64")
    assert find_c_compiler() == CCompiler((COMPILERS[0], "-m64"))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MissingToolError, match="no-such-compiler"):
        find_c_compiler()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=re.escape("pip install 'nrl-edge[compiler]'")):
        find_c_compiler()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    zig = find_c_compiler()
    assert zig.command == (sys.executable, "-m", "ziglang", "cc") and zig.is_zig


def test_compile_errors_show_the_compilers_words(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return undeclared_name; }\n")
    output = tmp_path / "wrong"
    with pytest.raises(RunError, match="undeclared_name"):
        compile_c([source], output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.c"]


def test_builds_are_cached_by_what_they_depend_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nrl_edge"
    files = {"answer.c": "int answer(void);\nint answer(void) { return ANSWER; }\n"}
    first = build_cached(files, "answer", shared=True, defines={"ANSWER": 1})
    changed = first.stat().st_mtime_ns
    assert build_cached(files, "answer", shared=True, defines={"ANSWER": 1}) == first
    assert first.stat().st_mtime_ns == changed
    assert build_cached(files, "answer", shared=True, defines={"ANSWER": 2}) != first
    assert build_cached({**files, "more.h": ""}, "answer", shared=True, defines={"ANSWER": 1}) != first
    assert {path.suffix for path in cache_folder().iterdir()} == {shared_library_suffix()}


def test_an_unwritable_cache_falls_back_to_a_private_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    folder = cache_folder()
    assert folder.is_dir() and not folder.stat().st_mode & 0o022
