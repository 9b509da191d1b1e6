"""nrl-edge train: train an experiment's rule in float64."""

from __future__ import annotations

import typer

from nrl_edge.experiment import load_experiment
from nrl_edge.learning import EpisodeRecord
from nrl_edge.training import train_experiment
from nrl_host.cli.options import EpisodesOption, ExperimentArgument, JsonOption, QuietOption, RunOption, SeedOption
from nrl_host.cli.output import Output
from nrl_host.cli.running import solved


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Train the rule in float64: what fixed point is compared with.",
        epilog="Example: nrl-edge train experiment.toml --seed 7 --run runs/float",
    )(train)


def train(
    experiment: ExperimentArgument,
    seed: SeedOption = None,
    episodes: EpisodesOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the experiment's rule in float64, whatever its arithmetic: what fixed point is compared with."""
    output = Output(as_json, quiet)
    loaded = load_experiment(experiment).with_overrides(seed=seed, episodes=episodes)
    with output.progress(loaded.learning.episodes, "float64") as bar:

        def show(record: EpisodeRecord) -> None:
            bar.update(record.episode + 1, f"return {record.episode_return:7.1f}")

        _, summary = train_experiment(loaded, run=run, on_episode=show)
    where = f"\nkept in {run}" if run is not None else ""
    output.result(
        summary | {"run": str(run) if run is not None else None},
        f"{loaded.task.id} in float64, rule {summary['rule']} ({summary['preset']}), seed {summary['seed']}"
        f"{solved(loaded, summary['episodes_to_threshold'])}\n"
        f"{summary['episodes']} episodes, {summary['steps']:,} steps, {summary['steps_per_second']:,.0f} steps/s; "
        f"mean return of the last 100: {summary['mean_return_last_100']:.1f}{where}",
    )
