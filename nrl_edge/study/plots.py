"""The plots of a study, two files a task: learning curves with confidence bands, and episodes to the threshold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nrl_edge import statistics
from nrl_edge.figures import COLOURS, STYLE, save_figure
from nrl_edge.lockstep import MEAN_WINDOW
from nrl_edge.study.cells import CellResult
from nrl_edge.study.definition import Variant
from nrl_edge.study.table import Summary

Floats = NDArray[np.float64]

CURVE_POINTS = 200
"""Points that a learning curve is drawn with."""

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))


def write_plots(
    folder: Path, name: str, summaries: Sequence[Summary], cells: Sequence[tuple[Variant, CellResult]]
) -> list[Path]:
    """Draw SVG files of every task into a folder and return their paths. Needs the extra `evidence`."""
    written = []
    returns: dict[str, list[Floats]] = {}
    for variant, result in cells:
        if len(result.returns):
            returns.setdefault(variant.name, []).append(result.returns)
    for task in dict.fromkeys(each.variant.task for each in summaries):
        own = [each for each in summaries if each.variant.task == task]
        slug = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")
        title = f"{name}: {task}"
        path = folder / f"learning-curves-{slug}.svg"
        draw_learning_curves(path, title, own, returns)
        written.append(path)
        if any(each.has_threshold for each in own):
            path = folder / f"episodes-to-threshold-{slug}.svg"
            draw_episodes_to_threshold(path, title, own)
            written.append(path)
    return written


def draw_learning_curves(
    path: Path, title: str, summaries: Sequence[Summary], returns: dict[str, list[Floats]]
) -> None:
    """Mean over seeds of the mean return of 100 episodes, with its 95 % bootstrap band; the file's suffix is its kind.

    `returns` holds the returns of every seed by `Variant.name`, (episodes,) each.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(7.2, 4.2)
        for index, summary in enumerate(summaries):
            runs = returns.get(summary.variant.name)
            if not runs:
                continue
            episodes, curves = running_means(np.array(runs))
            mean, low, high = statistics.mean_band(curves)
            style: Any = {"color": COLOURS[index % len(COLOURS)]}
            axes.fill_between(episodes, low, high, alpha=0.18, linewidth=0, **style)
            axes.plot(
                episodes,
                mean,
                linewidth=1.8,
                linestyle=_DASHES[(index + index // len(COLOURS)) % 4],
                label=_label(summary, summaries),
                **style,
            )
        for threshold in dict.fromkeys(each.variant.experiment.task.threshold for each in summaries):
            if threshold is not None:
                axes.axhline(threshold, color="#444444", linewidth=0.9, linestyle=(0, (2, 3)))
        axes.set_xlabel("episode")
        axes.set_ylabel(f"mean return of {MEAN_WINDOW} episodes")
        seeds = max((len(each.rows) for each in summaries), default=0)
        axes.set_title(f"{title}, {seeds} seeds: mean and 95 % bootstrap interval", color="#222222")
        axes.margins(x=0.01)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
        save_figure(figure, path)


def draw_episodes_to_threshold(path: Path, title: str, summaries: Sequence[Summary]) -> None:
    """Every seed as a dot, the median and its 95 % bootstrap interval; a seed that never got there is a cross."""
    own = [each for each in summaries if each.has_threshold]
    finite = [float(value) for each in own for value in each.episodes[np.isfinite(each.episodes)]]
    longest = max((row.episodes for each in own for row in each.rows), default=0)
    end = max([*finite, 0.0]) * 1.08 if len(finite) == sum(len(each.rows) for each in own) else longest * 1.04
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(7.2, 1.2 + 0.42 * len(own))
        axes.grid(False)
        axes.grid(True, axis="x")
        for index, summary in enumerate(own):
            colour = COLOURS[index % len(COLOURS)]
            values = np.minimum(summary.episodes, end)
            # Spread by rank, so that equal runs stay visible and the picture is the same each time.
            spread = 0.28 * np.cos(np.arange(len(values)) * 2.4)
            reached = np.isfinite(summary.episodes)
            axes.plot(values[reached], index + spread[reached], "o", markersize=3.2, alpha=0.45, color=colour, mew=0)
            axes.plot(
                values[~reached], index + spread[~reached], "x", markersize=4.5, alpha=0.7, color=colour, clip_on=False
            )
            median = statistics.interval(summary.episodes, np.median)
            low, high = min(median.low, end), min(median.high, end)
            axes.plot([low, high], [index, index], color=colour, linewidth=2.6, solid_capstyle="butt")
            if np.isfinite(median.value):
                axes.plot([median.value], [index], "|", color="#111111", markersize=13, markeredgewidth=2)
            axes.annotate(
                f"{summary.reached}/{len(summary.rows)}",
                (1.01, index),
                xycoords=("axes fraction", "data"),
                va="center",
                color="#444444",
            )
        axes.set_yticks(range(len(own)), [_label(each, own) for each in own])
        axes.set_ylim(len(own) - 0.4, -0.6)
        axes.set_xlim(0, end or 1.0)
        axes.set_xlabel(
            "episodes until the mean of 100 returns reached the threshold\n(×: never; at the right: seeds that did)"
        )
        axes.set_title(f"{title}: median and 95 % bootstrap interval", color="#222222")
        save_figure(figure, path)


def running_means(returns: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Mean of the last 100 returns (of all where there are fewer) at some episodes: (points,) and (seeds, points)."""
    episodes = np.arange(1, returns.shape[1] + 1)
    sums = np.cumsum(returns, axis=1)
    means = sums / np.minimum(episodes, MEAN_WINDOW)
    means[:, MEAN_WINDOW:] = (sums[:, MEAN_WINDOW:] - sums[:, :-MEAN_WINDOW]) / MEAN_WINDOW
    points = np.unique(np.linspace(0, len(episodes) - 1, CURVE_POINTS).round().astype(np.int64))
    return episodes[points], means[:, points]


def _label(summary: Summary, summaries: Sequence[Summary]) -> str:
    networks = {each.variant.network for each in summaries}
    return summary.variant.label if len(networks) == 1 else f"{summary.variant.label}, {summary.variant.network}"


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    return figure, axes
