"""nrl-edge flash: write firmware to a board, and prove that the board runs it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.flash import flash as flash_board


class Toolchain(StrEnum):
    """Whose compilers and programs."""

    SYSTEM = "system"
    PLATFORMIO = "platformio"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Flash a board, and verify that it runs the build.",
        epilog="Example: nrl-edge flash my-agent/experiment.toml --board uno --port /dev/ttyACM0",
    )(flash)


def flash(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="An experiment file, a folder that nrl-edge generate wrote, or an image (ELF)."
        ),
    ],
    board: Annotated[str | None, typer.Option(help="The board; else the experiment's or the project's.")] = None,
    port: Annotated[
        str | None, typer.Option(help="The board's serial port, such as /dev/ttyACM0; else found by its USB ids.")
    ] = None,
    drive: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of a UF2 boot loader: its drive; else found by what it says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Flash although the board runs this build already.")] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not ask the board afterwards whether it runs the build.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build, and show the command that would flash; touch no board.")
    ] = False,
    toolchain: Annotated[
        Toolchain,
        typer.Option(help="system: this machine's compilers and programs; platformio: what PlatformIO fetches."),
    ] = Toolchain.SYSTEM,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Flash a board and verify that it runs the build; a board that runs it already is left alone."""
    output = Output(as_json, quiet)
    done = flash_board(
        source,
        board,
        port=port,
        drive=drive,
        force=force,
        verify=not no_verify,
        dry_run=dry_run,
        toolchain="platformio" if toolchain is Toolchain.PLATFORMIO else "system",
        on_progress=lambda sentence: output.say(f"{sentence} ..."),
    )
    if done.outcome == "dry run":
        text = f"would run: {done.command}"
    elif done.outcome == "unchanged":
        text = f"{done.board} at {done.port} runs build {done.build_id} already: not flashed (--force flashes anyway)"
    else:
        proof = f"it answers with it at {done.port}" if done.verified else "not verified"
        text = f"flashed {done.board} with build {done.build_id}: {proof}"
    output.result(done.as_dict(), text)
