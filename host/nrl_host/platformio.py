"""Builds a generated project with PlatformIO, with or without its package registry.

PlatformIO normally fetches its SCons and a platform from its registry. With the `system` toolchain this module lays out
a PlatformIO core folder in which both are already there: SCons from PyPI, and a small `native` platform around the
system's compiler. The project's platformio.ini stays the one that an online user needs.
"""

from __future__ import annotations

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


def _is_for_desktop(project: Path) -> bool:
    ini = project / "platformio.ini"
    return ini.is_file() and "[env:desktop]" in ini.read_text(encoding="utf-8")


def build_project(project: Path, environment: str = "desktop", toolchain: Toolchain = "system") -> Path:
    """Build one environment of a generated project and return the program or image.

    `system` uses the system's compiler and never asks the registry; `platformio` lets PlatformIO fetch what it wants.
    Raises ConfigurationError where `project` is none, MissingToolError where a tool is missing, RunError with the
    compiler's messages where the build fails.
    """
    if (project / "nrl_project.json").is_file() and environment == "desktop" and not _is_for_desktop(project):
        raise ConfigurationError(
            f"{project} is firmware for a microcontroller; its README.md has the command that builds it, and "
            "nrl-edge build EXPERIMENT --board BOARD builds it too, with its sizes"
        )
    if not (project / "platformio.ini").is_file():
        raise ConfigurationError(
            f"{project} holds no platformio.ini; write a project with: nrl-edge generate EXPERIMENT --output {project}"
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
    program = project / ".pio" / "build" / environment / "program"
    if finished.returncode != 0 or not program.is_file():
        messages = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
        raise RunError(f"PlatformIO could not build {project}:\n" + "\n".join(messages[-15:]))
    return program
