"""Trains an experiment's rule in float64 and keeps the run in a folder: what fixed point is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nrl_edge.experiment import Experiment, learning_settings, make_experiment_task, task_settings
from nrl_edge.learning import EpisodeRecord, TrainingResult, train
from nrl_edge.lockstep import MEAN_WINDOW
from nrl_edge.runs import RunFolder
from nrl_edge.runs.control import RunControl

TARGET = "float64"


def train_experiment(
    experiment: Experiment,
    *,
    run: Path | None = None,
    on_episode: Callable[[EpisodeRecord], None] = lambda record: None,
) -> tuple[TrainingResult, dict[str, Any]]:
    """Train one agent of the experiment's rule in float64, whatever its arithmetic, with the experiment's seed.

    Returns the training result and its summary, which a run folder keeps as result.json. Raises ConfigurationError
    where the task cannot be made or the folder cannot be used, RunError where learning diverges.
    """
    # What batched forms of a task would not look at, and before there is a folder of a run that cannot be.
    make_experiment_task(experiment).close()
    with ExitStack() as stack:
        folder = stack.enter_context(RunFolder.create(run, experiment, TARGET)) if run is not None else None
        control = stack.enter_context(RunControl(folder)) if folder is not None else None
        started = time.perf_counter()

        def log(record: EpisodeRecord) -> None:
            if folder is not None:
                folder.log_episode(record.episode_return, record.episode_steps)
            if control is not None:
                control.attend()
            on_episode(record)

        result = train(
            task_settings(experiment),
            experiment.network.hidden,
            learning_settings(experiment),
            [experiment.entropy.seed],
            log,
        )
        steps = int(result.steps[0])
        held = control.paused_seconds if control is not None else 0.0
        summary = {
            "target": TARGET,
            "task": experiment.task.id,
            "rule": experiment.learning.rule,
            "preset": experiment.learning.preset,
            "seed": experiment.entropy.seed,
            "episodes": result.returns.shape[1],
            "steps": steps,
            "mean_return_last_100": float(result.returns[0, -MEAN_WINDOW:].mean()),
            "episodes_to_threshold": result.episodes_to_threshold[0],
            "weights_crc32": None,
            "steps_per_second": round(steps / (time.perf_counter() - started - held), 1),
        }
        if folder is not None:
            folder.save_weights([weights[0] for weights in result.weights])
            folder.finish(summary)
        return result, summary
