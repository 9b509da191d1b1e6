"""A view of a run for a terminal of any width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nrl_host.monitor.state import MonitorState, NoiseState, RunState, View

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_STYLES: dict[RunState, str] = {
    "running": "green",
    "pausing": "yellow",
    "paused": "yellow",
    "resuming": "yellow",
    "stopped": "yellow",
    "finished": "green",
    "killed": "red",
    "silent": "yellow",
}


def sparkline(values: Sequence[float | None], width: int, blocks: str = _BLOCKS) -> str:
    """Numbers as a row of at most `width` blocks, from the least to the largest; nothing where there are none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or width < 1:
        return ""
    if len(known) > width:
        # Means of equally many neighbours; the last column ends with the last value.
        edges = [round(index * len(known) / width) for index in range(width + 1)]
        known = [math.fsum(known[a:b]) / (b - a) for a, b in pairwise(edges)]
    least, largest = min(known), max(known)
    span = largest - least
    top = len(blocks) - 1
    return "".join(blocks[round((value - least) / span * top)] if span else blocks[top // 2] for value in known)


def render(view: View, console: Console) -> RenderableType:
    """The whole view, for `rich.live.Live` or one print."""
    state = view.state
    blocks = _BLOCKS if "utf" in (console.encoding or "").lower() else _ASCII
    head = Text.assemble((state.title, "bold"), "  ", (state.state, f"bold {_STYLES[state.state]}"))
    facts = Text("   ".join(f"{name} {value}" for name, value in state.facts.items()), style="dim", overflow="fold")
    curve = sparkline(view.curves.get("mean_return_100", ()), max(10, console.width - 6), blocks)
    least, largest = _range(view.curves.get("mean_return_100", ()))
    tables = [_learning(state), _noise(state.noise)]
    tables += [_counts("saturated or failed", state.saturation)] if state.saturation else []
    tables += [_link(state)] if state.link else []
    parts: list[RenderableType] = [head, facts]
    if curve:
        title = f"mean return of the last 100: {least} to {largest}"
        parts.append(Panel(Text(curve, no_wrap=True), title=title, title_align="left", expand=False))
    parts.append(Columns(tables, padding=(0, 3)))
    if state.remark:
        parts.append(Text(state.remark))
    return Group(*parts)


def one_line(state: MonitorState) -> str:
    """The figures on one line, where no view can be redrawn."""
    parts = [f"{state.state}: episode {state.episodes:,}"]
    if state.last_return is not None:
        parts.append(f"return {state.last_return:.1f}")
    if state.mean_return_100 is not None:
        parts.append(f"mean of 100 {state.mean_return_100:.1f}")
    if state.steps_per_second is not None:
        parts.append(f"{state.steps_per_second:,.0f} steps/s")
    if state.noise.healthy is False:
        parts.append(f"noise: {state.noise.health}")
    return "  ".join(parts)


def _table(title: str) -> Table:
    # Names and values are text, whatever brackets they have.
    table = Table(title=Text(title, style="bold"), title_justify="left", show_header=False, box=None, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table


def _number(value: float | None, form: str = ",.1f") -> str:
    return "-" if value is None else format(value, form)


def _range(values: Sequence[float | None]) -> tuple[str, str]:
    known = [value for value in values if value is not None]
    return (f"{min(known):.1f}", f"{max(known):.1f}") if known else ("-", "-")


def _learning(state: MonitorState) -> Table:
    table = _table("learning")
    wanted = f" of {state.episodes_wanted:,}" if state.episodes_wanted else ""
    table.add_row("episode", f"{state.episodes:,}{wanted}")
    table.add_row("return", _number(state.last_return))
    table.add_row("mean of 100", _number(state.mean_return_100))
    if state.threshold is not None:
        solved = "not yet" if state.solved_after is None else f"after {state.solved_after:,} episodes"
        table.add_row(f"solved at {state.threshold:g}", solved)
    table.add_row("prediction error", _number(state.reward_prediction_error, "+.2f"))
    table.add_row("steps", f"{state.steps:,}")
    table.add_row("steps a second", _number(state.steps_per_second, ",.0f"))
    return table


def _noise(noise: NoiseState) -> Table:
    table = _table("noise")
    table.add_row("source", noise.mode or "-")
    if noise.healthy is not None:
        style = "green" if noise.healthy else "bold red"
        table.add_row("health", Text("healthy" if noise.healthy else noise.health, style=style))
    if noise.soft_alarms is not None:
        table.add_row("soft alarms", f"{noise.soft_alarms:,}")
    if noise.failed_draws is not None:
        table.add_row("failed draws", f"{noise.failed_draws:,}")
    return table


def _counts(title: str, counts: object) -> Table:
    table = _table(title)
    assert hasattr(counts, "items")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    return table


def _link(state: MonitorState) -> Table:
    """Counters that say something: faults where there were any, and frames."""
    table = _table("link: host / device")
    for name, (host, device) in state.link.items():
        if name.startswith("frames") or host or device:
            cells = ["-" if count is None else f"{count:,}" for count in (host, device)]
            table.add_row(name.replace("_", " "), " / ".join(cells))
    return table
