"""nrl-edge new: write a commented experiment file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.experiment import new_experiment
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge new my-agent --task cartpole")(new)


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write experiment.toml into.")],
    task: Annotated[
        str,
        typer.Option(
            help="cartpole, acrobot, reaching, xor, bandit, bandit4, balance (on the chip) or any gymnasium id."
        ),
    ] = "cartpole",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a commented experiment file for a task."""
    output = Output(as_json, quiet)
    path = new_experiment(folder, task)
    output.result({"experiment": str(path)}, f"wrote {path}\nnext: nrl-edge sim {path}")
