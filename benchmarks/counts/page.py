"""Writes docs/performance.md and its plot from the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.counts.cores import CORES, find_core
from benchmarks.counts.floor import FLOORS
from benchmarks.counts.naive import NAIVE_STEPS
from benchmarks.counts.networks import LONGEST_EPISODES, NETWORKS, SEED, Network, find_network
from benchmarks.counts.peers import PEERS
from benchmarks.counts.table import COUNTED, SIZED, Row, Table
from nrl_edge.figures import COLOURS, STYLE, save_figure

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PLOT = DOCS / "performance.md", DOCS / "images" / "performance.svg"
PEER_CORES = ("m0plus", "m4", "rv32", "avr")
_HERE = Path(__file__).parent


def page_text(table: Table) -> str:
    """The page; the same table always gives the same text."""
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined, autoescape=False
    )
    template = environment.from_string((_HERE / "performance.md.j2").read_text(encoding="utf-8"))
    return template.render(
        networks=[_network(table, network) for network in NETWORKS],
        variants=_variants(table),
        sizes=_sizes(table),
        firmware=[(board, f"{size:,}") for board, size in table.firmware_text.items()],
        peer_cores=[find_core(core).name for core in PEER_CORES],
        peers=_peers(table),
        floors=[
            {
                "core": core.name,
                "load": _short(floor.load),
                "mac": _short(floor.mac),
                "trace": _short(floor.trace),
                "unit": _short(floor.unit),
                "why": floor.why,
            }
            for core in CORES
            for floor in [FLOORS[core.id]]
        ],
        compilers=[
            {
                "core": core.name,
                "board": core.board_id,
                "compiler": table.compilers[core.id],
                "flags": " ".join(core.flags),
            }
            for core in CORES
        ],
        reasons=table.reasons,
        steps=table.steps,
        longest=" and ".join(map(str, LONGEST_EPISODES)),
        seed=SEED,
        naive_steps=NAIVE_STEPS,
    )


def write_page(table: Table) -> None:
    """Write the page and its plot."""
    PAGE.write_text(page_text(table), encoding="utf-8")
    draw_plot(table, PLOT)


def _short(number: float) -> str:
    return f"{number:g}"


def _ratio(numerator: float, denominator: float) -> str:
    return f"{numerator / denominator:.2f}"


def _network(table: Table, network: Network) -> dict[str, Any]:
    lines = []
    for core in CORES:
        row = table.row(core.id, network.name, "int16")
        naive_int16 = table.row(core.id, network.name, "naive-int16").step
        naive_float32 = table.row(core.id, network.name, "naive-float32").step
        floor = FLOORS[core.id].of(network)
        lines.append(
            {
                "core": core.name,
                "unit": core.unit,
                "step": f"{row.step:,}",
                "range": f"{row.step_min:,} to {row.step_max:,}",
                "update_cost": f"{row.update:,}",
                "floor": f"{floor:,}",
                "over_floor": _ratio(row.step, floor),
                "naive_int16": f"{naive_int16:,}",
                "naive_int16_ratio": f"{naive_int16 / row.step:.1f}",
                "naive_float32": f"{naive_float32:,}",
                "naive_float32_ratio": f"{naive_float32 / row.step:.1f}",
            }
        )
    return {"name": network.name, "task": network.task, "parameters": f"{network.parameters:,}", "lines": lines}


def _variants(table: Table) -> list[dict[str, str]]:
    lines = []
    for name, kind in COUNTED:
        if kind == "int16":
            continue
        for core in CORES:
            row = table.row(core.id, name, kind)
            edge = table.row(core.id, name, "tiny" if kind == "online-tiny" else "int16")
            online = kind.startswith("online")
            lines.append(
                {
                    "name": f"{name} {kind}",
                    "core": core.name,
                    "step": f"{row.step:,}",
                    "range": f"{row.step_min:,} to {row.step_max:,}",
                    "mean": f"{row.step_mean:,}" if online else "",
                    "ratio": _ratio(row.step_mean if online else row.step, edge.step),
                    "critic": f"{100 * row.critic / row.step_mean:.0f} %" if online else "",
                }
            )
    return lines


def _sizes(table: Table) -> list[dict[str, str]]:
    lines = []
    for name, kind in COUNTED:
        if name != SIZED.name:
            continue
        for core in CORES:
            row = table.row(core.id, name, kind)
            lines.append(
                {
                    "core": core.name,
                    "kind": kind,
                    "learning": f"{row.learning_text:,}",
                    "text": f"{row.text:,}",
                    "agent": f"{row.agent:,}",
                    "parameters": f"{row.parameters:,}",
                    "rest": f"{row.agent - row.parameters:,}",
                }
            )
    return lines


def _peers(table: Table) -> list[dict[str, Any]]:
    lines = []
    for peer in PEERS:
        cells = []
        for core_id in PEER_CORES:
            row = table.row(core_id, "4-64-2", "int16")
            cost = peer.costs.get(core_id)
            cells.append("" if cost is None else f"{_ratio(row.step + row.update, cost)} (of {cost:,})")
        lines.append({"name": peer.name, "cells": cells})
    return lines


def draw_plot(table: Table, path: Path) -> None:
    """A step of 4-64-2 on every core: naive versions, this core, floor."""
    network = find_network("4-64-2")

    def steps(kind: str) -> list[Row]:
        return [table.row(core.id, network.name, kind) for core in CORES]

    series = (
        ("naive float32", [row.step for row in steps("naive-float32")], COLOURS[6]),
        ("naive int16", [row.step for row in steps("naive-int16")], COLOURS[1]),
        ("this project, int16", [row.step for row in steps("int16")], COLOURS[0]),
        ("floor", [FLOORS[core.id].of(network) for core in CORES], COLOURS[2]),
    )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        width = 0.2
        for place, (label, values, colour) in enumerate(series):
            positions = [core + (place - 1.5) * width for core in range(len(CORES))]
            axes.bar(positions, values, width * 0.92, label=label, color=colour, zorder=2)
            for position, value in zip(positions, values, strict=True):
                axes.annotate(
                    f"{value / 1000:.3g}k",
                    (position, value),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    fontsize=6.5,
                    color="#222222",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
                    zorder=3,
                )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xticks(range(len(CORES)), [f"{core.name}\n{core.unit}" for core in CORES])
        axes.set_ylabel("cost of one learning step")
        axes.set_title("4-64-2: one learning step, without its update")
        axes.grid(axis="y", zorder=0)
        axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, path)
