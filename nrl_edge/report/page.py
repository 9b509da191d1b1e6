"""The report: one HTML file that needs nothing beside itself, neither network nor scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.report.charts import (
    group_curves,
    learning_curves,
    place,
    policy_chart,
    weights_chart,
    weights_histogram,
)
from nrl_edge.report.data import ReportData, report_data
from nrl_edge.runs import RunFolder
from nrl_edge.runs.files import write_atomically

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_BADGES = {"passed": "✓ Passed", "failed": "✗ Failed", "open": "● Not decided"}
_NOTES = {
    "link": "What the serial link counted on the way.",
    "saturation": "Values that were clamped because they did not fit their format; the agent goes on.",
    "sizes": "In bytes.",
}


def write_report(source: ReportData | Sequence[RunFolder], output: str | Path, **more: Any) -> Path:
    """Write the report of a run, beside others to compare it with, and return its path.

    `source` is the data of a report, or run folders, the first of which the report is about; `more` is then passed on
    to `report_data` (checks, sizes, link, commands, ...). Raises ConfigurationError where the runs do not fit together,
    RunError where the file cannot be written.
    """
    if isinstance(source, ReportData):
        if more:
            raise TypeError(f"{', '.join(more)}: already part of the data")
        data = source
    else:
        data = report_data(source, **more)
    output = Path(output)
    if output.is_dir():
        raise ConfigurationError(f"{output} is a folder; name a file such as {output / 'report.html'}")
    text = render_report(data)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder of {output}: {error.strerror or error}; name another file with --output"
        ) from error
    write_atomically(output, text.encode())
    return output


def render_report(data: ReportData) -> str:
    """The report as HTML text; the same data give the same text."""
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        data=data,
        badge=_BADGES[data.status],
        where=_where(data),
        figures=_figures(data),
        charts=_charts(data),
        learning_note=_learning_note(data),
        policy_note=_policy_note(data),
        tables=_tables(data),
    )


def _where(data: ReportData) -> str:
    parts = [data.task, f"on {data.target}"]
    if data.board and data.board != data.target:
        parts.append(f"board {data.board}")
    parts.append(f"seed {data.seed}")
    if data.build:
        parts.append(f"build {data.build}")
    return " · ".join(parts)


def _figures(data: ReportData) -> dict[str, str]:
    figures = {}
    if data.curves and len(data.curves[0].returns):
        curve = data.curves[0]
        means = curve.mean_return_100()
        figures["Episodes"] = f"{len(curve.returns):,}"
        figures["Mean of last 100"] = f"{means[-1]:,.1f}"
        if data.threshold is not None:
            figures["Solved at"] = f"{data.threshold:g}"
    return figures | dict(data.highlights)


def _charts(data: ReportData) -> dict[str, Any]:
    charts: dict[str, Any] = {"learning": None, "policy": None, "weights": None, "histogram": None}
    curves = [curve for curve in data.curves if len(curve.returns)]
    if data.groups:
        ends = "; ".join(
            f"{group.label} end at {group.mean[-1]:.1f}, band {group.low[-1]:.1f} to {group.high[-1]:.1f}"
            for group in data.groups
        )
        described = f"Learning curves over seeds: mean return of 100 by episode. {ends}."
        charts["learning"] = {
            "wide": Markup(place(group_curves(data.groups, data.threshold, 1080, 380), "curves-wide", described)),
            "narrow": Markup(place(group_curves(data.groups, data.threshold, 400, 340), "curves-narrow", described)),
        }
    elif curves:
        means = "; ".join(f"{curve.label} ends at a mean of {curve.mean_return_100()[-1]:.1f}" for curve in curves)
        described = f"Learning curves: return by episode. {means}."
        charts["learning"] = {
            "wide": Markup(place(learning_curves(curves, data.threshold, 1080, 380), "curves-wide", described)),
            "narrow": Markup(place(learning_curves(curves, data.threshold, 400, 320), "curves-narrow", described)),
        }
    if data.policy is not None:
        view = data.policy.view
        described = f"Policy map: action chosen by {view.x_label} and {view.y_label}."
        charts["policy"] = Markup(place(policy_chart(data.policy, 480, 440), "policy", described))
    if data.weights:
        shapes = ", ".join(f"{rows} by {columns}" for rows, columns in (layer.shape for layer in data.weights))
        described = f"Heat maps of the weights of layers of {shapes}."
        height = 60 + 130 * len(data.weights)
        charts["weights"] = Markup(place(weights_chart(data.weights, 480, height), "weights", described))
        charts["histogram"] = Markup(
            place(weights_histogram(data.weights, 480, 200), "histogram", "Histogram of the weights of each layer.")
        )
    return charts


def _learning_note(data: ReportData) -> str:
    if data.groups:
        bands = list(dict.fromkeys(group.band for group in data.groups if group.band))
        return (
            "Mean over seeds of the mean return of the last 100 episodes, over the episodes that all of them have. "
            f"Band: {'; '.join(bands)}."
        )
    note = "The return of every episode (thin) and the mean of the last 100 (bold)"
    if data.episodes_to_threshold:
        note += "; the dot marks where it was solved"
    if len(data.curves) > 1:
        note += ". Where two runs agree episode by episode, the dashed line lies on the solid one"
    return f"{note}."


def _policy_note(data: ReportData) -> str:
    if data.policy is None:
        return ""
    others = "the other inputs are 0" if not data.policy.view.base else "the other inputs are at rest"
    if data.policy.probabilities.shape[2] == 2:
        return (
            f"Which action the final weights prefer, fading with doubt; {others}. "
            "The line is where both are equally likely, the dots are 10% and 90%."
        )
    return f"Which action the final weights prefer, fading with doubt; {others}."


def _tables(data: ReportData) -> list[dict[str, object]]:
    def rows(values: Mapping[str, int | float | str]) -> list[tuple[str, str]]:
        return [
            (name.replace("_", " "), value if isinstance(value, str) else f"{value:,}")
            for name, value in values.items()
        ]

    tables: list[tuple[str, str, Mapping[str, Any]]] = [
        ("Memory", _NOTES["sizes"], data.sizes),
        ("Saturation", _NOTES["saturation"], data.saturation),
        ("Link", _NOTES["link"], data.link),
    ]
    return [{"title": title, "note": note, "rows": rows(values)} for title, note, values in tables if values]
