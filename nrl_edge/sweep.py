"""One experiment over many seeds and arithmetics, in one table: does fixed point learn as well as float64?

Float64 agents train side by side in one batch; fixed-point agents run as the generated C in process, seeds spread over
the machine's cores. Both learn from episodes with the same seeds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from statistics import median

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    ArithmeticSection,
    Experiment,
    check_experiment,
    learning_settings,
    make_experiment_task,
    resolve_agent,
    task_settings,
)
from nrl_edge.experiment.schema import ARITHMETIC_KINDS, ArithmeticKind
from nrl_edge.learning import episodes_to_threshold, train
from nrl_edge.lockstep import MEAN_WINDOW, Lockstep
from nrl_edge.native import NativeAgent

Progress = Callable[[int], None]
"""Is called with the number of episodes that were finished since the last call."""


@dataclass(frozen=True)
class SweepRow:
    """What one arithmetic came to over all seeds."""

    arithmetic: ArithmeticKind
    seeds: tuple[int, ...]
    returns: NDArray[np.float64]
    """Return of every episode, (seeds, episodes)."""
    episodes_to_threshold: tuple[int | None, ...]

    @property
    def reached(self) -> int:
        """Seeds that reached the threshold."""
        return sum(episodes is not None for episodes in self.episodes_to_threshold)

    @property
    def median_episodes(self) -> float | None:
        """Median of episodes to the threshold; None where half of the seeds or more never reached it."""
        value = median(float("inf") if episodes is None else episodes for episodes in self.episodes_to_threshold)
        return None if value == float("inf") else value

    @property
    def worst_episodes(self) -> int | None:
        """Largest number of episodes to the threshold; None where a seed never reached it."""
        values = [episodes for episodes in self.episodes_to_threshold if episodes is not None]
        return max(values) if len(values) == len(self.seeds) else None

    @property
    def last_means(self) -> NDArray[np.float64]:
        """Mean return of the last 100 episodes of each seed, (seeds,)."""
        means: NDArray[np.float64] = self.returns[:, -MEAN_WINDOW:].mean(axis=1)
        return means


def sweep(
    experiment: Experiment,
    seeds: Sequence[int],
    arithmetics: Sequence[ArithmeticKind],
    progress: Progress = lambda episodes: None,
    processes: int | None = None,
) -> list[SweepRow]:
    """Run `experiment` with each seed in each arithmetic. Returns one row an arithmetic, in the order given.

    Raises ConfigurationError where the experiment cannot be run in one of them.
    """
    if not seeds:
        raise ConfigurationError("no seeds: name at least one, for example --seeds 1000:1020")
    for kind in arithmetics:
        if kind not in ARITHMETIC_KINDS:
            raise ConfigurationError(f"unknown arithmetic {kind!r}: allowed are {', '.join(ARITHMETIC_KINDS)}")
    make_experiment_task(experiment).close()  # what batched forms of a task would not look at
    rows = []
    for kind in arithmetics:
        arithmetic = experiment.arithmetic
        if kind != arithmetic.kind:
            # Formats that were chosen for one width do not fit another.
            arithmetic = ArithmeticSection(kind)
        changed = check_experiment(replace(experiment, arithmetic=arithmetic))
        if kind == "float64":
            returns = _float_returns(changed, seeds, progress)
        else:
            returns = _native_returns(changed, seeds, progress, processes)
        reached = tuple(episodes_to_threshold(each, experiment.task.threshold) for each in returns)
        rows.append(SweepRow(kind, tuple(seeds), returns, reached))
    return rows


def _float_returns(experiment: Experiment, seeds: Sequence[int], progress: Progress) -> NDArray[np.float64]:
    settings = learning_settings(experiment)
    return train(
        task_settings(experiment), experiment.network.hidden, settings, seeds, lambda record: progress(1)
    ).returns


def _native_returns(
    experiment: Experiment, seeds: Sequence[int], progress: Progress, processes: int | None
) -> NDArray[np.float64]:
    episodes = experiment.learning.episodes
    returns = np.zeros((len(seeds), episodes))
    configuration = resolve_agent(experiment)
    NativeAgent(configuration, EntropySettings())  # compiled once, before the workers ask for it
    stopped = multiprocessing.Event()
    with ProcessPoolExecutor(processes or os.cpu_count(), initializer=_begin_worker, initargs=(stopped,)) as pool:
        try:
            with _no_interrupts():
                futures = {pool.submit(_native_run, experiment, seed): row for row, seed in enumerate(seeds)}
            for future in as_completed(futures):
                returns[futures[future]] = future.result()
                progress(episodes)
        finally:
            # After an error or Ctrl-C nobody wants the other runs: they end at their next episode.
            with _no_interrupts():
                stopped.set()
                pool.shutdown(cancel_futures=True)
    return returns


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while workers start, which then never hear it, and while they end; the caller hears it after."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_stopped: Event | None = None
"""In a worker: whether its runs are still wanted."""


def _begin_worker(stopped: Event) -> None:
    global _stopped
    _stopped = stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _native_run(experiment: Experiment, seed: int) -> NDArray[np.float64]:
    task = make_experiment_task(experiment)
    agent = NativeAgent(resolve_agent(experiment), EntropySettings("seeded", seed))
    lockstep = Lockstep(agent, task, seed)
    returns = []
    for episode in range(experiment.learning.episodes):
        if _stopped is not None and _stopped.is_set():
            break
        returns.append(lockstep.run_episode(episode).episode_return)
    task.close()
    return np.array(returns)
