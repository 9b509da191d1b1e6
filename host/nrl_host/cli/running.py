"""What the verbs that run an experiment share: progress bar, graceful stop, result."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nrl_edge.experiment import Experiment
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import ReturnStatistics, RunOptions, RunSummary
from nrl_host.cli.output import Output
from nrl_host.interrupt import GracefulStop

Run = Callable[[RunOptions], RunSummary]


def run_with_progress(
    output: Output, experiment: Experiment, run: Run, label: str, folder: Path | None, resume: bool
) -> RunSummary:
    """Run with a progress bar and an orderly Ctrl-C, and print what came of it."""
    notice = "" if output.as_json or output.quiet else "ending after this episode; Ctrl-C again stops at once"
    with GracefulStop(notice) as stop, output.progress(experiment.learning.episodes, label) as bar:
        started = time.perf_counter()
        steps = 0

        def show(outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
            nonlocal steps
            steps += outcome.length
            rate = steps / (time.perf_counter() - started)
            bar.update(
                outcome.episode + 1,
                f"return {outcome.episode_return:7.1f}  mean of 100 {statistics.mean:7.1f}  {rate:,.0f} steps/s",
            )

        summary = run({"run": folder, "resume": resume, "stop": stop, "on_episode": show})
    where = f"\nkept in {folder}" if folder is not None else ""
    if summary.interrupted and folder is not None:
        where += f" after {summary.episodes} episodes; "
        # What was only listened to is finished: a board that simulates its task needs nobody.
        is_over = RunFolder.open(folder).info.status == "finished"
        where += "the board goes on by itself" if is_over else f"go on with: --run {folder} --resume"
    output.result(
        summary.as_dict() | {"run": str(folder) if folder is not None else None}, describe(summary, experiment) + where
    )
    return summary


def solved(experiment: Experiment, episodes: int | None) -> str:
    """Whether the threshold was reached, after a colon; nothing where the experiment has none."""
    if episodes is not None:
        return f": solved after {episodes} episodes"
    return "" if experiment.task.threshold is None else ": threshold not reached"


def describe(summary: RunSummary, experiment: Experiment) -> str:
    """A summary in a few lines."""
    lines = [
        f"{summary.task} on {summary.target}, seed {summary.seed}{solved(experiment, summary.episodes_to_threshold)}",
        f"{summary.episodes} episodes, {summary.steps:,} steps, {summary.steps_per_second:,.0f} steps/s; "
        f"mean return of the last 100: {summary.mean_return_last_100:.1f}",
        f"weights CRC-32 {summary.weights_crc32}   {summary.agent}",
    ]
    counted = {name: count for name, count in summary.counters.items() if count}
    if counted:
        lines.append("saturated or failed: " + ", ".join(f"{name} {count:,}" for name, count in counted.items()))
    if summary.link is not None:
        host = summary.link["host"]
        lines.append(f"link: {host['frames_out']:,} requests, {host['retries']} retries, {host['bad_crc']} bad CRCs")
    if summary.line_faults is not None:
        lines.append("line faults: " + ", ".join(f"{name} {count:,}" for name, count in summary.line_faults.items()))
    if summary.restarts:
        lines.append(f"the device restarted {summary.restarts} times, and the run went on from where it was")
    if summary.noise is not None:
        noise = summary.noise
        lines.append(
            f"noise: {noise['health']}; {noise['soft_alarms']} soft alarms, {noise['failed_draws']} failed draws"
        )
    return "\n".join(lines)
