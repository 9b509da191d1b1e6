"""The port to Arduino: the Uno's image with Debian's core, and what can be shown of boards whose core is not here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from board_helpers import EXPERIMENT, WARNINGS, cartpole, equals_the_reference, snapshots_travel
from tools import require_board, require_tool

import nrl_host.build.arduino
from nrl_edge.boards import find_board, load_boards
from nrl_edge.codegen.budget import STACK_RESERVE_BYTES
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.project import render_project
from nrl_edge.codegen.render import write_files
from nrl_edge.experiment import entropy_settings, parse_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c
from nrl_edge.simulation import run_agent
from nrl_host.build.toolchain import build_image
from nrl_host.cli import main
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets.simavr import SimavrTarget

HARNESS = Path(__file__).parent / "harness"
CONFIGURATION = AgentConfiguration(4, (8,), 2)
GENERATED = [board.id for board in load_boards() if board.evidence == "generated"]
GENERATORS = {"samd51": "feather_m4", "imxrt": "teensy41", "esp32c3": "esp32c3"}
HEALTHY, SILENT, SEED = 0, 2, 4
FIRST = 0x1000
"""The first good word of the modelled generators."""


def test_three_episodes_end_with_the_weights_of_the_reference() -> None:
    equals_the_reference("uno_arduino", cartpole())


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "kind", "preset"), [(24, "int16", "edge"), (8, "int16", "actor-critic")])
def test_twenty_episodes_end_with_the_weights_of_the_reference(hidden: int, kind: str, preset: str) -> None:
    equals_the_reference("uno_arduino", cartpole(episodes=20, hidden=hidden, kind=kind, preset=preset))


@pytest.mark.slow
def test_snapshots_travel_from_boot_to_boot() -> None:
    snapshots_travel("uno_arduino", 24)


@pytest.mark.slow
def test_the_stack_stays_within_what_is_left_to_it() -> None:
    require_board("uno_arduino")
    experiment = cartpole(hidden=24)
    target = SimavrTarget(resolve_agent(experiment), "uno_arduino")
    with target, Link(target.url) as link:
        agent = LinkAgent(link, target.configuration, entropy_settings(experiment))
        run_agent(agent, experiment, "uno_arduino")
        agent.restore(agent.snapshot())
        agent.link_counters()
    assert 100 < target.stack_bytes < STACK_RESERVE_BYTES


def test_every_boot_has_a_session_of_its_own() -> None:
    require_board("uno_arduino")
    sessions = []
    with SimavrTarget(CONFIGURATION, "uno_arduino") as target:
        for _ in range(2):
            with Link(target.url) as link:
                sessions.append(link.session)
            target.restart()
    assert sessions == [1, 2]


@pytest.mark.slow
def test_the_sources_compile_without_a_warning_with_the_real_core(tmp_path: Path) -> None:
    require_board("uno_arduino")
    # The core's own headers are not free of warnings that are asked of ours.
    flags = [flag for flag in WARNINGS if flag not in ("-Wconversion", "-pedantic")]
    build_image(CONFIGURATION, "uno_arduino", seed=1, entropy_mode="seeded", folder=tmp_path, extra_flags=flags)


@pytest.mark.slow
@pytest.mark.parametrize("board_id", GENERATED)
def test_sources_of_boards_without_a_core_here_compile_for_their_processor(tmp_path: Path, board_id: str) -> None:
    """Against the few declarations of Arduino's interface that the port uses, as C11 and C++11 like Arduino's own."""
    board = find_board(board_id)
    require_tool(f"{board.toolchain}-g++", f"apt-get install gcc-{board.toolchain}")
    files = render_firmware(CONFIGURATION, seed=1, entropy_mode="raw", board=board)
    write_files(files, tmp_path)
    folders = (f"-I{tmp_path / 'include'}", f"-I{HARNESS / 'arduino'}")
    common = ["-Os", "-ffreestanding", *board.flags, *folders, "-c", "-Werror", "-Wall", "-Wextra", "-Wconversion"]
    for suffix, more in (
        (".c", ["-std=gnu11", "-Wstrict-prototypes", "-Wmissing-prototypes"]),
        (".cpp", ["-std=gnu++11"]),
    ):
        sources = [str(tmp_path / path) for path in files if path.endswith(suffix)]
        assert sources
        compiler = f"{board.toolchain}-{'g++' if suffix == '.cpp' else 'gcc'}"
        done = subprocess.run([compiler, *common, *more, *sources], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
    # One function is the sketch's, one is the program's; nobody defines main beside Arduino.
    names = subprocess.run(
        [f"{board.toolchain}-nm", *(str(path) for path in tmp_path.glob("*.o"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {line.split()[-1] for line in names.splitlines() if " T " in line} >= {"nrl_main", "setup", "loop"}
    assert " T main" not in names


@pytest.mark.parametrize("board", [each for each in load_boards() if each.framework], ids=lambda board: board.id)
def test_projects_leave_to_the_framework_what_it_has(board) -> None:  # type: ignore[no-untyped-def]
    text = EXPERIMENT.format(hidden=8, episodes=1, kind="int16", preset="edge") + f'[board]\nid = "{board.id}"\n'
    experiment = parse_experiment(text)
    files = render_project(experiment, resolve_agent(experiment))
    ini = files["platformio.ini"]
    assert "framework = arduino" in ini
    assert not [word for word in ("-mcpu", "-march", "-nostdlib", "-ffreestanding", "ldscript") if word in ini]
    assert "src/port/nrl_port_arduino.cpp" in files and "src/port/nrl_startup.c" not in files


@dataclass(frozen=True)
class Outcome:
    words: list[tuple[int, int]]
    """Health and word of each read."""
    starts: int
    reads: int
    least_gap: int
    read_while_bad: bool


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    programs = {}
    for name, board in GENERATORS.items():
        folder = tmp_path_factory.mktemp(name)
        write_files(render_firmware(CONFIGURATION, seed=1, entropy_mode="raw", board=board), folder)
        (folder / "include" / "nrl_registers.h").unlink()
        programs[name] = compile_c(
            [HARNESS / "arduino_generators.c", folder / "src" / "port" / f"nrl_generator_{name}.c"],
            folder / "program",
            include_folders=[HARNESS / "generators", HARNESS / "arduino", folder / "include"],
            extra_flags=[*WARNINGS, f"-D{name.upper()}"],
        )
    return programs


def run(program: Path, fault: str, words: int) -> Outcome:
    done = subprocess.run([program, fault, str(words)], capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.splitlines()
    pairs = [each.split(":") for each in first.split()]
    starts, reads, gap, bad = (int(each) for each in second.split())
    return Outcome([(int(health), int(word, 16)) for health, word in pairs], starts, reads, gap, bool(bad))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_healthy_generator_gives_good_words_alone(generators: dict[str, Path], name: str) -> None:
    outcome = run(generators[name], "none", 40)
    assert outcome.words == [(HEALTHY, FIRST + i) for i in range(40)]
    assert not outcome.read_while_bad


def test_the_esp32_c3_is_not_read_faster_than_noise_comes(generators: dict[str, Path]) -> None:
    outcome = run(generators["esp32c3"], "none", 40)
    assert outcome.least_gap >= 10 and outcome.reads == 40


@pytest.mark.parametrize("name", ["samd51", "imxrt"])
def test_a_generator_that_is_never_ready_is_silent(generators: dict[str, Path], name: str) -> None:
    assert [health for health, _ in run(generators[name], "silent", 2).words] == [SILENT] * 2


@pytest.mark.parametrize("name", GENERATORS)
def test_no_wait_is_endless_where_the_clock_stands_still(generators: dict[str, Path], name: str) -> None:
    assert [health for health, _ in run(generators[name], "stopped", 1).words] == [SILENT]


def test_errors_of_the_imxrt_are_recovered_from_and_many_are_reported(generators: dict[str, Path]) -> None:
    for errors in (1, 3):
        outcome = run(generators["imxrt"], f"error:{errors}", 20)
        assert outcome.words == [(HEALTHY, FIRST + i) for i in range(20)]
        assert outcome.starts == 1 + errors
    assert [health for health, _ in run(generators["imxrt"], "error", 2).words] == [SEED] * 2


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["nrl-edge", *arguments, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    return int(ended.value.code or 0), str(json.loads(out.splitlines()[-1]))


def test_a_missing_core_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole().to_toml(), encoding="utf-8")
    monkeypatch.setattr(nrl_host.build.arduino, "HARDWARE_FOLDERS", (tmp_path,))
    for arguments in (["build", str(path), "--board", "uno_arduino"], ["sim", str(path), "--target", "uno_arduino"]):
        code, text = command(monkeypatch, capsys, *arguments)
        assert code == 4 and "apt-get install arduino-core-avr" in text


@pytest.mark.parametrize("board_id", GENERATED)
def test_what_builds_a_board_whose_core_no_package_has_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], board_id: str
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole().to_toml(), encoding="utf-8")
    code, text = command(monkeypatch, capsys, "build", str(path), "--board", board_id)
    assert code == 4 and f"pio run --project-dir DIR --environment {board_id}" in text
