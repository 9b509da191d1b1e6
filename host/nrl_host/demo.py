"""The main job end to end: an agent learns CartPole in generated firmware, and proof of what the firmware computed.

Every step is a public function that the `nrl-edge` verb of the same name calls as well.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nrl_edge.codegen.project import write_project
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, load_experiment, new_experiment, resolve_agent
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.native import compile_c
from nrl_edge.replay import ReplayVerdict, replay
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import ReturnStatistics, RunSummary
from nrl_edge.training import train_experiment
from nrl_host.build.image import ImageSizes, image_sizes
from nrl_host.hil import simulate_firmware

FLOAT_EPISODES = 300
"""Episodes of the float64 run: enough to see it solved, which takes most seeds 180 to 290."""
FIRMWARE_FLAGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-D_GNU_SOURCE")
_PARTS = ("experiment.toml", "float64", "firmware", "desktop", "report.html")

Stage = Callable[[str, int], Callable[[int, str], None]]
"""Begins a stage with a title and a number of units; returns what is told how many of them are done, and a note."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo came to."""

    firmware: RunSummary
    verdict: ReplayVerdict
    float64_episodes_to_threshold: int | None
    report: Path
    seconds: float

    @property
    def passed(self) -> bool:
        """Solved, and equal to the reference bit for bit."""
        return self.verdict.match and self.firmware.episodes_to_threshold is not None


def run_demo(folder: Path, stage: Stage, seed: int | None = None) -> DemoResult:
    """Run the demo in `folder`, where an earlier demo is replaced.

    Raises ConfigurationError where the folder holds anything else, MissingToolError where there is no C compiler.
    """
    started = time.perf_counter()
    _clear(folder)
    experiment = load_experiment(new_experiment(folder, "cartpole")).with_overrides(seed=seed)

    float_experiment = experiment.with_overrides(episodes=FLOAT_EPISODES)
    advance = stage("training in float64, for comparison", FLOAT_EPISODES)
    _, trained = train_experiment(
        float_experiment,
        run=folder / "float64",
        on_episode=lambda record: advance(record.episode + 1, f"return {record.episode_return:5.0f}"),
    )

    program = _build(experiment, folder / "firmware", stage)

    advance = stage("learning inside the firmware, over TCP", experiment.learning.episodes)

    def show(outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
        advance(outcome.episode + 1, f"return {outcome.episode_return:5.0f}  mean of 100 {statistics.mean:5.1f}")

    summary = simulate_firmware(experiment, program=program, run=folder / "desktop", on_episode=show, until_solved=True)
    run = RunFolder.open(folder / "desktop")
    advance = stage("replaying every step through the reference", summary.steps)
    verdict = replay(run, lambda done, total: advance(min(done, summary.steps), ""))

    advance = stage("writing the report", 1)
    report = _report(run, RunFolder.open(folder / "float64"), summary, verdict, image_sizes(program))
    advance(1, "")
    seconds = time.perf_counter() - started
    return DemoResult(summary, verdict, trained["episodes_to_threshold"], report, seconds)


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left in the folder, and nothing else."""
    if not folder.exists():
        return
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - set(_PARTS):
        raise ConfigurationError(f"{folder} holds something that no demo made; name another folder with --output")
    for name in _PARTS:
        part = folder / name
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def _build(experiment: Experiment, project: Path, stage: Stage) -> Path:
    """Generate the firmware and compile it, warnings being errors."""
    advance = stage("generating and compiling the firmware", 2)
    files = write_project(experiment, resolve_agent(experiment), project)
    advance(1, f"{len(files)} files")
    program = compile_c(
        [path for path in files if path.suffix == ".c"],
        project / "program",
        include_folders=[project / "include"],
        extra_flags=FIRMWARE_FLAGS,
    )
    advance(2, "")
    return program


def _report(
    run: RunFolder, float_run: RunFolder, summary: RunSummary, verdict: ReplayVerdict, sizes: ImageSizes | None
) -> Path:
    from nrl_edge.report import Check, report_data, write_report  # plotting takes half a second to load: only here

    agent = run.agent
    assert agent is not None
    weights_and_traces = 2 * agent.weight_bytes
    checks = [
        Check(
            "Every step of the firmware is the reference's",
            verdict.match,
            f"{verdict.steps:,} calls; weights CRC-32 {verdict.recorded_weights_crc32} in the firmware, "
            f"{verdict.weights_crc32} in the reference",
        ),
        Check(
            "Solved within the experiment's episodes",
            summary.episodes_to_threshold is not None,
            f"mean return of 100 episodes {summary.mean_return_last_100:.1f}, "
            f"threshold {run.experiment.task.threshold:g}",
        ),
    ]
    data = report_data(
        [run, float_run],
        title="An agent learns CartPole inside generated firmware",
        checks=checks,
        build=str(run.info.extra["build_id"]),
        highlights={
            "Weights and traces": f"{weights_and_traces:,} B",
            "Parameters": f"{agent.parameters:,}",
            "Steps taken": f"{summary.steps:,}",
        },
        sizes={
            "Weights and traces of the agent": weights_and_traces,
            **(
                {
                    "Firmware process: code and constants": sizes.text_bytes,
                    "Firmware process: initialised variables": sizes.data_bytes,
                    "Firmware process: zeroed variables": sizes.bss_bytes,
                }
                if sizes
                else {}
            ),
        },
        saturation=summary.counters,
        commands=["nrl-edge demo"],
    )
    path = run.path.parent / "report.html"
    write_report(replace(data, board="desktop process"), path)
    return path
