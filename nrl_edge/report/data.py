"""What a report shows, as plain data: nothing here knows a device, a link or a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nrl_edge import __version__
from nrl_edge.learning.trainer import episodes_to_threshold
from nrl_edge.policy import PolicyMap, PolicyView, task_policy
from nrl_edge.report.comparison import (
    Curve,
    CurveGroup,
    Grid,
    arithmetic_grid,
    check_same_task,
    counters_of,
    curve_groups,
    runs_grid,
    saturation_grid,
)
from nrl_edge.report.evidence import budget_grid, link_rows, noise_grid, profile_grid
from nrl_edge.runs import RunFolder, snapshot_weights

VerdictStatus = Literal["passed", "failed", "open"]


@dataclass(frozen=True)
class Check:
    """One statement that was tested, such as "weights of the firmware equal those of the reference"."""

    name: str
    passed: bool
    detail: str = ""
    """The evidence, such as both checksums."""


@dataclass(frozen=True)
class ReportData:
    """Everything in a report. What is left empty is left out of it."""

    title: str
    task: str
    target: str
    """Where the first curve's agent ran."""
    board: str
    """Board of the firmware; empty where there is none."""
    seed: int
    curves: Sequence[Curve]
    """The run that the report is about, then those to compare it with."""
    threshold: float | None = None
    groups: Sequence[CurveGroup] = ()
    """Runs that differ in their seeds alone, where there are some: they are drawn in place of single runs."""
    grids: Sequence[Grid] = ()
    """Runs side by side, float against fixed, noise, budget, profile."""
    checks: Sequence[Check] = ()
    build: str = ""
    """Build id of the firmware."""
    highlights: Mapping[str, str] = field(default_factory=dict)
    """Figures for the head of the report, such as {"Agent in RAM": "3.4 kB"}."""
    policy: PolicyMap | None = None
    weights: Sequence[NDArray[np.float64]] = ()
    """Final weights [(n_l, n_(l-1)), ...], hidden layers in order, then the output layer."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the image and of the agent's memory."""
    link: Mapping[str, int | float | str] = field(default_factory=dict)
    """Counters of the link."""
    saturation: Mapping[str, int] = field(default_factory=dict)
    """Counters of the agent (section 8 of docs/arithmetic.md)."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What ran: experiment and formats."""
    commands: Sequence[str] = ()
    """The commands that made it."""
    created: str = ""
    """When, as text."""
    version: str = __version__

    @property
    def episodes_to_threshold(self) -> int | None:
        """Episodes that the first curve took to reach the threshold; None: never, or no threshold."""
        return episodes_to_threshold(self.curves[0].returns, self.threshold) if self.curves else None

    @property
    def status(self) -> VerdictStatus:
        """`failed` where a check failed, `passed` where all passed and any threshold was reached, else `open`."""
        if any(not check.passed for check in self.checks):
            return "failed"
        if self.threshold is not None:
            return "passed" if self.episodes_to_threshold is not None else "open"
        return "passed" if self.checks else "open"

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        failed = [check for check in self.checks if not check.passed]
        if failed:
            return f"{len(failed)} of {len(self.checks)} checks failed"
        episodes = len(self.curves[0].returns) if self.curves else 0
        if self.episodes_to_threshold is not None:
            return f"Solved in {self.episodes_to_threshold:,} episodes"
        if self.threshold is not None:
            return f"Not solved in {episodes:,} episodes"
        return f"{episodes:,} episodes"


def run_weights(run: RunFolder) -> list[NDArray[np.float64]]:
    """Final weights of a run as numbers: of its last snapshot, or of weights.npz; empty where it kept neither."""
    snapshot, agent = run.final_snapshot(), run.agent
    if snapshot is not None and agent is not None:
        return snapshot_weights(snapshot, agent)
    return run.weights() or []


def report_data(
    runs: Sequence[RunFolder],
    *,
    title: str = "",
    checks: Sequence[Check] = (),
    build: str = "",
    highlights: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    link: Mapping[str, int | float | str] | None = None,
    saturation: Mapping[str, int] | None = None,
    commands: Sequence[str] = (),
    view: PolicyView | None = None,
    profile: Mapping[str, Any] | None = None,
) -> ReportData:
    """The report of a run and of others to compare it with; all of the same task.

    `view` chooses the inputs of the policy map where the task is not in POLICY_VIEWS; `profile` is what a profile of
    the first run's firmware counted. What is not given is taken from the run folders, where they have it. Raises
    ConfigurationError where there is no run, the tasks differ, or a run is damaged.
    """
    check_same_task(runs)
    first = runs[0]
    experiment, agent = first.experiment, first.agent
    weights = run_weights(first)
    labels = _labels(runs)
    result = first.result() or {}
    saturated = saturation_grid(runs, labels)
    grids = [
        runs_grid(runs, labels),
        arithmetic_grid(runs),
        saturated,
        noise_grid(first),
        budget_grid(first),
        profile_grid(profile) if profile is not None else None,
    ]
    return ReportData(
        title=title or f"{first.info.task} on {first.info.target}",
        task=first.info.task,
        target=first.info.target,
        board="",  # the target is the board that ran, whatever board the experiment is for
        seed=first.info.seed,
        curves=[Curve(label, run.progress().episode_return) for label, run in zip(labels, runs, strict=True)],
        threshold=experiment.task.threshold,
        groups=curve_groups(runs),
        grids=[grid for grid in grids if grid is not None],
        checks=checks or _replay_checks(runs, labels),
        build=build or str(first.info.extra.get("build_id", "")),
        highlights=highlights or {},
        policy=task_policy(experiment, weights, view),
        weights=weights,
        sizes=sizes or {},
        link=link or link_rows(result),
        saturation=saturation or ({} if saturated is not None else counters_of(first)),
        settings=_settings(first) | ({"Agent": agent.description} if agent else {}),
        commands=commands,
        created=first.info.finished or first.info.started,
        version=first.info.nrl_edge_version,
    )


def _replay_checks(runs: Sequence[RunFolder], labels: Sequence[str]) -> list[Check]:
    """What replays of the runs found, as far as they were repeated."""
    checks = []
    for run, label in zip(runs, labels, strict=True):
        verdict = run.replay_verdict()
        if verdict is None:
            continue
        name = f"Every step of {label} is that of {verdict.get('target')}"
        crcs = f"{verdict.get('recorded_weights_crc32')} of the run, {verdict.get('weights_crc32')} of the repetition"
        steps = verdict.get("steps")
        shown = f"{steps:,}" if isinstance(steps, int) else steps
        until = "" if verdict.get("whole", True) else f", up to the checkpoint after episode {verdict.get('episodes')}"
        detail = f"{shown} calls repeated{until}; weights CRC-32 {crcs}"
        checks.append(Check(name, verdict.get("match") is True, detail))
    return checks


def _labels(runs: Sequence[RunFolder]) -> list[str]:
    """Where each run ran; its seed and folder too where that alone does not tell the runs apart."""
    labels = [run.info.target for run in runs]
    for more in ([f"seed {run.info.seed}" for run in runs], [run.path.name for run in runs]):
        if len(set(labels)) < len(labels):
            labels = [f"{label}, {addition}" for label, addition in zip(labels, more, strict=True)]
    return labels


def _settings(run: RunFolder) -> dict[str, str]:
    experiment = run.experiment
    learning = experiment.learning
    exponent = learning.learning_rate_exponent
    rate = f"{learning.learning_rate:g}" if exponent is None else f"2^-{exponent} = {learning.learning_rate:g}"
    scale = experiment.task.observation_scale
    factors = scale if isinstance(scale, tuple) else (scale,)
    shown = [factor if isinstance(factor, str) else f"{factor:g}" for factor in factors]
    return {
        "Task": experiment.task.id,
        "Reward": experiment.task.reward,
        "Observation scale": ", ".join(shown),
        "Hidden layers": ", ".join(map(str, experiment.network.hidden)),
        "Rule": f"{learning.rule}, preset {learning.preset}",
        "Learning rate": rate,
        "Update clip": "off" if learning.clip is None else f"{learning.clip:g}",
        "Arithmetic": experiment.arithmetic.kind,
        "Entropy": f"{experiment.entropy.mode}, seed {experiment.entropy.seed}",
        "Seed of the episodes": str(experiment.episode_seed),
        "Host": str(run.info.host.get("platform", "")),
        "nrl-edge": run.info.nrl_edge_version,
    }
