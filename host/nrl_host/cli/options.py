"""Options and arguments that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ProfileChoice(StrEnum):
    """What firmware counts of what it costs."""

    OFF = "off"
    STEPS = "steps"
    PHASES = "phases"


ExperimentArgument = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment file (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line; the last line is the result.")]
LineFaultsOption = Annotated[
    str | None,
    typer.Option(
        metavar="RATES",
        help="Make the line to the device bad: drop=0.1,flip=0.05,truncate=,duplicate=,reorder=,delay=,garbage=,stall=,"
        "seed=7",
    ),
]
PortOption = Annotated[str, typer.Option(help="/dev/ttyACM0, COM3, socket://HOST:PORT, or any URL of pyserial's.")]
BaudOption = Annotated[int, typer.Option(help="Bits a second, where the port has a rate.")]
NoResetOption = Annotated[bool, typer.Option("--no-reset", help="Open the port without resetting the board.")]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The device's key, where it has one (nrl-edge key).")
]
ProfileOption = Annotated[
    ProfileChoice,
    typer.Option("--profile", help="Firmware that counts what it costs: whole steps, or every phase."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of agent and episodes, instead of the file's.")]
EpisodesOption = Annotated[int | None, typer.Option("--episodes", help="Number of episodes, instead of the file's.")]
RunOption = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Folder to keep the run in.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --run where it stopped.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="List what would be written, and write nothing.")]
