"""The charts of a report, as SVG text that follows the page's colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nrl_edge.learning.trainer import episodes_to_threshold
from nrl_edge.policy import PolicyMap
from nrl_edge.report.comparison import Curve, CurveGroup

# Colours that no chart uses for itself: each is replaced by a CSS variable of the page.
INK, MUTED, GRID = "#010203", "#040506", "#070809"
SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    colour: f"--series-{index}" for index, colour in enumerate(SERIES, 1)
}
_DASHES: tuple[tuple[float, tuple[float, ...]] | str, ...] = ("-", (0, (5, 3)), (0, (1.5, 2)), (0, (7, 2, 1.5, 2)))

# Colours of images, which cannot follow the page: strong enough for both of its grounds.
_IMAGE_COLOURS = np.array(
    [
        [0.19, 0.45, 0.88],
        [0.90, 0.47, 0.13],
        [0.07, 0.60, 0.52],
        [0.66, 0.34, 0.80],
        [0.80, 0.65, 0.05],
        [0.5, 0.5, 0.5],
    ]
)
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nrl-edge",
    "font.size": 12,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "text.color": INK,
    # Labels are names of runs and tasks, where a $ is a dollar sign.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}


def learning_curves(curves: Sequence[Curve], threshold: float | None, width: int, height: int) -> str:
    """Return by episode: each run's episodes faint and their mean of 100 bold, and the threshold. Sizes in px."""
    with _figure(width, height) as (figure, svg):
        axes = _axes(figure)
        for index, curve in enumerate(curves):
            colour = SERIES[index % len(SERIES)]
            episodes = np.arange(1, len(curve.returns) + 1)
            # Runs that agree to the last episode would only darken each other's thin lines.
            if not any(np.array_equal(curve.returns, earlier.returns) for earlier in curves[:index]):
                axes.plot(episodes, curve.returns, color=colour, alpha=0.28, linewidth=0.8)
            means = curve.mean_return_100()
            axes.plot(
                episodes,
                means,
                color=colour,
                linewidth=2.4,
                linestyle=_DASHES[index % len(_DASHES)],
                label=curve.label,
            )
        if threshold is not None:
            solved = episodes_to_threshold(curves[0].returns, threshold)
            if solved is not None:
                axes.plot([solved], [curves[0].mean_return_100()[solved - 1]], "o", color=SERIES[0], markersize=9)
            axes.axhline(threshold, color=INK, linewidth=1.1, linestyle=(0, (2, 3)), label=f"solved at {threshold:g}")
        axes.set_xlabel("episode")
        axes.set_ylabel("return")
        axes.margins(x=0.01)
        columns = 4 if width > 600 else 2
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=2.4)
    return svg[0]


def group_curves(groups: Sequence[CurveGroup], threshold: float | None, width: int, height: int) -> str:
    """Mean over seeds of the mean return of 100, in its band, a colour a group. Sizes in px."""
    with _figure(width, height) as (figure, svg):
        axes = _axes(figure)
        for index, group in enumerate(groups):
            colour = SERIES[index % len(SERIES)]
            episodes = np.arange(1, len(group.mean) + 1)
            axes.fill_between(episodes, group.low, group.high, color=colour, alpha=0.2, linewidth=0)
            dashes = _DASHES[index % len(_DASHES)]
            axes.plot(episodes, group.mean, color=colour, linewidth=2.4, linestyle=dashes, label=group.label)
        if threshold is not None:
            axes.axhline(threshold, color=INK, linewidth=1.1, linestyle=(0, (2, 3)), label=f"solved at {threshold:g}")
        axes.set_xlabel("episode")
        axes.set_ylabel("mean return of 100")
        axes.margins(x=0.01)
        columns = 3 if width > 600 else 1
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=2.4)
    return svg[0]


def policy_chart(policy: PolicyMap, width: int, height: int) -> str:
    """A policy over two inputs: two actions as one's probability, more as the preferred one, fading with doubt."""
    view, probabilities = policy.view, policy.probabilities
    actions = probabilities.shape[2]
    names = view.action_names if len(view.action_names) == actions else tuple(f"action {k}" for k in range(actions))
    preferred = probabilities.argmax(axis=2)
    certainty = (probabilities.max(axis=2) - 1 / actions) / (1 - 1 / actions)
    with _figure(width, height) as (figure, svg):
        axes = _axes(figure)
        axes.grid(False)
        image = np.empty((*preferred.shape, 4))
        image[..., :3] = _IMAGE_COLOURS[preferred % len(_IMAGE_COLOURS)]
        image[..., 3] = 0.06 + 0.9 * certainty
        axes.imshow(
            image, origin="lower", extent=(*view.x_range, *view.y_range), aspect="auto", interpolation="nearest"
        )
        if actions == 2:
            axes.contour(
                np.linspace(*view.x_range, probabilities.shape[1]),
                np.linspace(*view.y_range, probabilities.shape[0]),
                probabilities[..., 1],
                levels=[0.1, 0.5, 0.9],
                colors=[INK],
                linewidths=[0.8, 1.6, 0.8],
                linestyles=["dotted", "solid", "dotted"],
            )
        axes.set_xlabel(view.x_label)
        axes.set_ylabel(view.y_label)
        for k, name in enumerate(names):
            axes.scatter([], [], s=70, marker="s", color=_IMAGE_COLOURS[k % len(_IMAGE_COLOURS)], label=name)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handletextpad=0.2)
    return svg[0]


def weights_chart(weights: Sequence[NDArray[np.float64]], width: int, height: int) -> str:
    """A heat map of every layer's weights, units from left to right."""
    with _figure(width, height) as (figure, svg):
        for index, layer in enumerate(weights):
            output = index == len(weights) - 1
            axes = figure.add_subplot(len(weights), 1, index + 1)
            # Units run along the x axis in every panel, so that a unit's inputs and outputs stand above each other.
            matrix = layer if output else layer.T
            limit = float(np.abs(matrix).max()) or 1.0
            strength = matrix / limit
            image = np.empty((*matrix.shape, 4))
            image[..., :3] = np.where(strength[..., None] < 0, _IMAGE_COLOURS[0], _IMAGE_COLOURS[1])
            image[..., 3] = 0.04 + 0.96 * np.abs(strength)
            axes.imshow(image, aspect="auto", interpolation="nearest")
            name = "output layer" if output else f"hidden layer {index + 1}"
            axes.set_title(f"{name}: ±{limit:.3g}")
            axes.set_ylabel("action" if output else ("input" if index == 0 else "unit below"))
            rows = matrix.shape[0]
            axes.set_yticks(range(rows) if rows <= 6 else [0, rows - 1])
            axes.spines["left"].set_visible(False)
            axes.spines["bottom"].set_visible(False)
            if output:
                axes.set_xlabel("hidden unit")
    return svg[0]


def weights_histogram(weights: Sequence[NDArray[np.float64]], width: int, height: int) -> str:
    """How weights are distributed, layer by layer."""
    limit = max(float(np.abs(layer).max()) for layer in weights) or 1.0
    edges = np.linspace(-limit, limit, 42)
    with _figure(width, height) as (figure, svg):
        axes = _axes(figure)
        for index, layer in enumerate(weights):
            colour = SERIES[index % len(SERIES)]
            name = "output layer" if index == len(weights) - 1 else f"hidden layer {index + 1}"
            counts, _ = np.histogram(layer, edges)
            axes.stairs(counts, edges, color=colour, alpha=0.3, fill=True)
            axes.stairs(counts, edges, color=colour, linewidth=1.8, label=name)
        axes.set_xlabel("weight")
        axes.set_ylabel("number of weights")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2)
    return svg[0]


def _axes(figure: Figure) -> Axes:
    axes: Axes = figure.add_subplot()
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    return axes


@contextmanager
def _figure(width: int, height: int) -> Iterator[tuple[Figure, list[str]]]:
    """A figure of so many px to draw on; on leaving, its SVG text is appended to the list."""
    svg: list[str] = []
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, svg
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg.append(_for_page(buffer.getvalue()))


def place(svg: str, prefix: str, description: str) -> str:
    """A chart ready for its place in a page: ids that no other chart has, and a description for who cannot see it."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)


def _for_page(text: str) -> str:
    """Matplotlib's SVG in the page's colours and font."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", text)
    text = re.sub(r'(<svg[^>]*?)\s+width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\s+height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(font-family: )[^;"]*', r"\1var(--font)", text)
    text = re.sub(r'(font: [^;"]*?px )[^;"]*', r"\1var(--font)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.strip()
