"""nrl-edge build: compile a generated project through PlatformIO."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.platformio import build_project


class Toolchain(StrEnum):
    """Where compiler and build tools come from."""

    SYSTEM = "system"
    PLATFORMIO = "platformio"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge build my-agent/firmware")(build)


def build(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder that nrl-edge generate wrote.")],
    environment: Annotated[str, typer.Option(help="Environment of platformio.ini.")] = "desktop",
    toolchain: Annotated[
        Toolchain, typer.Option(help="system: this machine's compiler, no registry; platformio: what it fetches.")
    ] = Toolchain.SYSTEM,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compile a generated project with PlatformIO."""
    program = build_project(project, environment, toolchain.value)
    Output(as_json, quiet).result({"program": str(program), "environment": environment}, f"built {program}")
