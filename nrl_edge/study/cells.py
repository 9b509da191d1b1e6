"""A cell is one variant with one seed; a job is what a worker runs at once: some cells of one variant, side by side.

Fixed-point cells are the generated C in process; on a task that has no batched form they run one after the other.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge import __version__
from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import learning_settings, make_experiment_task, task_settings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.learning import train
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.side_by_side import run_side_by_side
from nrl_edge.study.definition import Variant
from nrl_edge.tasks.batched import VECTORISED

OnEpisode = Callable[[], None]
"""Is called after every episode."""

_FORMAT = 1


def _no_matter() -> None:
    """For those who do not count."""


@dataclass(frozen=True)
class Job:
    """Cells of one variant that one worker runs together."""

    variant: Variant
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """For people."""
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {self.seeds[0]} to {self.seeds[-1]}"
        return f"{self.variant.name}, {seeds}"


@dataclass(frozen=True)
class CellResult:
    """What became of one cell."""

    identity: str
    """Of the variant."""
    seed: int
    returns: NDArray[np.float64]
    """Return of every episode, (episodes,); empty where learning diverged."""
    lengths: NDArray[np.int64]
    """Steps of every episode, (episodes,)."""
    weights_crc32: str | None
    """CRC-32 of a fixed-point agent's weight bytes, eight hexadecimal digits."""
    counters: dict[str, int]
    """Saturation and failure counters of a fixed-point agent; `observation_on_host` are those of its quantiser."""
    seconds: float
    """Wall clock; a cell that ran beside others has its share of the job's."""
    error: str | None = None
    """Why learning failed, where it did."""

    def to_bytes(self) -> bytes:
        """The content of a cell's file: a compressed .npz without pickles."""
        about = {
            "format": _FORMAT,
            "nrl_edge": __version__,
            "identity": self.identity,
            "seed": self.seed,
            "weights_crc32": self.weights_crc32,
            "counters": self.counters,
            "seconds": self.seconds,
            "error": self.error,
        }
        file = io.BytesIO()
        np.savez_compressed(
            file,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            returns=self.returns,
            lengths=self.lengths.astype(np.int32),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CellResult:
        """Read such a file. Raises ValueError where it is damaged or of another format."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                about: dict[str, Any] = json.loads(arrays["about"].tobytes())
                if about["format"] != _FORMAT:
                    raise ValueError(f"format {about['format']}")
                return cls(
                    identity=str(about["identity"]),
                    seed=int(about["seed"]),
                    returns=arrays["returns"],
                    lengths=arrays["lengths"].astype(np.int64),
                    weights_crc32=about["weights_crc32"],
                    counters=dict(about["counters"]),
                    seconds=float(about["seconds"]),
                    error=about["error"],
                )
        except (zipfile.BadZipFile, KeyError, TypeError, OSError, EOFError) as error:
            raise ValueError(f"no result of a cell: {error}") from error


def run_job(job: Job, on_episode: OnEpisode = _no_matter) -> list[CellResult]:
    """Run the cells of a job, in the order of its seeds. A cell whose learning diverges has an error as its result.

    `on_episode` is called after every episode of any cell.

    Raises ConfigurationError and MissingToolError, which no other seed would cure.
    """
    if job.variant.configuration is not None and job.variant.experiment.task.id not in VECTORISED:
        return [_run_in_gymnasium(job.variant, seed, on_episode) for seed in job.seeds]
    try:
        if job.variant.configuration is not None:
            return _run_fixed_point(job.variant, job.variant.configuration, job.seeds, on_episode)
        return _run_float64(job.variant, job.seeds, on_episode)
    except RunError as error:
        if len(job.seeds) == 1:
            return [_failed(job.variant, job.seeds[0], error)]
    # One of them diverged and took the others with it. What a seed does never depends on its neighbours, so each half
    # is run again, and its halves, until those that diverge are alone.
    middle = len(job.seeds) // 2
    return [result for half in (job.seeds[:middle], job.seeds[middle:]) for result in run_job(Job(job.variant, half))]


def _run_float64(variant: Variant, seeds: Sequence[int], on_episode: OnEpisode) -> list[CellResult]:
    experiment = variant.experiment
    result = train(
        task_settings(experiment),
        experiment.network.hidden,
        learning_settings(experiment),
        seeds,
        lambda record: on_episode(),
    )
    return [
        CellResult(variant.identity, seed, returns, lengths, None, {}, result.wall_seconds / len(seeds))
        for seed, returns, lengths in zip(seeds, result.returns, result.lengths, strict=True)
    ]


def _run_fixed_point(
    variant: Variant, configuration: AgentConfiguration, seeds: Sequence[int], on_episode: OnEpisode
) -> list[CellResult]:
    started = time.perf_counter()
    episodes = variant.experiment.learning.episodes
    runs = run_side_by_side(configuration, task_settings(variant.experiment), seeds, episodes, on_episode)
    share = (time.perf_counter() - started) / len(seeds)
    return [
        CellResult(
            variant.identity,
            seed,
            run.returns,
            run.lengths,
            f"{run.agent.weights_crc32():08x}",
            run.agent.counters().as_dict() | {"observation_on_host": run.saturated_observations},
            share,
        )
        for seed, run in zip(seeds, runs, strict=True)
    ]


def _run_in_gymnasium(variant: Variant, seed: int, on_episode: OnEpisode) -> CellResult:
    """A fixed-point cell of a task that has no batched form of its own."""
    if variant.configuration is None:
        raise ConfigurationError(f"{variant.name} has no fixed-point agent")
    started = time.perf_counter()
    agent = NativeAgent(variant.configuration, EntropySettings("seeded", seed))
    task = make_experiment_task(variant.experiment)
    try:
        lockstep = Lockstep(agent, task, seed)
        outcomes = []
        for episode in range(variant.experiment.learning.episodes):
            outcomes.append(lockstep.run_episode(episode))
            on_episode()
    except RunError as error:
        return _failed(variant, seed, error)
    finally:
        task.close()
    return CellResult(
        variant.identity,
        seed,
        np.array([outcome.episode_return for outcome in outcomes]),
        np.array([outcome.length for outcome in outcomes], dtype=np.int64),
        f"{agent.weights_crc32():08x}",
        agent.counters().as_dict() | {"observation_on_host": lockstep.saturated_observations},
        time.perf_counter() - started,
    )


def _failed(variant: Variant, seed: int, error: RunError) -> CellResult:
    nothing = np.empty(0)
    return CellResult(variant.identity, seed, nothing, nothing.astype(np.int64), None, {}, 0.0, str(error))
