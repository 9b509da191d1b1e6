"""nrl-edge generate: write the firmware of an experiment as a PlatformIO project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.codegen.project import write_project
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_host.cli.options import DryRunOption, ExperimentArgument, JsonOption, ProfileChoice, ProfileOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Generate the firmware: a PlatformIO project of plain C99.",
        epilog="Example: nrl-edge generate my-agent/experiment.toml --output my-agent/firmware",
    )(generate)


def generate(
    experiment: ExperimentArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the project.")] = None,
    profile: ProfileOption = ProfileChoice.OFF,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Generate the firmware of an experiment: a PlatformIO project of plain C99."""
    talk = Output(as_json, quiet)
    loaded = load_experiment(experiment)
    configuration = resolve_agent(loaded)
    folder = output or experiment.parent / "firmware"
    files = write_project(loaded, configuration, folder, dry_run=dry_run, profile=profile.value)
    for path in files if dry_run else ():
        talk.say(f"  {path.relative_to(folder)}")
    talk.result(
        {
            "project": str(folder),
            "board": loaded.board.id,
            "agent": configuration.description,
            "agent_identity": f"{configuration.identity:08x}",
            "files": [str(path.relative_to(folder)) for path in files],
            "written": not dry_run,
        },
        f"would write {len(files)} files to {folder}: {configuration.description}"
        if dry_run
        else f"wrote {len(files)} files to {folder}: {configuration.description}\nnext: nrl-edge build {folder}",
    )
