"""nrl-edge build for boards: sizes, limits, and what is said where a network does not fit."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
from pathlib import Path

import pytest
from board_helpers import EXPERIMENT, cartpole
from platformio.project.options import ProjectOptions
from tools import require_board

from nrl_edge.boards import Board, PlatformIO, find_board, load_boards
from nrl_edge.codegen.budget import STACK_RESERVE_BYTES
from nrl_edge.codegen.project import render_project, write_project
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import parse_experiment, resolve_agent
from nrl_host.build.board_build import BoardBuild, build_for_board
from nrl_host.build.platformio import build_project
from nrl_host.build.toolchain import ImageSizes, image_sizes
from nrl_host.cli import main
from nrl_host.link import Link
from nrl_host.targets import make_target

BOARDS = [board.id for board in load_boards() if board.is_built_here]


@pytest.mark.parametrize("board_id", BOARDS)
def test_a_small_agent_fits_every_board(board_id: str) -> None:
    board = require_board(board_id)
    built = build_for_board(resolve_agent(cartpole()), board, seed=3, entropy_mode="seeded")
    assert built.fits and built.image.read_bytes()[:4] == b"\x7fELF"
    assert 4_000 < built.flash_bytes < built.flash_limit_bytes
    assert 4 * 48 < built.ram_bytes <= built.ram_limit_bytes - STACK_RESERVE_BYTES


@pytest.mark.parametrize(("board_id", "hidden"), [("uno", 64), ("microbit", 128)])
@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_the_largest_that_does_is_named(board_id: str, hidden: int) -> None:
    require_board(board_id)
    text = EXPERIMENT.format(hidden=f"{hidden}, {hidden}", episodes=1, kind="int16", preset="edge")
    configuration = resolve_agent(parse_experiment(text))
    with pytest.raises(RunError, match=r"network\.hidden = \[(\d+), \1\]") as caught:
        build_for_board(configuration, board_id, seed=0, entropy_mode="seeded")
    units = int(str(caught.value).split("network.hidden = [")[1].split(",")[0])
    largest = text.replace(f"[{hidden}, {hidden}]", f"[{units}, {units}]")
    assert build_for_board(resolve_agent(parse_experiment(largest)), board_id, seed=0, entropy_mode="seeded").fits
    too_large = text.replace(f"[{hidden}, {hidden}]", f"[{units + 1}, {units + 1}]")
    with pytest.raises(RunError, match="does not fit"):
        build_for_board(resolve_agent(parse_experiment(too_large)), board_id, seed=0, entropy_mode="seeded")


@pytest.mark.parametrize(
    ("text", "data", "bss", "fits"),
    [(900, 100, 388, True), (901, 100, 388, False), (900, 100, 389, False), (800, 101, 388, False)],
)
def test_what_fits_leaves_the_stack_its_reserve(text: int, data: int, bss: int, fits: bool) -> None:
    sizes = ImageSizes(text_bytes=text, data_bytes=data, bss_bytes=bss)
    ram_limit_bytes = 488 + STACK_RESERVE_BYTES
    assert BoardBuild(find_board("uno"), Path("image.elf"), sizes, "", 1000, ram_limit_bytes).fits == fits


def test_the_build_id_is_what_the_device_says() -> None:
    require_board("microbit")
    configuration = resolve_agent(cartpole())
    built = build_for_board(configuration, "microbit", seed=5, entropy_mode="seeded")
    with make_target("microbit", configuration, seed=5, program=built.image) as target, Link(target.url) as link:
        assert link.hello.build_id.hex() == built.build_id


def test_the_desktop_has_no_limits_to_build_against() -> None:
    with pytest.raises(ConfigurationError, match="--board"):
        build_for_board(resolve_agent(cartpole()), "desktop", seed=0, entropy_mode="seeded")


@pytest.mark.slow
def test_the_command_reports_sizes_and_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_board("uno")
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format(hidden=32, episodes=1, kind="int16", preset="edge"), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["nrl-edge", "build", str(path), *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), capsys.readouterr().out

    code, out = run("--board", "uno", "--json", "--output", str(tmp_path / "firmware"))
    result = json.loads(out.splitlines()[-1])
    assert code == 0
    assert set(result) >= {
        *("board", "text_bytes", "data_bytes", "bss_bytes", "flash_limit_bytes", "ram_limit_bytes", "build_id")
    }
    assert (result["board"], result["ram_limit_bytes"]) == ("uno", 2048)
    assert Path(result["image"]).parent == tmp_path / "firmware"
    assert "of 2048" in run("--board", "uno")[1]
    assert run()[0] == 2, "the experiment's own board is the desktop"
    assert run("--board", "moon")[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize("board_id", ["uno", "microbit", "mps2_an386", "riscv32_virt"])
def test_the_command_in_a_generated_project_builds_the_same_image(board_id: str, tmp_path: Path) -> None:
    board = require_board(board_id)
    text = EXPERIMENT.format(hidden=8, episodes=1, kind="int16", preset="edge") + f'[board]\nid = "{board_id}"\n'
    experiment = parse_experiment(text)
    configuration = resolve_agent(experiment)
    write_project(experiment, configuration, tmp_path / "firmware")
    page = (tmp_path / "firmware" / "README.md").read_text(encoding="utf-8")
    [command] = [line.strip() for line in page.splitlines() if line.startswith(f"    {board.toolchain}-gcc ")]
    subprocess.run(["sh", "-c", command], cwd=tmp_path / "firmware", check=True, capture_output=True)
    built = build_for_board(configuration, board, seed=experiment.entropy.seed, entropy_mode="seeded")
    sizes = image_sizes(tmp_path / "firmware" / "firmware.elf")
    assert sizes is not None
    assert (sizes.data_bytes, sizes.bss_bytes) == (built.sizes.data_bytes, built.sizes.bss_bytes)
    # The order of the files on the command line is another, and with it what fills the gaps between them.
    assert abs(sizes.text_bytes - built.sizes.text_bytes) <= 32
    ini = tmp_path / "firmware" / "platformio.ini"
    parsed = configparser.ConfigParser()
    parsed.read_string(ini.read_text(encoding="utf-8"))
    section = parsed[f"env:{board_id}"]
    platformio = board.platformio or PlatformIO("nrl_edge", board.id)
    assert (section["platform"], section["board"]) == (platformio.platform, platformio.board)
    assert shlex.split(section["build_flags"].replace("\n", " "))[: len(board.flags)] == list(board.flags)


def test_a_project_that_this_machine_s_compilers_do_not_build_is_refused(tmp_path: Path) -> None:
    text = EXPERIMENT.format(hidden=8, episodes=1, kind="int16", preset="edge") + '[board]\nid = "uno"\n'
    experiment = parse_experiment(text)
    write_project(experiment, resolve_agent(experiment), tmp_path)
    with pytest.raises(ConfigurationError, match="no environment 'moon'; it has uno"):
        build_project(tmp_path, "moon")
    ini = tmp_path / "platformio.ini"
    as_written = ini.read_text(encoding="utf-8")
    for old, new, named in (
        ("platform = atmelavr", "platform = espressif32", "platform 'espressif32'.*--toolchain platformio"),
        ("board = uno", "board = uno\nframework = arduino", "framework arduino.*--toolchain platformio"),
    ):
        ini.write_text(as_written.replace(old, new), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=named):
            build_project(tmp_path)


@pytest.mark.parametrize("board", [each for each in load_boards() if each.platformio], ids=lambda board: board.id)
def test_platformio_knows_every_key_of_a_board_s_ini(board: Board) -> None:
    text = EXPERIMENT.format(hidden=8, episodes=1, kind="int16", preset="edge") + f'[board]\nid = "{board.id}"\n'
    experiment = parse_experiment(text)
    ini = configparser.ConfigParser()
    ini.read_string(render_project(experiment, resolve_agent(experiment))["platformio.ini"])
    known = {option.removeprefix("env.") for option in ProjectOptions}
    for section in ini.sections():
        for key in ini[section]:
            name = f"platformio.{key}" if section == "platformio" else key
            # Of board_build.* PlatformIO documents more than it lists: a platform's builder reads them.
            assert name in known or name == "board_build.ldscript", f"[{section}] {key}"
