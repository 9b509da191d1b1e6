"""The float64 trainer with 64 seeds side by side, beside the same trainer with one seed.

Seconds are those of this process on a processor, all of its threads together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

from benchmarks.comparison import Comparison, OnPair, Target, measure_in_turns
from nrl_edge.experiment import experiment_text, learning_settings, parse_experiment, task_settings
from nrl_edge.learning import EpisodeRecord, train

SEEDS = 64


class _EnoughError(Exception):
    """Leaves a training."""


def agent_steps_per_second(task: str, seeds: Sequence[int], steps_each: int) -> float:
    """Steps of all agents a second, from the first to the episode in which they reach `steps_each` on average.

    The experiment is the task's default. Training is left there, before any agent finishes: what is measured is a full
    batch, in the same phase of learning whatever its size.
    """
    experiment = parse_experiment(experiment_text(task))
    agent_steps = 0

    def leave_when_done(record: EpisodeRecord) -> None:
        nonlocal agent_steps
        agent_steps = record.agent_steps
        if agent_steps >= steps_each * len(seeds):
            raise _EnoughError

    started = time.process_time()
    try:
        train(
            task_settings(experiment),
            experiment.network.hidden,
            learning_settings(experiment),
            seeds,
            leave_when_done,
        )
    except _EnoughError:
        return agent_steps / (time.process_time() - started)
    raise AssertionError(f"{steps_each} steps an agent are more than a whole training on {task}")


def compare_training(task: str, steps_each: int, pairs: int, on_pair: OnPair) -> Comparison:
    """64 seeds over one seed."""
    # Another single seed each time: how a seed happens to learn must not decide.
    single = count()
    name = f"float trainer, {task}: {SEEDS} seeds / 1 seed"
    return Comparison(
        name,
        "agent steps",
        f"{SEEDS} seeds",
        "1 seed",
        measure_in_turns(
            name,
            lambda: agent_steps_per_second(task, range(SEEDS), steps_each),
            lambda: agent_steps_per_second(task, [next(single)], steps_each),
            pairs,
            on_pair,
        ),
        target=Target(">=", 20.0),
    )
