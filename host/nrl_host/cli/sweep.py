"""nrl-edge sweep: one experiment over many seeds and arithmetics."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.table import Table

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_edge.experiment.schema import ArithmeticKind
from nrl_edge.sweep import SweepRow, sweep
from nrl_host.cli.options import EpisodesOption, ExperimentArgument, JsonOption, QuietOption
from nrl_host.cli.output import Output

_MAX_SEEDS = 100_000


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        "sweep",
        short_help="Learn with many seeds, in float64 and fixed point: one table.",
        epilog="Example: nrl-edge sweep experiment.toml --seeds 1000:1020 --arithmetic float64,int16",
    )(sweep_command)


def sweep_command(
    experiment: ExperimentArgument,
    seeds: Annotated[str, typer.Option(help="FROM:TO (TO left out), or a list such as 1,2,5.")] = "1000:1020",
    arithmetic: Annotated[
        str, typer.Option(help="Any of float64, int16, tiny, separated by commas; the first is compared with.")
    ] = "float64,int16",
    episodes: EpisodesOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn with many seeds, in float64 and in fixed point, and compare in one table."""
    output = Output(as_json, quiet)
    loaded = load_experiment(experiment).with_overrides(episodes=episodes)
    chosen = _parse_seeds(seeds)
    kinds = cast("list[ArithmeticKind]", [kind.strip() for kind in arithmetic.split(",")])
    done = 0
    with output.progress(len(chosen) * len(kinds) * loaded.learning.episodes, "episodes") as bar:

        def advance(number: int) -> None:
            nonlocal done
            done += number
            bar.update(done, "")

        rows = sweep(loaded, chosen, kinds, advance)
    base = rows[0].median_episodes
    table = Table("arithmetic", "reached", "median", "worst", "ratio", "mean return", "worst return")
    records = [_record(row, base) for row in rows]
    for row, record in zip(rows, records, strict=True):
        output.line(record)
        cells = (record["median_episodes"], record["worst_episodes"], record["median_ratio"])
        table.add_row(
            row.arithmetic,
            f"{row.reached}/{len(row.seeds)}",
            *("–" if cell is None else f"{cell:g}" for cell in cells),
            f"{record['mean_return_last_100']:.1f}",
            f"{record['worst_return_last_100']:.1f}",
        )
    output.table(table)
    threshold = loaded.task.threshold
    reached = "no threshold" if threshold is None else f"a mean return of {threshold:g} over 100 episodes"
    output.say(
        f"{loaded.task.id}, {loaded.learning.episodes} episodes, seeds {seeds}; "
        f"median and worst are episodes until {reached}, ratio is of medians to the first row's, returns are means "
        "over the last 100 episodes of a seed"
    )
    output.line({"task": loaded.task.id, "seeds": len(chosen), "episodes": loaded.learning.episodes, "rows": records})


def _record(row: SweepRow, base: float | None) -> dict[str, float | int | str | None]:
    middle = row.median_episodes
    return {
        "arithmetic": row.arithmetic,
        "reached": row.reached,
        "seeds": len(row.seeds),
        "median_episodes": middle,
        "worst_episodes": row.worst_episodes,
        "median_ratio": None if middle is None or base is None else round(middle / base, 3),
        "mean_return_last_100": round(float(row.last_means.mean()), 2),
        "worst_return_last_100": round(float(row.last_means.min()), 2),
    }


def _parse_seeds(text: str) -> list[int]:
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            chosen = list(range(first, last)) if last - first <= _MAX_SEEDS else []
        else:
            chosen = [int(part) for part in text.split(",")]
    except ValueError:
        chosen = []
    if not chosen or min(chosen) < 0 or len(set(chosen)) != len(chosen):
        raise ConfigurationError(
            f"--seeds {text}: give FROM:TO with TO above FROM (1000:1020 is 20 seeds), or different whole numbers "
            f"from 0 separated by commas; {_MAX_SEEDS} seeds at most"
        )
    return chosen
