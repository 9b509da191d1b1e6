"""nrl-edge noise: capture raw bits of a generator, judge them, and see whether there are enough of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from nrl_edge.boards import find_board, load_boards
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.noise import analyse, read_capture
from nrl_edge.noise.budget import noise_budget
from nrl_host.cli.options import ExperimentArgument, JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.link import DEFAULT_BAUD, Link
from nrl_host.noise_capture import capture_noise
from nrl_host.targets import make_target

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.add_typer(group, name="noise", help="Capture and judge random bits; the noise budget of an agent.")


@group.callback()
def noise() -> None:
    """Capture and judge random bits; the noise budget of an agent."""


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


@group.command("capture", epilog="Example: nrl-edge noise capture --target microbit --bytes 100000 -o capture.bin")
def capture_command(
    capture: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the raw bytes go.")],
    port: Annotated[str | None, typer.Option(help="Where a board with firmware of this project is.")] = None,
    target: Annotated[str | None, typer.Option(help="Or: a board whose emulator gives the bytes.")] = None,
    length: Annotated[int, typer.Option("--bytes", min=1, help="How many bytes.")] = 100_000,
    baud: Annotated[int, typer.Option(help="Bits a second, where the port has a rate.")] = DEFAULT_BAUD,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Stream raw bits of a generator, past all tests, from a board or an emulator into a file for `noise test`."""
    output = Output(as_json, quiet)
    if (port is None) == (target is None):
        raise ConfigurationError("name one of --port (a board) and --target (an emulated board)")
    if capture.exists():
        raise ConfigurationError(f"{capture} exists already and stays as it is; name another file")
    # Now, and not when minutes of capture would be lost.
    if not capture.parent.is_dir():
        raise ConfigurationError(f"{capture} cannot be written: there is no folder {capture.parent}; make it first")

    def read(url: str) -> tuple[str, bytes]:
        with Link(url, baud=baud) as link, output.progress(length, "capture") as bar:
            return link.hello.board, capture_noise(link, length, lambda done: bar.update(done, "bytes"))

    if target is None:
        assert port is not None
        board, captured = read(port)
    else:
        with make_target(target, AgentConfiguration(4, (8,), 2)) as running:
            board, captured = read(running.url)
    try:
        capture.write_bytes(captured)
    except OSError as error:
        raise ConfigurationError(f"{capture} cannot be written: {error.strerror or error}") from error
    output.result(
        {"board": board, "bytes": len(captured), "file": str(capture)},
        f"{len(captured):,} raw bytes of {board} are in {capture}; judge them with: nrl-edge noise test {capture}",
    )


@group.command("budget", epilog="Example: nrl-edge noise budget experiment.toml --board microbit --rate 50")
def budget_command(
    experiment: ExperimentArgument,
    board: Annotated[str | None, typer.Option(help="One board; else all that have a generator.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Steps a second that the agent is to take.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Random bits a step against each generator's rate; with --rate, exit code 1 where raw noise cannot keep up."""
    output = Output(as_json, quiet)
    boards = load_boards() if board is None else [find_board(board)]
    if board is not None and boards[0].entropy_source is None:
        raise ConfigurationError(f"board {board!r} has no hardware generator; its agents draw from a seed")
    agent = resolve_agent(load_experiment(experiment))
    budget = noise_budget(agent)
    table = Table("board", "bits/s", "steps/s on raw noise", "on expanded", "pause at an episode's end", "keeps up")
    rows = []
    for each in boards:
        source = each.entropy_source
        if source is None or source.bits_per_second is None:
            continue
        steps, pause = budget.steps_per_second(source.bits_per_second), budget.pause_seconds(source.bits_per_second)
        enough = rate is None or steps >= rate
        says = "" if rate is None else ("yes" if enough else f"NO, {rate / steps:.1f} times too slow")
        expanded = budget.expanded_steps_per_second(source.bits_per_second)
        table.add_row(
            each.id, f"{source.bits_per_second:,}", f"{steps:,.1f}", f"{expanded:,.0f}", f"{1000 * pause:,.1f} ms", says
        )
        rows.append(
            {
                "board": each.id,
                "raw_noise_rate_hz": source.bits_per_second,
                "max_steps_per_second": round(steps, 3),
                "max_steps_per_second_expanded": round(expanded, 3),
                "episode_end_pause_seconds": round(pause, 6),
                "keeps_up": enough,
            }
        )
    output.table(table)
    output.result(
        {
            "agent": agent.description,
            "entropy_bits_per_step": budget.bits_per_step,
            "entropy_bits_per_episode_end": budget.bits_per_episode_end,
            "initial_entropy_bits": budget.initial_bits,
            "boards": rows,
        },
        f"{agent.description}: {budget.bits_per_step:g} bits a step, {budget.bits_per_episode_end:,} at the end of an "
        f"episode, {budget.initial_bits:,} for the initial weights",
    )
    if not all(row["keeps_up"] for row in rows):
        raise typer.Exit(1)
