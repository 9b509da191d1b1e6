"""nrl-edge demo: the main job end to end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Learn CartPole in generated firmware, and prove it.",
        epilog="Example: nrl-edge demo --output demo-run",
    )(demo)


def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the demo.")] = Path(
        "demo-run"
    ),
    seed: Annotated[int | None, typer.Option(help="Seed of agent and episodes, instead of the usual one.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn CartPole inside generated firmware, prove what it computed, and write a report. Under two minutes."""
    from nrl_host.demo import run_demo  # it plots: half a second that no other verb should wait for

    output = Output(as_json, quiet)
    number = 0
    with ExitStack() as bars:

        def stage(title: str, units: int) -> Callable[[int, str], None]:
            nonlocal number
            bars.close()
            number += 1
            output.say(f"{number}/5 {title}")
            output.line({"stage": number, "title": title})
            return bars.enter_context(output.progress(units, "")).update

        result = run_demo(folder, stage, seed)
    output.say("")
    firmware, verdict = result.firmware, result.verdict
    solved = (
        f"solved after {firmware.episodes_to_threshold} episodes"
        if firmware.episodes_to_threshold is not None
        else f"NOT solved in {firmware.episodes} episodes"
    )
    in_float = result.float64_episodes_to_threshold
    proof = "equal bit for bit" if verdict.match else "NOT EQUAL"
    output.result(
        firmware.as_dict()
        | {
            "replay": verdict.as_dict(),
            "float64_episodes_to_threshold": in_float,
            "report": str(result.report),
            "seconds": round(result.seconds, 1),
        },
        f"CartPole {solved} in integer C firmware"
        f" ({f'float64: {in_float}' if in_float is not None else 'float64: not in its episodes'})\n"
        f"firmware and reference: {proof}, {verdict.steps:,} calls, weights CRC-32 "
        f"{verdict.recorded_weights_crc32} and {verdict.weights_crc32}\n"
        f"{result.seconds:.0f} s; the report: {result.report.resolve()}",
    )
    if not result.passed:
        raise typer.Exit(1)
