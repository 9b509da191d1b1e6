"""Firmware that counts what it costs: on every kind of emulator, against each other and against the emulators."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from board_helpers import WARNINGS, cartpole
from hypothesis import given
from hypothesis import strategies as st
from tools import require_board

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import PROFILE_PHASES, FirmwareOptions, ProfileDetail
from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.build.toolchain import build_image
from nrl_host.cli import app
from nrl_host.profile import MeasuringAgent, Profile, corrected_counts, profile, profile_device
from nrl_host.targets import make_target
from nrl_host.targets.simavr import SimavrTarget

EDGE_PHASES = {"link", "other", "observation", "noise", "forward", "difference", "policy", "trace", "update"}
IMMEDIATE = """
[task]
id = "NRL/Reaching1D-v0"
reward = "immediate"
[network]
hidden = [8]
[learning]
learning_rate = "2^-6"
"""


def short(experiment: Experiment, board: str) -> Profile:
    require_board(board)
    return profile(experiment, board, episodes=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "unit"),
    [("microbit", "instructions"), ("pico", "instructions"), ("riscv32_virt", "instructions"), ("uno", "cycles")],
)
def test_a_profile_adds_up_and_changes_nothing_that_is_learned(board: str, unit: str) -> None:
    experiment = cartpole(hidden=8)
    found = short(experiment, board)
    expected = simulate(experiment.with_overrides(episodes=2), "reference")
    assert (found.unit, found.weights_crc32) == (unit, expected.weights_crc32)
    assert found.calls == expected.steps + 2
    assert found.phases is not None and set(found.phases) == EDGE_PHASES
    assert found.update is not None and found.step.min > 0
    assert found.step.min <= found.step.median <= found.step.max <= found.call.max
    assert found.worst_call.count == found.call.max
    assert found.worst_call.phases is not None
    parts = sum(count for name, count in found.worst_call.phases.items() if name != "link")
    # The compiler arranges code otherwise around marks; what they cost themselves is taken off.
    assert parts == pytest.approx(found.worst_call.count, rel=0.03)
    assert found.detail_calls is not None
    assert found.detail_calls.median == pytest.approx(found.step.median, rel=0.03)
    inner = sum(found.phases[name].median for name in EDGE_PHASES - {"link", "update"})
    assert inner == pytest.approx(found.step.median, rel=0.03)
    assert 100 < found.stack_high_water_bytes < 1024


@pytest.mark.slow
@pytest.mark.parametrize("board", ["mega2560", "feather_f405", "mps2_an385", "mps2_an500", "mps2_an505", "mps3_an547"])
@pytest.mark.parametrize(("preset", "kind"), [("edge", "int16"), ("actor-critic", "tiny")])
def test_every_emulated_board_has_a_profile(board: str, preset: str, kind: str) -> None:
    experiment = cartpole(hidden=16, preset=preset, kind=kind)
    found = short(experiment, board)
    assert found.weights_crc32 == simulate(experiment.with_overrides(episodes=2), "reference").weights_crc32
    assert found.phases is not None
    assert set(found.phases) == EDGE_PHASES | ({"critic"} if preset == "actor-critic" else set())
    assert found.detail_calls is not None
    assert found.detail_calls.median == pytest.approx(found.call.median, rel=0.05)


@pytest.mark.slow
def test_two_emulators_count_the_same_instructions() -> None:
    """QEMU's virtual time through an nRF51's timers, and unicorn's blocks through a system timer, of one agent."""
    experiment = cartpole(hidden=8)
    first, second = short(experiment, "microbit"), short(experiment, "pico")
    assert first.call.max > 2 * first.step.median, "an update falls into it"
    assert (first.step, first.update, first.call) == (second.step, second.update, second.call)


@pytest.mark.slow
def test_a_profile_repeats_exactly() -> None:
    experiment = cartpole(hidden=8, preset="actor-critic")
    first = short(experiment, "riscv32_virt")
    again = short(experiment, "riscv32_virt")
    assert (first.step, first.update, first.call) == (again.step, again.update, again.call)
    assert first.phases is not None and set(first.phases) == EDGE_PHASES | {"critic"}
    # How a request's bytes fall to the polls of the line is this computer's doing.
    assert again.phases is not None
    assert {**first.phases, "link": None} == {**again.phases, "link": None}
    # An update falls into every fourth call, and the longest call is one of those.
    assert first.update is not None and first.call.max > first.step.max
    assert first.worst_call.phases is not None and "update" in first.worst_call.phases


@pytest.mark.slow
def test_learning_at_every_step_updates_in_every_call() -> None:
    require_board("riscv32_virt")
    found = profile(parse_experiment(IMMEDIATE), "riscv32_virt", episodes=1)
    assert found.update is not None
    assert found.call.median >= found.step.min + found.update.min


def test_the_painted_stack_is_as_deep_as_the_emulator_sees_it() -> None:
    from nrl_edge.experiment import entropy_settings
    from nrl_host.link import Link

    require_board("uno")
    experiment = cartpole(hidden=8)
    configuration = resolve_agent(experiment)
    options = FirmwareOptions(profile="steps")
    target = SimavrTarget(configuration, "uno", options=options)
    with target, Link(target.url) as link:
        agent = MeasuringAgent(link, configuration, entropy_settings(experiment))
        observation = np.array([100, -200, 300, -400], np.int16)
        for call in range(200):
            agent.step(observation, 256, call % 20 == 19, False)
        painted = agent.stack_bytes
    # An interrupt may come on top of the deepest call after the last look.
    assert 0 <= target.stack_bytes - painted <= 40


def test_only_firmware_that_was_built_to_measure_answers() -> None:
    require_board("riscv32_virt")
    experiment = cartpole(hidden=8)
    refused = r"not built to measure itself; build it with `nrl-edge build .* phases"
    with make_target("riscv32_virt", resolve_agent(experiment)) as target, pytest.raises(DeviceError, match=refused):
        profile_device(experiment, target.url)


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["steps", "phases"])
def test_a_device_is_profiled_over_its_port(detail: ProfileDetail) -> None:
    require_board("mega2560")
    experiment = cartpole(hidden=8)
    options = FirmwareOptions(profile=detail)
    with make_target("mega2560", resolve_agent(experiment), options=options) as target:
        found = profile_device(experiment, target.url, episodes=2)
    assert (found.target, found.unit, found.clock_hz) == ("mega2560", "cycles", 16_000_000)
    assert (found.phases is not None) == (detail == "phases")
    if detail == "steps":
        emulated = short(experiment, "mega2560")
        # The interrupt that counts a timer's turns comes where it comes, and is taken off but for a few cycles.
        for one, other in ((found.step, emulated.step), (found.call, emulated.call)):
            assert one.median == pytest.approx(other.median, abs=8)
            assert (one.min, one.max) == pytest.approx((other.min, other.max), abs=8)


def test_marks_are_nothing_in_other_builds() -> None:
    configuration = resolve_agent(cartpole())
    plain = render_firmware(configuration, seed=0, entropy_mode="seeded", board="microbit")
    measuring = render_firmware(
        configuration, seed=0, entropy_mode="seeded", board="microbit", options=FirmwareOptions(profile="phases")
    )
    assert "#define NRL_MARK(phase) ((void)0)" in plain["include/nrl_mark.h"]
    assert not any("measure" in path or "profile" in path for path in plain)
    assert {path for path in plain if plain[path] != measuring[path]} == {
        "include/nrl_mark.h",
        "include/nrl_project.h",
        "src/port/nrl_startup.c",
    }
    assert {Path(path).name for path in measuring if path not in plain} == {
        *("nrl_measure.h", "nrl_measure.c", "nrl_measure_stack.h", "nrl_measure_stack.c"),
        *("nrl_profile.h", "nrl_profile.c"),
    }


def test_every_mark_is_a_phase_and_every_phase_is_marked() -> None:
    marks: set[str] = set()
    for preset in ("edge", "actor-critic"):
        files = render_firmware(resolve_agent(cartpole(preset=preset)), seed=0, entropy_mode="seeded", board="uno")
        for path, text in files.items():
            if path != "include/nrl_mark.h":
                marks |= set(re.findall(r"\bNRL_MARK\((\w+)\)", text))
    assert marks == {phase.upper() for phase in PROFILE_PHASES} | {"START", "FRAME", "REPLY"}


@pytest.mark.parametrize("board", ["microbit", "nrf52840dk", "stm32f4_disco", "mps2_an500", "riscv32_virt", "uno"])
@pytest.mark.parametrize("detail", ["steps", "phases"])
def test_marked_sources_compile_without_a_warning(board: str, detail: ProfileDetail) -> None:
    require_board(board)
    build_image(
        resolve_agent(cartpole(preset="actor-critic")),
        board,
        seed=0,
        entropy_mode="seeded",
        options=FirmwareOptions(profile=detail),
        extra_flags=WARNINGS,
    )


def test_the_desktop_has_no_profile() -> None:
    with pytest.raises(ConfigurationError, match=r"process of this computer.*--target microbit"):
        profile(cartpole(), "desktop")
    with pytest.raises(ConfigurationError, match="process of this computer"):
        render_firmware(
            resolve_agent(cartpole()), seed=0, entropy_mode="seeded", options=FirmwareOptions(profile="steps")
        )


@given(
    calls=st.lists(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 254)), min_size=2, max_size=2), min_size=1),
    mark=st.integers(1, 200),
    per_instruction=st.sampled_from([1.0, 8.192, 10.752, 12.8]),
)
def test_what_marks_cost_is_taken_off(calls: list[list[tuple[int, int]]], mark: int, per_instruction: float) -> None:
    """Counters that tick more often than instructions come, and are read between two ticks."""
    counts = [[int((work + times * mark) * per_instruction + 0.3) for work, times in call] for call in calls]
    marks = [[times for _, times in call] for call in calls]
    cost = int(mark * per_instruction + 0.3)
    expected = [[work for work, _ in call] for call in calls]
    assert corrected_counts(counts, marks, cost, per_instruction).tolist() == expected


def test_marks_that_were_not_all_counted_are_refused() -> None:
    with pytest.raises(RunError, match="too many marks"):
        corrected_counts([[1000]], [[255]], 1, 1.0)


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    require_board("riscv32_virt")
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole(hidden=8).to_toml(), encoding="utf-8")
    app(["profile", str(path), "--target", "riscv32_virt", "--episodes", "2", "--json"], standalone_mode=False)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"target", "unit", "step", "update", "phases", "stack_high_water_bytes"} <= set(result)
    assert set(result["step"]) == set(result["phases"]["trace"]) == {"min", "median", "max"}
    app(["profile", str(path), "--target", "riscv32_virt", "--episodes", "1"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "whole call" in shown and "stack: " in shown
    for wrong in (["--target", "desktop"], ["--target", "moon"], ["--target", "uno", "--port", "loop://"]):
        with pytest.raises(ConfigurationError):
            app(["profile", str(path), *wrong], standalone_mode=False)
