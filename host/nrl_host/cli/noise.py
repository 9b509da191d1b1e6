"""nrl-edge noise: is a capture of random bits as random as an agent needs it?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from nrl_edge.errors import ConfigurationError
from nrl_edge.noise import analyse, read_capture
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.add_typer(group, name="noise", help="Judge captures of random bits.")


@group.callback()
def noise() -> None:
    """Judge captures of random bits."""


@group.command("test", epilog="Example: nrl-edge noise test capture.bin --plot capture.svg")
def test_command(
    capture: Annotated[Path, typer.Argument(metavar="FILE", help="Raw bytes, the low bit of each first.")],
    min_entropy: Annotated[float, typer.Option(help="What the source claims a bit to hold, up to 1.")] = 0.9,
    alpha: Annotated[int, typer.Option(help="Health tests alarm a healthy source with a chance of 2^-ALPHA.")] = 30,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw bytes, autocorrelation and bits (.svg or .png).")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Health tests, bias, autocorrelation and estimates of min-entropy; exit code 1 where one does not hold."""
    output = Output(as_json, quiet)
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise ConfigurationError(f"--plot {plot}: the file's name has to end in .svg or .png")
    bits = read_capture(capture)
    report = analyse(bits, min_entropy=min_entropy, alpha_exponent=alpha)
    if plot is not None:
        from nrl_edge.noise.plots import write_plot

        try:
            write_plot(plot, capture.name, bits, report)
        except OSError as error:
            raise ConfigurationError(f"--plot {plot}: cannot be written: {error.strerror or error}") from error
    table = Table("claim", "holds", "figure")
    for check in report.checks:
        table.add_row(check.claim, "yes" if check.holds else "NO", check.figure)
    output.table(table)
    verdict = "all of it holds" if report.holds else "not all of it holds"
    output.result(
        {
            "bits": report.bits,
            "ones": round(report.ones, 6),
            "min_entropy_most_common_value": round(report.most_common_value, 6),
            "min_entropy_markov": round(report.markov, 6),
            "alarms": len(report.alarms),
            "holds": report.holds,
            "checks": [{"claim": each.claim, "holds": each.holds, "figure": each.figure} for each in report.checks],
        },
        f"{capture}: {report.bits:,} bits, {report.ones:.2%} ones: {verdict}",
    )
    if not report.holds:
        raise typer.Exit(1)
