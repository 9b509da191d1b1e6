"""Builds one environment of a project, with the system's compilers or with what PlatformIO fetches."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nrl_edge.boards import Board
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_host.build.platformio.core_folder import (
    CORE_VARIABLES,
    NATIVE_PLATFORM,
    board_of,
    prepare_core_folder,
    require_platformio,
)
from nrl_host.build.toolchain import find_cross_compiler

Toolchain = Literal["system", "platformio"]
"""Where compilers come from: this machine, without one look-up, or PlatformIO, which fetches them."""

_SHOWN_LINES = 15


@dataclass(frozen=True)
class _Environment:
    """One environment of a platformio.ini."""

    name: str
    platform: str
    board: str
    framework: str


def build_project(project: Path, environment: str | None = None, toolchain: Toolchain = "system") -> Path:
    """Build one environment of a generated project (its first where None) and return the program or image.

    `system` uses the system's compilers and never asks the registry, which goes for the desktop and for boards whose
    port stands on registers; `platformio` lets PlatformIO fetch what it wants. Raises ConfigurationError where
    `project` is none, MissingToolError where a tool is missing, RunError with the compiler's messages where the build
    fails.
    """
    found = _environment(project, environment)
    finished = run_platformio(project, found.name, toolchain=toolchain)
    # PlatformIO calls a program of this computer so, and an image of a board otherwise.
    folder = project / ".pio" / "build" / found.name
    program = folder / ("program" if found.platform == NATIVE_PLATFORM else "firmware.elf")
    if finished.returncode != 0 or not program.is_file():
        raise RunError(f"PlatformIO could not build {project}:\n{shown(finished)}{_hint(finished, toolchain)}")
    return program


def run_platformio(
    project: Path, environment: str | None = None, arguments: Sequence[str] = (), *, toolchain: Toolchain = "system"
) -> subprocess.CompletedProcess[str]:
    """`pio run` for one environment of a project, with further arguments such as ("-t", "upload").

    Raises what `build_project` raises before anything is run; how the run ended is the caller's to judge.
    """
    found = _environment(project, environment)
    variables = dict(os.environ)
    if toolchain == "system":
        _require_compiler(project, found)
        variables |= {"PLATFORMIO_CORE_DIR": str(prepare_core_folder()), **CORE_VARIABLES}
    else:
        require_platformio(with_scons=False)
    return subprocess.run(
        [*platformio_command(project, found.name), *arguments],
        env=variables,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def platformio_command(project: Path, environment: str) -> list[str]:
    """The command line of `pio run` for one environment of a project."""
    return [sys.executable, "-m", "platformio", "run", "--project-dir", str(project), "--environment", environment]


def shown(finished: subprocess.CompletedProcess[str]) -> str:
    """The last lines of what a run said."""
    lines = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
    return "\n".join(lines[-_SHOWN_LINES:])


def _hint(finished: subprocess.CompletedProcess[str], toolchain: Toolchain) -> str:
    said = finished.stdout + finished.stderr
    if toolchain == "platformio" and ("HTTPClientError" in said or "UnknownPackageError" in said):
        return "\nPlatformIO's registry could not be reached; --toolchain system builds without it"
    return ""


def _environment(project: Path, name: str | None) -> _Environment:
    """An environment of a project's platformio.ini, its first where `name` is None."""
    ini = configparser.ConfigParser()
    try:
        ini.read_string((project / "platformio.ini").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigurationError(
            f"{project} holds no platformio.ini that can be read ({error}). Write a project with: nrl-edge generate "
            f"EXPERIMENT --output {project}"
        ) from error
    prefix = "env:"
    names = [section.removeprefix(prefix) for section in ini.sections() if section.startswith(prefix)]
    name = name or next(iter(names), "")
    if name not in names:
        raise ConfigurationError(
            f"{project}: platformio.ini has no environment {name!r}; it has {', '.join(names) or 'none'}"
        )
    section = ini[prefix + name]
    return _Environment(name, section.get("platform", ""), section.get("board", ""), section.get("framework", ""))


def _require_compiler(project: Path, environment: _Environment) -> None:
    if environment.platform == NATIVE_PLATFORM:
        if not (shutil.which("gcc") or shutil.which("cc")):
            raise MissingToolError("the system toolchain needs gcc; install it with: apt-get install gcc")
        return
    board: Board | None = board_of(environment.platform, environment.board)
    if board is None or board.toolchain is None or environment.framework:
        of_framework = f", framework {environment.framework}" if environment.framework else ""
        raise ConfigurationError(
            f"{project} is for platform {environment.platform!r}, board {environment.board!r}{of_framework}, which the "
            "system's compilers do not build; --toolchain platformio lets PlatformIO fetch what builds it"
        )
    find_cross_compiler(board.toolchain)
