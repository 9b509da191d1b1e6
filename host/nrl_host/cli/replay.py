"""nrl-edge replay: repeat a recorded run through the reference, or on another target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.errors import RunError
from nrl_edge.runs import RunFolder
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.replay import replay_on


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("replay", epilog="Example: nrl-edge replay runs/first")(replay_command)


def replay_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    target: Annotated[
        str,
        typer.Option(
            metavar="reference|native|BOARD",
            help="Where: NumPy; the C, in process; desktop: the firmware as a process; another board: in its emulator.",
        ),
    ] = "reference",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Repeat a run step by step; exit code 1 where anything differs. The verdict is kept in the run's folder.

    A run that has not reached its end is repeated up to its newest checkpoint; that of a chip which simulates its task,
    episode by episode, up to where it was listened to.
    """
    output = Output(as_json, quiet)
    folder = RunFolder.open(run)
    with output.progress(1, "replay") as bar:
        verdict = replay_on(folder, target, lambda done, total: bar.update(done, "", total))
    try:
        folder.keep_replay_verdict(verdict.as_dict())
    except RunError as error:
        # Somebody else's run, or a full disk: the verdict stands all the same.
        output.warn(f"reports will not know of this replay: {error}")
    until = f", after {verdict.episodes:,} episodes: as far as is known of a run that has not reached its end"
    if verdict.match:
        text = (
            f"match: {verdict.steps:,} calls, weights CRC-32 {verdict.weights_crc32} of the run and of the "
            f"{verdict.target}{'' if verdict.whole else until}"
        )
    elif verdict.first_difference is None:
        text = (
            f"the weights differ at the end: {verdict.recorded_weights_crc32} recorded, {verdict.weights_crc32} by the "
            f"{verdict.target}{'' if verdict.whole else until}"
        )
    elif verdict.first_difference.what == "action":
        first = verdict.first_difference
        text = (
            f"call {first.call} differs: the run's answer was {first.recorded}, that of the {verdict.target} "
            f"{first.replayed}"
        )
    elif verdict.first_difference.what == "episode":
        first = verdict.first_difference
        text = (
            f"episode {verdict.episodes + 1} differs: it had {first.recorded} on the board, and {first.replayed} "
            f"by the {verdict.target}"
        )
    else:
        first = verdict.first_difference
        text = (
            f"the weights differ at the checkpoint after call {first.call}: {first.recorded} recorded, "
            f"{first.replayed} by the {verdict.target}; every answer until then is the same"
        )
    output.result(verdict.as_dict(), text)
    if not verdict.match:
        raise typer.Exit(1)
