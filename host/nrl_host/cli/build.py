"""nrl-edge build: the firmware of an experiment for a board, or a generated project through PlatformIO."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.codegen.options import firmware_options
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_host.board_build import STACK_RESERVE_BYTES, build_for_board
from nrl_host.cli.options import JsonOption, ProfileChoice, ProfileOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.platformio import build_project


class Toolchain(StrEnum):
    """Where compiler and build tools come from."""

    SYSTEM = "system"
    PLATFORMIO = "platformio"


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
        typer.Option(help="Of a project: system, this machine's compiler, no registry; platformio, what it fetches."),
    ] = Toolchain.SYSTEM,
    profile: ProfileOption = ProfileChoice.OFF,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build firmware. For a board: its sizes against the board's limits, refused where it does not fit."""
    output = Output(as_json, quiet)
    if source.is_dir() or (not source.exists() and board is None):
        program = build_project(source, environment, toolchain.value)
        output.result({"program": str(program), "environment": program.parent.name}, f"built {program}")
        return
    experiment = load_experiment(source)
    built = build_for_board(
        resolve_agent(experiment),
        board or experiment.board.id,
        seed=experiment.entropy.seed,
        entropy_mode=experiment.entropy.mode,
        options=replace(firmware_options(experiment), profile=profile.value),
        folder=output_folder,
    )
    sizes = built.sizes
    flash = (
        f"{built.flash_bytes} of {built.flash_limit_bytes} bytes ({built.flash_bytes / built.flash_limit_bytes:.0%})"
    )
    ram = f"{built.ram_bytes} of {built.ram_limit_bytes} bytes ({built.ram_bytes / built.ram_limit_bytes:.0%})"
    output.result(
        built.as_dict(),
        f"built {built.image}\n"
        f"{built.board.name}: text {sizes.text_bytes}, data {sizes.data_bytes}, bss {sizes.bss_bytes} bytes\n"
        f"flash {flash}, RAM {ram}, besides {STACK_RESERVE_BYTES} for the stack\nbuild id {built.build_id}",
    )
