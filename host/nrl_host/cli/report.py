"""nrl-edge report: one HTML file about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge report runs/first runs/float --output report.html")(report)


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; the first is the one it is about.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file; else RUN/report.html.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a self-contained HTML report: learning curves, policy, weights, counters, settings."""
    from nrl_edge.report import report_data, write_report  # plotting takes half a second to load: only here
    from nrl_edge.runs import RunFolder

    path = output or runs[0] / "report.html"
    command = " ".join(["nrl-edge report", *map(str, runs), "--output", str(path)])
    data = report_data([RunFolder.open(run) for run in runs], commands=[command])
    write_report(data, path)
    Output(as_json, quiet).result({"report": str(path)}, f"wrote {path}")
