"""nrl-edge replay: repeat a recorded run through the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("replay", epilog="Example: nrl-edge replay runs/first")(replay_command)


def replay_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Repeat a run step by step through the NumPy reference; exit code 1 where anything differs."""
    output = Output(as_json, quiet)
    with output.progress(1, "replay") as bar:
        verdict = replay(RunFolder.open(run), lambda done, total: bar.update(done, "", total))
    if verdict.match:
        text = f"match: {verdict.steps:,} calls, weights CRC-32 {verdict.weights_crc32} on both sides"
    elif verdict.first_difference is None:
        text = (
            f"the weights differ: {verdict.recorded_weights_crc32} recorded, {verdict.weights_crc32} by the reference"
        )
    else:
        first = verdict.first_difference
        text = (
            f"call {first.call} differs: the target answered {first.recorded_action}, "
            f"the reference {first.reference_action}"
        )
    output.result(verdict.as_dict(), text)
    if not verdict.match:
        raise typer.Exit(1)
