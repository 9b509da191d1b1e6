"""nrl-edge new: write a commented experiment file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Choices, agent_configuration, load_experiment, new_experiment
from nrl_edge.tasks import make_task
from nrl_host.cli.options import DryRunOption, JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge new my-agent --task cartpole --hidden 8,8")(new)


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write experiment.toml into.")],
    task: Annotated[
        str,
        typer.Option(
            help="cartpole, acrobot, reaching, xor, bandit, bandit4, balance (on the chip) or any gymnasium id."
        ),
    ] = "cartpole",
    hidden: Annotated[
        str | None,
        typer.Option(metavar="UNITS", help="Units of each hidden layer: 64, or 8,8. Left out: those of the task."),
    ] = None,
    preset: Annotated[str, typer.Option(help="edge, actor-critic, or (float64 only) paper.")] = "edge",
    entropy: Annotated[str, typer.Option(help="Where random bytes come from: seeded, raw, expanded.")] = "seeded",
    board: Annotated[str, typer.Option(help="Where the firmware runs; `nrl-edge boards` lists them.")] = "desktop",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a commented experiment file for a task."""
    output = Output(as_json, quiet)
    path = new_experiment(folder, task, Choices(_units(hidden), preset, entropy, board), dry_run=dry_run)
    said = f"would write {path}"
    if not dry_run:
        said = f"wrote {path}\nnext: nrl-edge {_next_verb(output, path)} {path}"
    output.result({"experiment": str(path), "written": not dry_run}, said)


def _next_verb(output: Output, path: Path) -> str:
    """sim, or train where fixed point has no agent of such a shape, which is told."""
    experiment = load_experiment(path)
    if experiment.arithmetic.kind == "float64":
        return "train"
    task = make_task(experiment.task.id)
    task.close()
    try:
        agent_configuration(experiment, task.inputs, task.actions, continuous=task.continuous is not None)
    except ConfigurationError as error:
        output.warn(str(error))
        return "train"
    return "sim"


def _units(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--hidden: {text!r}: give whole numbers, as in 64 or 8,8") from None
