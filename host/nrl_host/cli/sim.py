"""nrl-edge sim: run an experiment on this computer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from nrl_edge.boards import load_boards
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_edge.simulation import LocalTarget, RunOptions, RunSummary, simulate
from nrl_edge.strict_toml import did_you_mean
from nrl_host.cli.options import (
    EpisodesOption,
    ExperimentArgument,
    JsonOption,
    LineFaultsOption,
    QuietOption,
    ResumeOption,
    RunOption,
    SeedOption,
)
from nrl_host.cli.output import Output
from nrl_host.cli.running import run_with_progress
from nrl_host.hil import simulate_firmware
from nrl_host.link.faults import parse_line_faults

_LOCAL: dict[str, LocalTarget] = {"reference": "reference", "native": "native"}


class Transport(StrEnum):
    """What the desktop firmware is behind."""

    TCP = "tcp"
    PTY = "pty"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge sim experiment.toml --target native --seed 101 --episodes 200 --json")(sim)


def sim(
    experiment: ExperimentArgument,
    target: Annotated[
        str,
        typer.Option(
            metavar="reference|native|BOARD",
            help="reference: NumPy; native: the C, in process; desktop: the firmware as a process; the id of another"
            " board: its firmware in an emulator (`nrl-edge boards` lists them).",
        ),
    ] = "desktop",
    seed: SeedOption = None,
    episodes: EpisodesOption = None,
    transport: Annotated[Transport, typer.Option(help="What the desktop firmware is behind.")] = Transport.TCP,
    run: RunOption = None,
    resume: ResumeOption = False,
    line_faults: LineFaultsOption = None,
    generator: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="How the random number generator of a modelled chip is: healthy, zero, one, period2, bias60, dead or"
            " error; with @N behind it, from bit N on, as in one@60000. See docs/noise.md.",
        ),
    ] = "healthy",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run an experiment on this computer. Equal seeds end with equal weights on every target.

    Ctrl-C finishes the episode and leaves a run (--run) that --resume goes on with exactly; twice stops at once.
    """
    loaded = load_experiment(experiment).with_overrides(seed=seed, episodes=episodes)

    output = Output(as_json, quiet)
    faults = None if line_faults is None else parse_line_faults(line_faults)

    def go(options: RunOptions) -> RunSummary:
        if target in _LOCAL:
            if faults is not None:
                raise ConfigurationError(f"--line-faults: target {target} has no line; choose desktop or a board")
            if generator != "healthy":
                raise ConfigurationError(f"--generator: target {target} has none; choose a board with a modelled chip")
            return simulate(loaded, _LOCAL[target], **options)
        return simulate_firmware(
            loaded,
            board=target,
            transport=transport.value,
            on_warning=output.warn,
            line_faults=faults,
            generator=generator,
            **options,
        )

    if target not in _LOCAL and target not in (ids := [board.id for board in load_boards()]):
        raise ConfigurationError(
            f"unknown target {target!r}{did_you_mean(target, [*_LOCAL, *ids])} "
            f"Targets are {', '.join(_LOCAL)} and the boards of `nrl-edge boards`"
        )
    run_with_progress(output, loaded, go, target, run, resume)
