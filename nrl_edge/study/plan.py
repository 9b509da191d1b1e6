"""Which cells run together in a job.

Seeds of one variant run side by side, and that is cheap: most of a step's time goes into calls that cost the same for
one seed and for twenty. Against wide jobs speaks that workers might have nothing to do, and that what a killed study
loses is the jobs that were running.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import gymnasium

from nrl_edge.experiment import make_experiment_task
from nrl_edge.study.cells import Job
from nrl_edge.study.definition import Variant
from nrl_edge.tasks.batched import VECTORISED

MAX_SEEDS_PER_JOB = 64
MAX_SECONDS_PER_JOB = 300.0
"""What a job may take if no episode ended early. Most do: jobs take a minute or some."""
UNLIMITED_EPISODE_STEPS = 1000
"""Taken for the length of an episode where the environment has no time limit."""


def plan_jobs(
    variants: Sequence[Variant], seeds: Sequence[int], done: Collection[tuple[str, int]], workers: int = 1
) -> list[Job]:
    """The jobs that are still to run, the longest first; `done` holds (identity, seed) of finished cells.

    Jobs are as wide as `seeds_per_job` allows, and divided until none takes more than a worker's share of the whole.
    """
    plans = []
    for variant in variants:
        missing = [seed for seed in seeds if (variant.identity, seed) not in done]
        if missing:
            plans.append(_Plan(variant, missing, _Cost.of(variant)))
    while plans:
        longest = max(plans, key=lambda plan: plan.seconds_per_job)
        share = sum(plan.jobs * plan.seconds_per_job for plan in plans) / workers
        if longest.seconds_per_job <= share or longest.together == 1:
            break
        longest.jobs += 1
    timed = [(plan.cost.seconds(len(job.seeds)), job) for plan in plans for job in plan.divided()]
    # Longest first, so that no worker is left alone with a long job at the end. The sort is stable.
    return [job for _, job in sorted(timed, key=lambda each: -each[0])]


def seeds_per_job(variant: Variant) -> int:
    """Seeds that may run side by side: so many that they take five minutes, or twice as long as one seed does."""
    return _widest(variant, _Cost.of(variant))


@dataclass(frozen=True)
class _Cost:
    """What a job may take at most, about: a step costs calls of NumPy, and arithmetic for each seed.

    The figures were measured on a server's core; they are within a factor of two for all rules that learn.
    """

    steps: int
    """Of one agent, if no episode ended early."""
    calls: float
    """Seconds a step, however many seeds."""
    each_seed: float
    """Seconds a step and seed."""

    @classmethod
    def of(cls, variant: Variant) -> _Cost:
        experiment = variant.experiment
        task = make_experiment_task(experiment)
        sizes = (task.inputs, *experiment.network.hidden, task.actions)
        task.close()
        parameters = sum(columns * rows for columns, rows in itertools.pairwise(sizes))
        each_seed = 3e-6 + 1.2e-9 * parameters
        if experiment.task.reward == "immediate":  # every step is an update too
            each_seed += 4e-6 + 4e-9 * parameters
        passes = 1 + (experiment.learning.float64.noisy_passes or 0) / 3
        in_python = 0.0 if experiment.task.id in VECTORISED else 15e-6
        return cls(_most_steps(variant), passes * 100e-6, passes * each_seed + in_python)

    def seconds(self, seeds: int) -> float:
        return self.steps * (self.calls + seeds * self.each_seed)


class _Plan:
    """What is missing of one variant, in so many jobs of one width or one less."""

    def __init__(self, variant: Variant, missing: Sequence[int], cost: _Cost) -> None:
        self.variant, self.missing, self.cost = variant, missing, cost
        self.jobs = math.ceil(len(missing) / _widest(variant, cost))

    @property
    def together(self) -> int:
        """Seeds of the widest job."""
        return math.ceil(len(self.missing) / self.jobs)

    @property
    def seconds_per_job(self) -> float:
        return self.cost.seconds(self.together)

    def divided(self) -> list[Job]:
        ends = [len(self.missing) * number // self.jobs for number in range(self.jobs + 1)]
        return [Job(self.variant, tuple(self.missing[start:end])) for start, end in itertools.pairwise(ends)]


def _widest(variant: Variant, cost: _Cost) -> int:
    if variant.configuration is not None and variant.experiment.task.id not in VECTORISED:
        return 1
    limit = max(MAX_SECONDS_PER_JOB, 2 * cost.seconds(1))
    return next(number for number in range(MAX_SEEDS_PER_JOB, 0, -1) if cost.seconds(number) <= limit)


def _most_steps(variant: Variant) -> int:
    name = variant.experiment.task.id.rpartition(":")[2]
    specification = gymnasium.registry.get(name)
    limit = specification.max_episode_steps if specification is not None else None
    return variant.experiment.learning.episodes * (limit or UNLIMITED_EPISODE_STEPS)
