"""nrl-edge study: rules, tasks, networks and arithmetics over many seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nrl_edge import statistics
from nrl_edge.errors import ConfigurationError
from nrl_edge.study import (
    CellResult,
    Study,
    Variant,
    estimate_text,
    expand_seeds,
    load_study,
    make_row,
    make_scheduler,
    run_study,
    study_state,
)
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        "study",
        short_help="Run a study: variants with many seeds, tables and plots.",
        epilog="Example: nrl-edge study studies/parity.toml --output results/parity",
    )(study_command)


def study_command(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (TOML).")],
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the study; else results/NAME.")
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="local: processes of this machine; or a Dask scheduler such as tcp://127.0.0.1:8786.")
    ] = "local",
    processes: Annotated[int | None, typer.Option(help="Worker processes; else one a core (local only).")] = None,
    seeds: Annotated[str | None, typer.Option(help="FROM:TO or a list such as 1,2,5, instead of the file's.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only variants with this in their name, or matching it. May be repeated.")
    ] = None,
    state: Annotated[
        bool, typer.Option("--state", help="Run nothing; show how far it is and what the rest will take.")
    ] = False,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Only results.csv: no statistics and plots, which need arch.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study: every variant with every seed, in one table, with plots. Killed, it goes on where it was."""
    output = Output(as_json, quiet)
    study = load_study(file).select(seeds=_seeds(seeds), only=only or ())
    path = folder or Path("results") / study.name
    for name in study.left_out:
        output.say(f"left out: {name} (this rule has no fixed-point form)")
    if state:
        _show_state(output, study, path)
        return
    if not table_only:
        statistics.require_statistics()
    chosen = make_scheduler(scheduler, processes, output.warn)
    total = len(study.variants) * len(study.seeds)
    with output.progress(total, "cells") as bar:
        in_all, note = sum(each.finished for each in study_state(study, path)), ""
        bar.update(in_all, note)

        def show_progress(cells: float) -> None:
            bar.update(in_all + cells, note)

        def show(variant: Variant, result: CellResult, finished: int) -> None:
            nonlocal in_all, note
            row = make_row(variant, result)
            in_all, note = finished, f"{variant.name}, seed {row.seed}"
            bar.update(finished, note)
            output.line(
                {
                    "finished": finished,
                    "cells": total,
                    "variant": variant.name,
                    "seed": row.seed,
                    "episodes_to_threshold": row.episodes_to_threshold,
                    "mean_return_last_100": row.mean_return_last_100,
                    "seconds": row.seconds,
                    "error": row.error,
                }
            )

        outcome = run_study(study, path, chosen, show, on_progress=show_progress, statistics=not table_only)
    for table in _tables(outcome.table):
        output.table(table)
    output.result(
        {
            "study": study.name,
            "cells": outcome.cells,
            "ran": outcome.ran,
            "left_out": list(study.left_out),
            "files": [str(each) for each in outcome.files],
            "summary": outcome.table,
        },
        f"{study.name}: {outcome.cells} cells, {outcome.ran} of them run now; "
        f"wrote {', '.join(str(each) for each in outcome.files)}",
    )


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    seeds = expand_seeds(text.split(","))
    if seeds is None:
        raise ConfigurationError(
            f"--seeds {text}: give FROM:TO with TO above FROM (1000:1020 is 20 seeds), or different whole numbers "
            "from 0 separated by commas"
        )
    return seeds


def _show_state(output: Output, study: Study, path: Path) -> None:
    table = Table("task", "network", "variant", "finished", "s a cell", "minutes left")
    states = study_state(study, path)
    known = 0.0
    for each in states:
        left, seconds = each.seconds_left, each.seconds_per_cell
        known += left or 0.0
        table.add_row(
            each.variant.task,
            each.variant.network,
            each.variant.label,
            f"{each.finished}/{each.seeds}",
            "?" if seconds is None else f"{seconds:.1f}",
            "?" if left is None else f"{left / 60:.1f}",
        )
        output.line(
            {"variant": each.variant.name, "finished": each.finished, "seeds": each.seeds, "seconds_per_cell": seconds}
        )
    output.table(table)
    unknown = sum(each.seconds_left is None for each in states)
    rest = f", besides {unknown} variants of which no cell is finished" if unknown else ""
    output.result(
        {
            "study": study.name,
            "cells": len(study.variants) * len(study.seeds),
            "finished": sum(each.finished for each in states),
            "worker_seconds_left": round(known, 1),
            "variants_unknown": unknown,
        },
        f"{study.name} in {path}: {known / 60:.0f} worker-minutes left{rest}",
    )


def _tables(rows: list[dict[str, Any]]) -> Iterator[Table]:
    """One table a task and network, narrow enough for a terminal of 80 columns."""

    for place in dict.fromkeys((row["task"], row["network"]) for row in rows):
        table = Table("variant", "reached", "median", "worst", "ratio", "last 100", title=" / ".join(place))
        for row in rows:
            if (row["task"], row["network"]) == place:
                never = "" if row["reached"] is None else "never"
                table.add_row(
                    escape(row["variant"]),
                    "" if row["reached"] is None else f"{row['reached']}/{row['seeds']}",
                    escape(estimate_text(row, "median_episodes", 0)) or never,
                    str(row["worst_episodes"] or never),
                    escape(estimate_text(row, "median_ratio", 2)),
                    "" if row["iqm_return_last_100"] is None else f"{row['iqm_return_last_100']:.1f}",
                )
        yield table
