"""nrl-edge hil: run an experiment with a device at a serial port."""

from __future__ import annotations

import typer

from nrl_edge.experiment import load_experiment
from nrl_edge.simulation import RunOptions, RunSummary
from nrl_host.cli.options import (
    BaudOption,
    EpisodesOption,
    ExperimentArgument,
    JsonOption,
    LineFaultsOption,
    NoResetOption,
    PortOption,
    QuietOption,
    ResumeOption,
    RunOption,
    SeedOption,
)
from nrl_host.cli.output import Output
from nrl_host.cli.running import run_with_progress
from nrl_host.hil import run_hil
from nrl_host.link import DEFAULT_BAUD
from nrl_host.link.faults import parse_line_faults


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Run an experiment with the agent on a device, the task here.",
        epilog="Example: nrl-edge hil experiment.toml --port socket://127.0.0.1:5555 --run runs/first",
    )(hil)


def hil(
    experiment: ExperimentArgument,
    port: PortOption,
    baud: BaudOption = DEFAULT_BAUD,
    no_reset: NoResetOption = False,
    seed: SeedOption = None,
    episodes: EpisodesOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    line_faults: LineFaultsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run an experiment with an agent on a device: the task here, the learning there.

    Ctrl-C finishes the episode and leaves a run (--run) that --resume goes on with exactly; twice stops at once.
    """
    loaded = load_experiment(experiment).with_overrides(seed=seed, episodes=episodes)

    output = Output(as_json, quiet)
    faults = None if line_faults is None else parse_line_faults(line_faults)

    def go(options: RunOptions) -> RunSummary:
        return run_hil(
            loaded,
            port,
            baud=baud,
            reset_on_open=not no_reset,
            on_warning=output.warn,
            line_faults=faults,
            **options,
        )

    run_with_progress(output, loaded, go, port, run, resume)
