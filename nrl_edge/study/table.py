"""The tables of a study: one row a cell, and one row a variant with its statistics."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge import statistics
from nrl_edge.learning import episodes_to_threshold, lowest_mean_after_threshold
from nrl_edge.lockstep import MEAN_WINDOW
from nrl_edge.runs.files import write_atomically
from nrl_edge.study.cells import CellResult
from nrl_edge.study.definition import Variant


@dataclass(frozen=True)
class Row:
    """One row of results.csv: one variant with one seed. Empty cells of the file are None."""

    task: str
    network: str
    variant: str
    rule: str
    preset: str
    arithmetic: str
    hidden: str
    """Units of the hidden layers, such as 8-8."""
    agent: str
    """Description of the fixed-point agent, formats and all; empty for float64."""
    seed: int
    episodes: int
    """Episodes of the run."""
    episodes_to_threshold: int | None
    """After how many of them the mean of the last 100 returns first reached the threshold; None: never."""
    mean_return_last_100: float | None
    """None where learning diverged."""
    lowest_mean_after_threshold: float | None
    """The lowest mean of 100 returns since the threshold was first reached; None: it never was."""
    first_return: float | None
    """Return of the first episode, before anything was learned."""
    steps: int
    seconds: float
    weights_crc32: str | None
    saturated: int | None
    """Values that did not fit their format, all counters together; None for float64."""
    error: str | None
    identity: str
    """Of the variant: changes with its experiment, its formats and the version of nrl-edge."""


def make_row(variant: Variant, result: CellResult) -> Row:
    """The row of a cell."""
    experiment = variant.experiment
    configuration = variant.configuration
    finished = len(result.returns) > 0
    return Row(
        task=variant.task,
        network=variant.network,
        variant=variant.label,
        rule=experiment.learning.rule,
        preset=experiment.learning.preset,
        arithmetic=experiment.arithmetic.kind,
        hidden="-".join(str(units) for units in experiment.network.hidden),
        agent="" if configuration is None else configuration.description,
        seed=result.seed,
        episodes=len(result.returns),
        episodes_to_threshold=episodes_to_threshold(result.returns, experiment.task.threshold),
        mean_return_last_100=float(result.returns[-MEAN_WINDOW:].mean()) if finished else None,
        lowest_mean_after_threshold=lowest_mean_after_threshold(result.returns, experiment.task.threshold),
        first_return=float(result.returns[0]) if finished else None,
        steps=int(result.lengths.sum()),
        seconds=round(result.seconds, 3),
        weights_crc32=result.weights_crc32,
        saturated=None
        if configuration is None
        else sum(count for name, count in result.counters.items() if name != "entropy"),
        error=result.error,
        identity=variant.identity,
    )


@dataclass(frozen=True)
class Summary:
    """What one variant came to over all its seeds."""

    variant: Variant
    rows: tuple[Row, ...]

    @property
    def episodes(self) -> NDArray[np.float64]:
        """Episodes to the threshold, (seeds,); infinity where it was never reached."""
        return np.array(
            [math.inf if row.episodes_to_threshold is None else row.episodes_to_threshold for row in self.rows]
        )

    @property
    def last_means(self) -> NDArray[np.float64]:
        """Mean return of the last 100 episodes of each seed that did not diverge, (seeds,)."""
        return np.array([row.mean_return_last_100 for row in self.rows if row.mean_return_last_100 is not None])

    @property
    def reached(self) -> int:
        """Seeds that reached the threshold."""
        return int(np.isfinite(self.episodes).sum())

    @property
    def has_threshold(self) -> bool:
        """Whether the task has one."""
        return self.variant.experiment.task.threshold is not None

    def statistics(self, reference: Summary | None) -> dict[str, Any]:
        """The columns of summary.csv. Intervals are 95 %, by bootstrap; `reference` is what ratios are taken to."""
        values: dict[str, Any] = {
            "task": self.variant.task,
            "network": self.variant.network,
            "variant": self.variant.label,
            "seeds": len(self.rows),
            "diverged": sum(row.error is not None for row in self.rows),
            "reached": self.reached if self.has_threshold else None,
        }
        median = statistics.interval(self.episodes, np.median) if self.has_threshold else None
        values |= _columns("median_episodes", median)
        worst = float(self.episodes.max())
        values["worst_episodes"] = int(worst) if math.isfinite(worst) else None
        last = self.last_means
        values |= _columns(
            "iqm_return_last_100", statistics.interval(last, statistics.interquartile_mean) if len(last) else None
        )
        values["worst_return_last_100"] = round(float(last.min()), 3) if len(last) else None
        lows = [row.lowest_mean_after_threshold for row in self.rows if row.lowest_mean_after_threshold is not None]
        values["lowest_return_after_threshold"] = round(min(lows), 3) if lows else None
        compared = reference is not None and reference is not self and self.has_threshold
        values["reference"] = reference.variant.label if compared and reference is not None else None
        ratio = improvement = None
        if compared and reference is not None:
            ratio = statistics.ratio(self.episodes, reference.episodes)
            improvement = statistics.probability_of_improvement(
                self.episodes, reference.episodes, smaller_is_better=True
            )
        values |= _columns("median_ratio", ratio)
        values |= _columns("probability_of_improvement", improvement)
        values["seconds"] = round(sum(row.seconds for row in self.rows), 1)
        return values


def _columns(name: str, estimate: statistics.Estimate | None) -> dict[str, float | None]:
    numbers: Sequence[float | None] = [None] * 3 if estimate is None else estimate.as_list()
    return {
        f"{name}{suffix}": None if number is None else round(number, 4)
        for suffix, number in zip(("", "_low", "_high"), numbers, strict=True)
    }


def summarise(cells: Iterable[tuple[Variant, CellResult]]) -> list[Summary]:
    """One summary a variant, in the order of the cells."""
    rows: dict[str, tuple[Variant, list[Row]]] = {}
    for variant, result in cells:
        rows.setdefault(variant.name, (variant, []))[1].append(make_row(variant, result))
    return [Summary(variant, tuple(each)) for variant, each in rows.values()]


def reference_of(summary: Summary, summaries: Sequence[Summary]) -> Summary | None:
    """What a variant is compared with: the first REINFORCE with the same task and network."""
    place = (summary.variant.task, summary.variant.network)
    candidates = [each for each in summaries if (each.variant.task, each.variant.network) == place]
    return next((each for each in candidates if each.variant.experiment.learning.rule == "reinforce"), None)


def write_results(path: Path, summaries: Sequence[Summary]) -> None:
    """Write results.csv."""
    _write(path, [field.name for field in fields(Row)], [asdict(row) for each in summaries for row in each.rows])


def write_summary(path: Path, summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """Write summary.csv and return its rows. Needs the extra `evidence`."""
    rows = [each.statistics(reference_of(each, summaries)) for each in summaries]
    _write(path, list(rows[0]) if rows else [], rows)
    return rows


def write_markdown(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of summary.csv as Markdown, one table a task: what docs/results.md shows, so that nobody types it."""
    lines: list[str] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        networks = len({row["network"] for row in own}) > 1
        lines += [f"**{task}**", ""]
        heads = [
            "variant",
            "reached",
            "median",
            "worst",
            "ratio of medians",
            "better than reference",
            "last 100",
            "worst",
            "lowest since",
        ]
        heads = ["network", *heads] if networks else heads
        lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        for row in own:
            cells = [
                row["variant"] + (f" ({row['diverged']} diverged)" if row["diverged"] else ""),
                "" if row["reached"] is None else f"{row['reached']}/{row['seeds']}",
                "never" if row["median_episodes"] is None else estimate_text(row, "median_episodes", 1),
                "never" if row["worst_episodes"] is None else str(row["worst_episodes"]),
                estimate_text(row, "median_ratio", 2),
                estimate_text(row, "probability_of_improvement", 2),
                estimate_text(row, "iqm_return_last_100", 1),
                _number_text(row["worst_return_last_100"]),
                _number_text(row["lowest_return_after_threshold"]),
            ]
            lines.append(f"| {' | '.join([row['network'], *cells] if networks else cells)} |")
        lines.append("")
    write_atomically(path, "\n".join(lines).encode())


def _number_text(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}"


def estimate_text(row: Mapping[str, Any], name: str, digits: int) -> str:
    """An estimate of a row of summary.csv as "value [low, high]"; empty where there is none."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return ""
    bounds = ", ".join("never" if bound is None else f"{bound:.{digits}f}" for bound in (low, high))
    return f"{value:.{digits}f} [{bounds}]"


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
