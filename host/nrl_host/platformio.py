"""Builds a generated project with PlatformIO, with or without its package registry.

PlatformIO normally fetches its SCons and a platform from its registry. With the `system` toolchain this module lays out
a PlatformIO core folder in which both are already there: SCons from PyPI, and a small `native` platform around the
system's compiler. The project's platformio.ini stays the one that an online user needs.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.native import cache_folder

Toolchain = Literal["system", "platformio"]

_NATIVE_PLATFORM_VERSION = "1.2.1"
_NATIVE_PLATFORM = """\
from platformio.public import PlatformBase


class NativePlatform(PlatformBase):
    \"\"\"The system's own compiler, under the name that PlatformIO's registry gives it.\"\"\"
"""
_NATIVE_BUILDER = """\
from SCons.Script import Default, DefaultEnvironment

environment = DefaultEnvironment()
environment.Replace(PROGNAME="program")
Default(environment.BuildProgram())
"""
_SCONS_ENTRY = """\
import SCons.Script

SCons.Script.main()
"""


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingToolError(
            f"building with PlatformIO needs the Python package {package}, which is not installed; "
            "install it with: pip install 'nrl-edge[boards]'"
        )


def _write_package(folder: Path, kind: str, name: str, version: str, manifest: str, files: dict[str, str]) -> None:
    """One PlatformIO package as its installer would leave it: manifest, install record and files."""
    spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
    texts = {
        manifest: json.dumps({"name": name, "version": version, "title": name, "description": name, "license": "MIT"}),
        ".piopm": json.dumps({"type": kind, "name": name, "version": version, "spec": spec}),
        **files,
    }
    for path, text in texts.items():
        target = folder / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
            temporary.write_text(text)
            temporary.replace(target)


def prepare_system_core(folder: Path | None = None) -> Path:
    """Lay out a PlatformIO core folder that needs no registry, and return it. Safe to call again and in parallel."""
    _require("platformio", "platformio")
    _require("SCons", "scons")
    from platformio.dependencies import get_core_dependencies

    folder = folder or cache_folder() / "platformio-core"
    scons_version = get_core_dependencies()["tool-scons"].lstrip("~^>=")
    _write_package(
        folder / "packages" / "tool-scons",
        "tool",
        "tool-scons",
        scons_version,
        "package.json",
        {"scons.py": _SCONS_ENTRY},
    )
    _write_package(
        folder / "platforms" / "native",
        "platform",
        "native",
        _NATIVE_PLATFORM_VERSION,
        "platform.json",
        {"platform.py": _NATIVE_PLATFORM, "builder/main.py": _NATIVE_BUILDER},
    )
    return folder


def _environments(project: Path) -> dict[str, str]:
    """The environments of a project's platformio.ini, the first being the default, and the platform of each."""
    ini = configparser.ConfigParser()
    try:
        ini.read_string((project / "platformio.ini").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigurationError(
            f"{project} holds no platformio.ini that can be read ({error}). Write a project with: nrl-edge generate "
            f"EXPERIMENT --output {project}; firmware of boards that PlatformIO does not know is built with: nrl-edge "
            "build EXPERIMENT --board BOARD"
        ) from error
    prefix = "env:"
    names = [name.removeprefix(prefix) for name in ini.sections() if name.startswith(prefix)]
    return {name: ini[prefix + name].get("platform", "") for name in names}


def build_project(project: Path, environment: str | None = None, toolchain: Toolchain = "system") -> Path:
    """Build one environment of a generated project (its first where None) and return the program or image.

    `system` uses the system's compiler and never asks the registry, which goes for the desktop; `platformio` lets
    PlatformIO fetch what it wants. Raises ConfigurationError where `project` is none, MissingToolError where a tool is
    missing, RunError with the compiler's messages where the build fails.
    """
    environments = _environments(project)
    environment = environment or next(iter(environments), "")
    if environment not in environments:
        raise ConfigurationError(
            f"{project}: platformio.ini has no environment {environment!r}; it has {', '.join(environments) or 'none'}"
        )
    if toolchain == "system" and environments[environment] != "native":
        raise ConfigurationError(
            f"{project} is firmware for {environment}: build it with nrl-edge build {project / 'experiment.toml'}, or "
            "with --toolchain platformio, which fetches a compiler"
        )
    _require("platformio", "platformio")
    variables = dict(os.environ)
    if toolchain == "system":
        if not (shutil.which("gcc") or shutil.which("cc")):
            raise MissingToolError("the system toolchain needs gcc; install it with: apt-get install gcc")
        variables |= {
            "PLATFORMIO_CORE_DIR": str(prepare_system_core()),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
            "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
            "PLATFORMIO_NO_ANSI": "true",
        }
    finished = subprocess.run(
        [sys.executable, "-m", "platformio", "run", "--project-dir", str(project), "--environment", environment],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    # PlatformIO calls a program of this computer so, and an image of a board otherwise.
    folder = project / ".pio" / "build" / environment
    program = folder / ("program" if environments[environment] == "native" else "firmware.elf")
    if finished.returncode != 0 or not program.is_file():
        messages = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
        raise RunError(f"PlatformIO could not build {project}:\n" + "\n".join(messages[-15:]))
    return program
