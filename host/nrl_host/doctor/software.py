"""Python, its packages, compilers, emulators and programs that flash boards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata

from nrl_edge.boards import TOOLCHAINS, Board
from nrl_host.build.arduino import HARDWARE_FOLDERS
from nrl_host.build.debian_packages import COMPILER_PACKAGES, EMULATOR_PACKAGES, SIMAVR_PACKAGES
from nrl_host.doctor.check import Check, Machine
from nrl_host.uploaders import PROGRAMS

SIMAVR_HEADER = "/usr/include/simavr/sim_avr.h"
_PYTHON = (3, 11)
_DISTRIBUTION = "nrl-edge"
_EXTRAS = {
    "boards": "building and flashing with PlatformIO",
    "unicorn": "the emulated Raspberry Pi Pico",
    "evidence": "confidence intervals of studies",
    "dask": "studies on a cluster",
}
"""What each optional extra of the distribution is for. Extras for developers are left out."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?[^;]*(?:;\s*extra\s*==\s*['\"]([^'\"]+)['\"])?")


def python_checks(machine: Machine, boards: Sequence[Board], wanted: Sequence[Board]) -> Iterator[Check]:
    """Python itself, what nrl-edge cannot do without, and its optional extras."""
    version = ".".join(map(str, machine.python))
    if machine.python[:2] >= _PYTHON:
        yield Check("Python", "ok", True, version)
    else:
        yield Check(
            "Python", "problem", True, f"{version}; 3.11 or newer is needed", machine.install("python3.11 python3-venv")
        )
    required, extras = _requirements()
    lacking = [name for name in required if not _installed(name)]
    if lacking:
        yield Check(
            "Python packages",
            "missing",
            True,
            f"not installed: {', '.join(lacking)}",
            f"python3 -m pip install {' '.join(lacking)}",
        )
    else:
        yield Check("Python packages", "ok", True, f"all {len(required)} that nrl-edge needs")
    for extra, purpose in _EXTRAS.items():
        names = extras.get(extra, [])
        users = [board.id for board in boards if extra in _extras_of(board)]
        needed = any(extra in _extras_of(board) for board in wanted)
        lacking = [name for name in names if not _installed(name)]
        if lacking:
            remedy = f"python3 -m pip install '{_DISTRIBUTION}[{extra}]'"
            detail = f"{purpose}; not installed: {', '.join(lacking)}"
            yield Check(f"extra {extra}", "missing", needed, detail, remedy, users)
        else:
            yield Check(f"extra {extra}", "ok", needed, purpose, "", users)


def compiler_checks(machine: Machine, boards: Sequence[Board], wanted: Sequence[Board]) -> Iterator[Check]:
    """The host's C compiler and the cross compilers."""
    command = machine.c_compiler()
    if command is None:
        yield Check(
            "C compiler",
            "missing",
            True,
            "none of $CC, cc, gcc, clang and the Python package ziglang is there; targets native and desktop need one",
            f"python3 -m pip install '{_DISTRIBUTION}[compiler]'",
        )
    else:
        yield Check("C compiler", "ok", True, _first_line(machine.run([*command, "--version"])) or " ".join(command))
    for toolchain in TOOLCHAINS:
        users = [board.id for board in boards if board.toolchain == toolchain and board.is_built_here]
        if not users:
            continue
        needed = any(board.toolchain == toolchain and board.is_built_here for board in wanted)
        name, packages = f"{toolchain}-gcc", COMPILER_PACKAGES[toolchain]
        if machine.which(name) is None:
            yield Check(name, "missing", needed, "not installed", machine.install(packages), users)
            continue
        version = _first_line(machine.run([name, "--version"]))
        if toolchain == "avr" and machine.run([name, "-mmcu=atmega328p", "-E", "-"], "#include <avr/io.h>\n") is None:
            detail = f"{version}, but its C library avr-libc is not installed"
            yield Check(name, "problem", needed, detail, machine.install("avr-libc"), users)
            continue
        yield Check(name, "ok", needed, version or "found", "", users)
    yield from _arduino_core_checks(machine, boards, wanted)


def _arduino_core_checks(machine: Machine, boards: Sequence[Board], wanted: Sequence[Board]) -> Iterator[Check]:
    """The Arduino cores of the system that firmware is built with."""
    cores = {board.arduino.core: board.arduino for board in boards if board.arduino is not None}
    for core, arduino in sorted(cores.items()):
        users = [board.id for board in boards if board.arduino is not None and board.arduino.core == core]
        needed = any(board.id in users for board in wanted)
        folder = f"{HARDWARE_FOLDERS[0]}/{core.replace(':', '/')}"
        if machine.path(folder).exists():
            yield Check(f"Arduino core {core}", "ok", needed, folder, "", users)
        else:
            detail = f"{folder} is not there"
            yield Check(f"Arduino core {core}", "missing", needed, detail, machine.install(arduino.package), users)


def emulator_checks(machine: Machine, boards: Sequence[Board], wanted: Sequence[Board]) -> Iterator[Check]:
    """The emulators that are programs or libraries of the system; unicorn is a Python package."""
    for name, packages in EMULATOR_PACKAGES.items():
        users = [board.id for board in boards if _emulator(board) == name]
        if not users:
            continue
        needed = any(_emulator(board) == name for board in wanted)
        if machine.which(name) is None:
            yield Check(name, "missing", needed, "not installed", machine.install(packages), users)
        else:
            yield Check(name, "ok", needed, _first_line(machine.run([name, "--version"])) or "found", "", users)
    users = [board.id for board in boards if _emulator(board) == "simavr"]
    if users:
        needed = any(_emulator(board) == "simavr" for board in wanted)
        if machine.path(SIMAVR_HEADER).exists():
            yield Check("libsimavr", "ok", needed, SIMAVR_HEADER, "", users)
        else:
            detail = f"{SIMAVR_HEADER} is not there"
            yield Check("libsimavr", "missing", needed, detail, machine.install(SIMAVR_PACKAGES), users)


def flashing_checks(machine: Machine, boards: Sequence[Board], wanted: Sequence[Board]) -> Iterator[Check]:
    """Programs that put an image on a board, besides what PlatformIO fetches itself."""
    for tool, program in PROGRAMS.items():
        name = program.name
        users = [board.id for board in boards if board.upload is not None and board.upload.tool == tool]
        if not users:
            continue
        needed = any(board.id in users for board in wanted)
        where = machine.which(name)
        if where is None:
            detail = "not installed; PlatformIO fetches its own where it can reach its registry"
            yield Check(name, "missing", needed, detail, machine.install(program.package), users)
        else:
            yield Check(name, "ok", needed, where, "", users)


def _extras_of(board: Board) -> set[str]:
    extras = {"boards"} if board.platformio is not None else set()
    return extras | ({"unicorn"} if _emulator(board) == "unicorn" else set())


def _emulator(board: Board) -> str | None:
    return board.emulator.split()[0] if board.emulator else None


def _first_line(text: str | None) -> str:
    return text.splitlines()[0].strip() if text else ""


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Names of the distributions that this one requires, and those of each of its extras."""
    try:
        lines = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [], {}  # run from the sources without an installation: what was imported so far is there
    required: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        assert match is not None, line
        (required if match[2] is None else extras.setdefault(match[2], [])).append(match[1])
    return required, extras
