"""nrl-edge report: one HTML file about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.runs import RunFolder
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.replay import replay_on


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Write a self-contained HTML report of runs.",
        epilog="Example: nrl-edge report runs/first runs/float --output report.html",
    )(report)


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; the first is the one it is about.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; else RUN/report.html.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="First repeat every finished fixed-point run through the reference.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Counts of the firmware: what profiling with --json printed.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a self-contained HTML report: what ran where, learning curves, noise, budget, weights, settings.

    Runs of one agent with several seeds are drawn as their mean in a band. Float64 and fixed-point runs are compared.
    """
    from nrl_edge.report import read_profile, report_data, write_report  # plotting takes half a second to load

    talk = Output(as_json, quiet)
    path = output or runs[0] / "report.html"
    counted = None if profile is None else read_profile(profile)
    folders = [RunFolder.open(run) for run in runs]
    for folder in folders if replay else ():
        if folder.info.agent is not None and folder.info.status in ("finished", "stopped"):
            _repeat(folder, talk)
    words = ["nrl-edge report", *map(str, runs), *(["--replay"] if replay else []), "--output", str(path)]
    words += [] if profile is None else ["--profile", str(profile)]
    data = report_data(folders, commands=[" ".join(words)], profile=counted)
    write_report(data, path)
    talk.result({"report": str(path)}, f"wrote {path}")


def _repeat(folder: RunFolder, talk: Output) -> None:
    with talk.progress(1, f"replay of {folder.path.name}") as bar:
        verdict = replay_on(folder, "reference", lambda done, total: bar.update(done, "", total))
    folder.keep_replay_verdict(verdict.as_dict())
