"""nrl-edge export: write an agent as a library for a program of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.export import EXPORT_KINDS, example_experiment, export_agent, fitting_examples
from nrl_edge.strict_toml import did_you_mean
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output

_NEXT = {
    "arduino": "put the folder below libraries/ of your sketchbook, or zip it for the IDE",
    "platformio": "put the folder into lib/ of a project, or name it in lib_deps",
    "c": "cmake -B {folder}/build {folder} && cmake --build {folder}/build && ctest --test-dir {folder}/build",
}


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        epilog="Example: nrl-edge export arduino my-agent/experiment.toml --output NrlAgent\n\n"
        "Example: nrl-edge export arduino --example blink-bandit --output NrlBlinkBandit"
    )(export)


def export(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="arduino, platformio or c.")],
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
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the library and of its header.")] = "NrlAgent",
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other things as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be written, and write nothing.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export an agent as a library: your program brings sensors, actuators and a reward, and no host is needed.

    Every export has the examples that fit its agent; sensor-loop, a skeleton, fits any.
    """
    talk = Output(as_json, quiet)
    if kind not in EXPORT_KINDS:
        raise ConfigurationError(
            f"cannot export {kind!r}{did_you_mean(kind, EXPORT_KINDS)} Kinds are {', '.join(EXPORT_KINDS)}"
        )
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
