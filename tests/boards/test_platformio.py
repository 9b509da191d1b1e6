"""Generated projects of boards, built by PlatformIO with the system's compilers: nobody is asked, nothing differs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from board_helpers import EXPERIMENT
from elftools.elf.elffile import ELFFile
from tools import require_board

from nrl_edge.boards import load_boards
from nrl_edge.codegen.project import LINK_FLAGS_SCRIPT, write_project
from nrl_edge.errors import RunError
from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_host.build import build_experiment
from nrl_host.build.board_build import DoesNotFitError
from nrl_host.build.platformio import build_project
from nrl_host.build.platformio.core_folder import is_local
from nrl_host.cli import main

BARE_BOARDS = [board.id for board in load_boards() if is_local(board)]

# Every Python process below us notes here whom it calls, or whose address it asks for.
WATCH = """
import os, socket

def _watched(name):
    original = getattr(socket.socket, name)
    def noted(self, address):
        if self.family != socket.AF_UNIX:
            _note(address)
        return original(self, address)
    return noted

def _note(what):
    with open(os.environ["NRL_EDGE_WATCH"], "a") as file:
        file.write(repr(what) + chr(10))

_getaddrinfo = socket.getaddrinfo

def _asked(host, *more, **others):
    _note(host)
    return _getaddrinfo(host, *more, **others)

socket.socket.connect = _watched("connect")
socket.socket.connect_ex = _watched("connect_ex")
socket.getaddrinfo = _asked
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for every address that a process of Python below this one asks for or connects to."""
    watch, noted = tmp_path / "watch", tmp_path / "calls.txt"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    noted.touch()
    monkeypatch.setenv("PYTHONPATH", str(watch))
    monkeypatch.setenv("NRL_EDGE_WATCH", str(noted))
    # Nothing is there from before.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PLATFORMIO_CORE_DIR", "PLATFORMIO_HOME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return noted


def experiment_for(board_id: str, hidden: str = "8") -> Experiment:
    text = EXPERIMENT.format(hidden=hidden, episodes=1, kind="int16", preset="edge")
    return parse_experiment(text + f'[board]\nid = "{board_id}"\n')


def loaded_bytes(image: Path) -> list[tuple[int, bytes]]:
    with image.open("rb") as file:
        return [(each["p_paddr"], each.data()) for each in ELFFile(file).iter_segments("PT_LOAD")]


def test_who_is_called_is_noted(calls: Path) -> None:
    """What the other tests rely on: the watch sees a look-up and a connection of a process below."""
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert calls.read_text(encoding="utf-8").splitlines() == ["'127.0.0.1'", "('127.0.0.1', 9)"]


@pytest.mark.slow
@pytest.mark.parametrize("board_id", BARE_BOARDS)
def test_the_same_image_comes_out_of_platformio_and_nobody_is_asked(board_id: str, tmp_path: Path, calls: Path) -> None:
    require_board(board_id)
    experiment = experiment_for(board_id)
    by_platformio = build_experiment(experiment, folder=tmp_path / "a project")
    assert calls.read_text(encoding="utf-8") == ""
    direct = build_experiment(experiment, folder=tmp_path / "direct", toolchain="direct")
    assert by_platformio.build_id == direct.build_id
    assert by_platformio.sizes == direct.sizes
    assert loaded_bytes(by_platformio.image) == loaded_bytes(direct.image)
    for suffix in (".hex", ".bin"):
        assert by_platformio.image.with_suffix(suffix).read_bytes() == direct.image.with_suffix(suffix).read_bytes()
    # What `pio run` itself leaves is the same again.
    left = tmp_path / "a project" / ".pio" / "build" / board_id / "firmware.hex"
    assert left.read_bytes() == direct.image.with_suffix(".hex").read_bytes()


# What PlatformIO's own platforms add when no framework is named (their builder/frameworks/_bare.py, November 2026),
# but for libraries that a machine without a C library for Arm has not.
UPSTREAM = {
    "uno": {
        "CFLAGS": ["-std=gnu11", "-fno-fat-lto-objects"],
        "CCFLAGS": ["-Os", "-Wall", "-ffunction-sections", "-fdata-sections", "-flto", "-mmcu=atmega328p"],
        "CPPDEFINES": [["F_CPU", "16000000L"]],
        "LINKFLAGS": ["-Os", "-mmcu=atmega328p", "-Wl,--gc-sections", "-flto", "-fuse-linker-plugin"],
        "LIBS": ["m"],
    },
    "microbit": {
        "CCFLAGS": [
            "-Os",
            "-ffunction-sections",
            "-fdata-sections",
            "-Wall",
            "-mthumb",
            "-nostdlib",
            "-mcpu=cortex-m0",
        ],
        "CPPDEFINES": [["F_CPU", "16000000L"]],
        "LINKFLAGS": ["-Os", "-Wl,--gc-sections,--relax", "-mthumb", "-mcpu=cortex-m0"],
        "LIBS": ["gcc"],
    },
    "feather_f405": {
        "CCFLAGS": ["-Os", "-ffunction-sections", "-fdata-sections", "-Wall", "-mthumb", "-mcpu=cortex-m4"],
        "CPPDEFINES": [["F_CPU", "168000000L"]],
        "LINKFLAGS": ["-Os", "-Wl,--gc-sections,--relax", "-mthumb", "-mcpu=cortex-m4"],
        "LIBS": ["gcc"],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("board_id", UPSTREAM)
def test_what_platformio_s_own_platforms_add_changes_nothing(board_id: str, tmp_path: Path) -> None:
    require_board(board_id)
    experiment = experiment_for(board_id)
    write_project(experiment, resolve_agent(experiment), tmp_path)
    (tmp_path / "upstream.py").write_text(f'Import("env")\nenv.Append(**{UPSTREAM[board_id]!r})\n', encoding="utf-8")
    ini = tmp_path / "platformio.ini"
    text = ini.read_text(encoding="utf-8")
    assert f"extra_scripts = {LINK_FLAGS_SCRIPT}\n" in text
    ini.write_text(text.replace("extra_scripts =", "extra_scripts = pre:upstream.py,"), encoding="utf-8")
    with_them = build_project(tmp_path)
    assert loaded_bytes(with_them) == loaded_bytes(build_experiment(experiment, toolchain="direct").image)


@pytest.mark.slow
def test_what_does_not_fit_is_refused_on_the_way_through_platformio_too(tmp_path: Path) -> None:
    require_board("uno")
    with pytest.raises(DoesNotFitError, match=r"set network\.hidden = \[\d+\]"):
        build_experiment(experiment_for("uno", "64"))
    require_board("microbit")
    with pytest.raises(DoesNotFitError, match=r"set network\.hidden = \[\d+, \d+\]"):
        build_experiment(experiment_for("microbit", "128, 128"), folder=tmp_path / "firmware")
    (tmp_path / "firmware" / "src" / "main.c").write_text("#error this is wrong\n", encoding="utf-8")
    with pytest.raises(RunError, match="this is wrong"):
        build_project(tmp_path / "firmware")


@pytest.mark.slow
def test_the_command_builds_a_project_and_an_image_is_built_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_board("uno")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_for("uno").to_toml(), encoding="utf-8")

    def build(*arguments: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["nrl-edge", "build", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        result: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return result

    image = Path(str(build(str(path))["image"]))
    written = image.stat().st_mtime_ns
    assert build(str(path))["image"] == str(image) and image.stat().st_mtime_ns == written
    write_project(experiment_for("uno"), resolve_agent(experiment_for("uno")), tmp_path / "firmware")
    assert loaded_bytes(Path(str(build(str(tmp_path / "firmware"))["program"]))) == loaded_bytes(image)
