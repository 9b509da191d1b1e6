"""nrl-edge validate: is it the same everywhere, does it learn, and why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer

from nrl_edge.experiment import Experiment, load_experiment
from nrl_edge.study import LocalScheduler
from nrl_edge.validation import DEFAULT_SEEDS, FIRST_SEED, RunElsewhere, validate
from nrl_host.cli.options import EpisodesOption, ExperimentArgument, JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.hil import run_hil, simulate_firmware


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        "validate",
        short_help="Say which claims an experiment may make, with a verdict each.",
        epilog="Example: nrl-edge validate experiment.toml --seeds 40",
    )(validate_command)


def validate_command(
    experiment: ExperimentArgument,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of each learning run.")] = DEFAULT_SEEDS,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them; the others follow it.")] = FIRST_SEED,
    episodes: EpisodesOption = None,
    port: Annotated[
        str | None, typer.Option(help="Also compare the device at this port, which holds the experiment's firmware.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Worker processes; else one a core.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Validate an experiment: equivalence, learning parity, gradient alignment, controls, formats.

    One line a claim, with its verdict; exit code 1 where something does not hold. docs/validation.md has the margins.
    """
    output = Output(as_json, quiet)
    loaded = load_experiment(experiment).with_overrides(episodes=episodes)
    targets: list[tuple[str, RunElsewhere]] = [("desktop", lambda short: simulate_firmware(short).weights_crc32)]
    if port is not None:
        address = port

        def on_device(short: Experiment) -> str:
            return run_hil(short, address).weights_crc32

        targets.append((port, on_device))
    findings = []
    with ExitStack() as bars:

        def stage(title: str, units: int) -> Callable[[float, str], None]:
            bars.close()
            output.line({"stage": title})
            return bars.enter_context(output.progress(units, title)).update

        for finding in validate(
            loaded,
            range(first_seed, first_seed + seeds),
            targets=targets,
            scheduler=LocalScheduler(processes),
            stage=stage,
        ):
            bars.close()
            findings.append(finding)
            output.line(finding.as_dict())
            if not as_json:
                output.console.print(f"{finding.verdict:14}  {finding.claim}: {finding.figure}", markup=False)
    failed = sum(not finding.holds for finding in findings)
    verdict = "everything holds" if not failed else f"{failed} of {len(findings)} claims do not hold"
    output.result(
        {
            "experiment": loaded.name,
            "holds": not failed,
            "seeds": seeds,
            "findings": [finding.as_dict() for finding in findings],
        },
        verdict,
    )
    if failed:
        raise typer.Exit(1)
