"""nrl-edge build: the firmware of an experiment for a board, or a generated project through PlatformIO."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_host.build import build_experiment
from nrl_host.build.platformio import build_project
from nrl_host.cli.options import JsonOption, ProfileChoice, ProfileOption, QuietOption
from nrl_host.cli.output import Output


class Toolchain(StrEnum):
    """Where compiler and build tools come from."""

    SYSTEM = "system"
    PLATFORMIO = "platformio"
    DIRECT = "direct"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        epilog="Example: nrl-edge build my-agent/experiment.toml --board uno, or nrl-edge build my-agent/firmware"
    )(build)


def build(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="An experiment file, or a folder that nrl-edge generate wrote.")
    ],
    board: Annotated[
        str | None, typer.Option(help="Of an experiment: the board to build for; else the experiment's.")
    ] = None,
    output_folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Of an experiment: where sources and image go.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Of a project: environment of platformio.ini; else its first.")
    ] = None,
    toolchain: Annotated[
        Toolchain,
        typer.Option(
            help="system: PlatformIO with this machine's compilers, no registry; platformio: with what it fetches; "
            "direct, for experiments: the compiler alone."
        ),
    ] = Toolchain.SYSTEM,
    profile: ProfileOption = ProfileChoice.OFF,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build firmware. For a board: its sizes against the board's limits, refused where it does not fit."""
    output = Output(as_json, quiet)
    if source.is_dir() or (not source.exists() and board is None):
        if toolchain is Toolchain.DIRECT:
            raise ConfigurationError("--toolchain direct builds experiments: name an experiment file and its --board")
        fetched = toolchain is Toolchain.PLATFORMIO
        program = build_project(source, environment, "platformio" if fetched else "system")
        output.result({"program": str(program), "environment": program.parent.name}, f"built {program}")
        return
    built = build_experiment(
        load_experiment(source), board, folder=output_folder, toolchain=toolchain.value, profile=profile.value
    )
    sizes = built.sizes
    flash = (
        f"{built.flash_bytes} of {built.flash_limit_bytes} bytes ({built.flash_bytes / built.flash_limit_bytes:.0%})"
    )
    ram = f"{built.ram_bytes} of {built.ram_limit_bytes} bytes ({built.ram_bytes / built.ram_limit_bytes:.0%})"
    stack = f"besides {built.stack_room_bytes} for the stack"
    if built.stack is not None:
        stack += f", which takes {built.stack.bytes} at most ({built.stack.interrupt_bytes} of them for interrupts)"
    output.result(
        built.as_dict(),
        f"built {built.image}\n"
        f"{built.board.name}: text {sizes.text_bytes}, data {sizes.data_bytes}, bss {sizes.bss_bytes} bytes\n"
        f"flash {flash}, RAM {ram}, {stack}\nbuild id {built.build_id}",
    )
