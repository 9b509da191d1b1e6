"""Several runs side by side: groups of seeds with their bands, and tables with a column or a row a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError, MissingToolError
from nrl_edge.learning.trainer import THRESHOLD_EPISODES, episodes_to_threshold
from nrl_edge.runs import RunFolder
from nrl_edge.statistics import CONFIDENCE, mean_band

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The returns of one run, episode by episode."""

    label: str
    returns: Floats

    def mean_return_100(self) -> Floats:
        """Mean return of the last 100 episodes at each episode, or of all where there are fewer; (episodes,)."""
        sums = np.concatenate(([0.0], np.cumsum(self.returns)))
        episodes = np.arange(1, len(self.returns) + 1)
        first = np.maximum(episodes - THRESHOLD_EPISODES, 0)
        means: Floats = (sums[episodes] - sums[first]) / (episodes - first)
        return means


@dataclass(frozen=True)
class CurveGroup:
    """Runs that differ in nothing but their seeds."""

    label: str
    seeds: tuple[int, ...]
    mean: Floats
    """Mean over the runs of their mean return of 100, at each episode that all of them have; (episodes,)."""
    low: Floats
    high: Floats
    band: str
    """What `low` and `high` are, in words."""


@dataclass(frozen=True)
class Grid:
    """A table with headed columns."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The first cell of each heads its row."""


def arithmetic_of(run: RunFolder) -> str:
    """`float64`, or the fixed point's kind."""
    return "float64" if run.info.agent is None else run.experiment.arithmetic.kind


def group_runs(runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Runs of the same agent on the same target together, in the order of their first ones."""
    groups: dict[tuple[Any, ...], list[RunFolder]] = {}
    for run in runs:
        described = run.info.agent["description"] if run.info.agent else run.experiment.learning.rule
        groups.setdefault((run.info.target, described, run.info.entropy_mode), []).append(run)
    return list(groups.values())


def curve_groups(runs: Sequence[RunFolder]) -> list[CurveGroup]:
    """The groups of the runs with their bands; empty where no group has two runs."""
    groups = group_runs(runs)
    if all(len(group) < 2 for group in groups):
        return []
    names = [", ".join(dict.fromkeys((group[0].info.target, arithmetic_of(group[0])))) for group in groups]
    found = []
    for group, name in zip(groups, names, strict=True):
        curves = [Curve("", run.progress().episode_return).mean_return_100() for run in group]
        episodes = min(len(curve) for curve in curves)
        if episodes == 0:
            continue
        stacked = np.stack([curve[:episodes] for curve in curves])
        seeds = tuple(run.info.seed for run in group)
        mine = name if names.count(name) == 1 else f"{name}, {group[0].info.agent and group[0].info.agent['identity']}"
        label = f"{mine}, {len(group)} seeds" if len(group) > 1 else f"{mine}, seed {seeds[0]}"
        found.append(CurveGroup(label, seeds, *_band(stacked)))
    return found


def _band(stacked: Floats) -> tuple[Floats, Floats, Floats, str]:
    """Mean, low and high of (runs, episodes), and what the last two are."""
    if len(stacked) < 2:
        return stacked[0], stacked[0], stacked[0], ""
    try:
        return (*mean_band(stacked), f"{CONFIDENCE:.0%} confidence interval of the mean, by bootstrap over the seeds")
    except MissingToolError:
        words = "from the least to the largest seed; confidence intervals need pip install 'nrl-edge[evidence]'"
        return stacked.mean(axis=0), stacked.min(axis=0), stacked.max(axis=0), words


def _number(value: object, form: str = ",") -> str:
    return format(value, form) if isinstance(value, int | float) and not isinstance(value, bool) else "–"


def _result(run: RunFolder) -> Mapping[str, Any]:
    return run.result() or {}


def replay_words(run: RunFolder) -> str:
    """What `replay` last found of a run, in a word or two."""
    verdict = run.replay_verdict()
    if verdict is None:
        return "not repeated"
    until = "" if verdict.get("whole", True) else f", {verdict.get('episodes')} episodes"
    return f"{'equal' if verdict.get('match') is True else 'DIFFERENT'} on {verdict.get('target')}{until}"


def runs_grid(runs: Sequence[RunFolder], labels: Sequence[str]) -> Grid:
    """What ran where, and what came of it: a row a run."""
    columns = (
        *("run", "runs on", "build", "arithmetic", "seed", "entropy", "episodes"),
        *("mean of last 100", "solved after", "steps/s", "weights CRC-32", "replay"),
    )
    rows = []
    for run, label in zip(runs, labels, strict=True):
        returns, result = run.progress().episode_return, _result(run)
        threshold = run.experiment.task.threshold
        mean = float(returns[-THRESHOLD_EPISODES:].mean()) if len(returns) else None
        rows.append(
            (
                label,
                run.info.target,
                str(run.info.extra.get("build_id") or "–"),
                arithmetic_of(run),
                str(run.info.seed),
                run.info.entropy_mode if run.info.agent else "of NumPy",
                f"{len(returns):,}" + ("" if run.info.status == "finished" else f" ({run.info.status})"),
                _number(mean, ",.1f"),
                _number(episodes_to_threshold(returns, threshold)),
                _number(result.get("steps_per_second"), ",.0f"),
                str(result.get("weights_crc32") or "–"),
                replay_words(run) if run.info.agent else "float64",
            )
        )
    return Grid(
        "Runs side by side", "Where the replay is equal, every step and every weight was.", columns, tuple(rows)
    )


def arithmetic_grid(runs: Sequence[RunFolder]) -> Grid | None:
    """Float against fixed: a row a group; None where all runs have the same arithmetic."""
    groups = group_runs(runs)
    if len({arithmetic_of(group[0]) for group in groups}) < 2:
        return None
    rows = []
    for group in groups:
        threshold = group[0].experiment.task.threshold
        returns = [run.progress().episode_return for run in group]
        solved = [episodes_to_threshold(each, threshold) for each in returns]
        reached = [number for number in solved if number is not None]
        never = [np.inf if number is None else number for number in solved]
        median = float(np.median(never)) if never else np.inf
        ends = [float(each[-THRESHOLD_EPISODES:].mean()) for each in returns if len(each)]
        rows.append(
            (
                " on ".join(dict.fromkeys((arithmetic_of(group[0]), group[0].info.target))),
                f"{len(group):,}",
                f"{len(reached):,}" if threshold is not None else "–",
                f"{median:,.0f}" if np.isfinite(median) else "–",
                _number(float(np.mean(ends)) if ends else None, ",.1f"),
                _number(min(ends) if ends else None, ",.1f"),
            )
        )
    columns = ("arithmetic", "seeds", "solved", "median episodes until solved", "mean of last 100", "worst seed")
    note = "The same rule in floating point and in integers; seeds of the two draw different noise."
    return Grid("Float against fixed", note, columns, tuple(rows))


def saturation_grid(runs: Sequence[RunFolder], labels: Sequence[str]) -> Grid | None:
    """Counters of the agents, a column a run; None where fewer than two runs have some."""
    counted = [(label, counters) for run, label in zip(runs, labels, strict=True) if (counters := counters_of(run))]
    if len(counted) < 2:
        return None
    names = list(dict.fromkeys(name for _, counters in counted for name in counters))
    rows = [(name.replace("_", " "), *(_number(counters.get(name)) for _, counters in counted)) for name in names]
    note = "Values that were clamped because they did not fit their format, and draws of noise that failed."
    return Grid("Saturation, run by run", note, ("counter", *(label for label, _ in counted)), tuple(rows))


def counters_of(run: RunFolder) -> dict[str, int]:
    """The agent's counters at the end of a run; empty where it has none."""
    counters = _result(run).get("counters")
    return {str(k): int(v) for k, v in counters.items()} if isinstance(counters, Mapping) else {}


def check_same_task(runs: Sequence[RunFolder]) -> None:
    """Raise ConfigurationError where there is no run, or the runs are of different tasks."""
    if not runs:
        raise ConfigurationError("a report needs at least one run folder")
    first = runs[0]
    for run in runs:
        if run.info.task != first.info.task:
            raise ConfigurationError(
                f"{first.path} is a run of {first.info.task} and {run.path} one of {run.info.task}: "
                "their returns cannot be compared; make a report of each"
            )
