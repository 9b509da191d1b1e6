"""nrl-edge export: write an agent as a library for a program of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.export import EXPORT_KINDS, example_experiment, export_agent, export_plant, fitting_examples
from nrl_edge.strict_toml import did_you_mean
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output

_NEXT = {
    "arduino": "put the folder below libraries/ of your sketchbook, or zip it for the IDE",
    "platformio": "put the folder into lib/ of a project, or name it in lib_deps",
    "c": "cmake -B {folder}/build {folder} && cmake --build {folder}/build && ctest --test-dir {folder}/build",
}


PLANT = "plant"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Export an agent as a library that needs no host.",
        epilog="Example: nrl-edge export arduino my-agent/experiment.toml --output NrlAgent\n\n"
        "Example: nrl-edge export arduino --example blink-bandit --output NrlBlinkBandit\n\n"
        "Example: nrl-edge export plant --board microbit --output plant",
    )(export)


def export(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="arduino, platformio or c: a library with an agent; plant: firmware.")
    ],
    experiment: Annotated[
        Path | None, typer.Argument(metavar="[EXPERIMENT]", help="The experiment file (TOML) of the agent.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the library; without: its name.")
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Instead of an experiment: the agent of blink-bandit or balance."),
    ] = None,
    board: Annotated[
        str | None, typer.Option(metavar="BOARD", help="Of a plant; `nrl-edge boards` lists them.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the library and of its header.")] = "NrlAgent",
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other things as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be written, and write nothing.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export an agent as a library: your program brings sensors, actuators and a reward, and no host is needed.

    Every export has the examples that fit its agent; sensor-loop, a skeleton, fits any. KIND plant is the other way
    round: firmware that is acted upon, for learners on the host (NRL/Serial-v0).
    """
    talk = Output(as_json, quiet)
    if kind == PLANT:
        _export_plant(talk, experiment or example, board, output or Path("plant"), force, dry_run)
        return
    if board is not None:
        raise ConfigurationError(f"--board {board}: a library is for any board; only a plant is for one")
    if kind not in EXPORT_KINDS:
        kinds = (*EXPORT_KINDS, PLANT)
        raise ConfigurationError(f"cannot export {kind!r}{did_you_mean(kind, kinds)} Kinds are {', '.join(kinds)}")
    if (experiment is None) == (example is None):
        raise ConfigurationError(
            "name what is to be exported: an experiment file, or --example blink-bandit or balance, and not both"
        )
    loaded = example_experiment(str(example)) if experiment is None else load_experiment(experiment)
    configuration = resolve_agent(loaded)
    folder = output or Path(name)
    files = export_agent(kind, loaded, configuration, folder, name=name, force=force, dry_run=dry_run)
    names = [path.relative_to(folder).as_posix() for path in files]
    examples = [each.name for each in fitting_examples(loaded, configuration)]
    for each in names if dry_run else ():
        talk.say(str(folder / each))
    talk.result(
        {
            "export": str(folder),
            "kind": kind,
            "name": name,
            "agent": configuration.description,
            "agent_identity": f"{configuration.identity:08x}",
            "examples": examples,
            "files": names,
            "written": not dry_run,
        },
        f"{len(names)} files would be written to {folder}"
        if dry_run
        else f"wrote {len(names)} files to {folder}: {configuration.description}\nexamples: {', '.join(examples)}\n"
        f"next: {_NEXT[kind].format(folder=folder)}",
    )


def _export_plant(talk: Output, unwanted: object, board: str | None, folder: Path, force: bool, dry_run: bool) -> None:
    if unwanted is not None or board is None:
        raise ConfigurationError(
            "a plant has no agent and so no experiment; name its board: nrl-edge export plant --board microbit"
        )
    files = export_plant(board, folder, force=force, dry_run=dry_run)
    names = [path.relative_to(folder).as_posix() for path in files]
    for each in names if dry_run else ():
        talk.say(str(folder / each))
    talk.result(
        {"export": str(folder), "kind": PLANT, "board": board, "files": names, "written": not dry_run},
        f"{len(names)} files would be written to {folder}"
        if dry_run
        else f"wrote {len(names)} files to {folder}: a plant for {board}\nnext: {folder / 'README.md'} says how to "
        'build it; then gymnasium.make("nrl_host.plant:NRL/Serial-v0", port=PORT)',
    )
