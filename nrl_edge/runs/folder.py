"""One run, one folder: what ran, how it went, and what is needed to go on with it.

    run.json          what ran: target, task, seed, agent, when, status
    experiment.toml   the experiment in canonical form
    progress.csv      one line an episode
    telemetry.csv     what the device said of itself, where there is one
    tensorboard/      the same curves as TensorBoard events
    checkpoints/      episode_000050.nrls: the agent's snapshot after 50 episodes
    record.nrlr       every call of step, where the run is recorded
    noise.bin         the raw noise that the agent drew, where that is raw; noise.csv: how much of it by each episode
    final.nrls        the last snapshot
    weights.npz       the last weights as numbers
    result.json       what the run came to
    replay.json       what the last repetition of it found

A run may be killed at any moment. Snapshots and JSON files appear whole or not at all; the growing files are cut back
to the newest checkpoint before a run goes on.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import re
import time
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_edge import __version__
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import (
    ArithmeticSection,
    Experiment,
    agent_configuration,
    explicit_experiment,
    parse_experiment,
)
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.learning.trainer import THRESHOLD_EPISODES, episodes_to_threshold
from nrl_edge.record import RecordWriter, bytes_of_episodes
from nrl_edge.runs.files import sync_folder, write_atomically, write_with_atomically
from nrl_edge.runs.lock import FolderBusyError, FolderLock
from nrl_edge.runs.noise import NoiseFile, cut_noise, noise_holds, read_noise
from nrl_edge.runs.snapshot import snapshot_info
from nrl_edge.runs.tensorboard import EventLog

FORMAT_VERSION = 1
PROGRESS_COLUMNS = ("episode", "steps", "return", "length", "mean_return_100", "elapsed_seconds")
_PROGRESS_HEAD = (",".join(PROGRESS_COLUMNS) + "\n").encode()
FLUSH_EPISODES = 10
"""Episodes after which growing files are handed to the operating system, ..."""
FLUSH_SECONDS = 0.5
"""... or after so many seconds, where episodes are long: somebody may be watching."""

RunStatus = Literal["running", "stopped", "finished"]
_CHECKPOINT_NAME = re.compile(r"episode_(\d{6,})\.nrls")


@dataclass(frozen=True)
class RunInfo:
    """What run.json says."""

    target: str
    """Where the agent ran: `float64`, `reference`, `native`, `desktop` or a board."""
    task: str
    seed: int
    entropy_mode: str
    agent: Mapping[str, Any] | None
    """Description, identity, inputs, actions and observation_frac_bits of a fixed-point agent; None in float64."""
    status: RunStatus
    """`running` also where a run was killed before it could say otherwise."""
    started: str
    """ISO 8601, UTC."""
    finished: str | None
    host: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the caller adds: build id, firmware, board serial number, command line."""
    nrl_edge_version: str = __version__
    format_version: int = FORMAT_VERSION


class Checkpoint(NamedTuple):
    """Where a run goes on from."""

    episode: int
    """Number of finished episodes."""
    snapshot: bytes | None
    """The agent's snapshot; None at the very beginning."""


@dataclass(frozen=True)
class Progress:
    """What progress.csv says, one entry an episode."""

    episode: NDArray[np.int64]
    """Number of finished episodes: 1, 2, ..."""
    steps: NDArray[np.int64]
    """Steps of the run so far."""
    episode_return: NDArray[np.float64]
    length: NDArray[np.int64]
    """Steps of the episode."""
    mean_return_100: NDArray[np.float64]
    """Mean return of the last 100 episodes, or of all where there are fewer."""
    elapsed_seconds: NDArray[np.float64]

    def episodes_to_threshold(self, threshold: float | None) -> int | None:
        """Episodes until the mean of the last 100 first reached the threshold; None: never."""
        return episodes_to_threshold(self.episode_return, threshold)


def _was_begun(path: Path) -> bool:
    """Whether a folder holds only what a run leaves that a full disk or a kill ended before its run.json."""
    known = {"progress.csv", "experiment.toml", ".progress.csv.tmp", ".experiment.toml.tmp", ".run.json.tmp"}
    names = {each.name for each in path.iterdir()}
    try:
        return names <= known and (path / "progress.csv").read_bytes() == _PROGRESS_HEAD
    except OSError:
        return False


class RunFolder:
    """The folder of one run. Made by `create`, `open` (to read it) or `resume` (to go on with it)."""

    def __init__(self, path: Path, info: RunInfo, experiment: Experiment) -> None:
        self.path = path
        self.info = info
        self.experiment = experiment
        self.episodes = 0
        """Episodes logged so far, in a folder that is being written."""
        self._writable = False
        self._lock: FolderLock | None = None
        self._tensorboard_wanted = True
        self._progress_file: IO[str] | None = None
        self._telemetry_file: IO[str] | None = None
        self._telemetry_columns: tuple[str, ...] | None = None
        self._tensorboard: EventLog | None = None
        self._record: RecordWriter | None = None
        self._noise: NoiseFile | None = None
        self._forget_progress()

    # Opening

    @classmethod
    def create(
        cls,
        path: str | Path,
        experiment: Experiment,
        target: str,
        *,
        agent: AgentConfiguration | None = None,
        extra: Mapping[str, Any] | None = None,
        tensorboard: bool = True,
    ) -> RunFolder:
        """Begin a run. `agent` is the fixed-point agent (None: float64); `extra` is kept in run.json as it is.

        Raises ConfigurationError where the folder holds anything already, or cannot be made.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise ConfigurationError(f"{path} is a file; name a folder for the run")
        if (path / "run.json").exists():
            raise ConfigurationError(
                f"{path} holds a run already. Name another folder, or go on with it: sim and hil do by --resume"
            )
        if path.is_dir() and any(path.iterdir()) and not _was_begun(path):
            raise ConfigurationError(f"{path} is not empty and holds no run; name a new or an empty folder")
        described = None
        if agent is not None:
            described = {
                "description": agent.description,
                "identity": f"{agent.identity:08x}",
                "inputs": agent.inputs,
                "actions": agent.actions,
                "policy": agent.policy,
                "observation_frac_bits": agent.formats.observation_frac_bits,
            }
        # What was automatic is written out, so that the run stays what it was whatever later versions would choose.
        experiment = explicit_experiment(experiment, None if agent is None else agent.formats)
        info = RunInfo(
            target=target,
            task=experiment.task.id,
            seed=experiment.entropy.seed,
            entropy_mode=experiment.entropy.mode,
            agent=described,
            status="running",
            started=_now(),
            finished=None,
            host={
                "platform": platform.platform(),
                "python": platform.python_version(),
                "numpy": np.__version__,
            },
            extra=dict(extra or {}),
        )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make the folder {path}: {error}") from error
        run = cls(path, info, experiment)
        with run._taken():
            # First, as nothing but a run has it: what a full disk or a kill ended before run.json is known by it.
            write_atomically(path / "progress.csv", _PROGRESS_HEAD)
            write_atomically(path / "experiment.toml", experiment.with_absolute_paths().to_toml().encode())
            # Written last: a folder with run.json has all of the above.
            run._write_info()
            run._begin_writing(tensorboard)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run to read it. Raises ConfigurationError where it is none, or damaged."""
        path = Path(path)
        info = _read_info(path)
        try:
            text = (path / "experiment.toml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{path}: the run's experiment.toml cannot be read ({error}); it is damaged"
            ) from error
        return cls(path, info, parse_experiment(text, str(path / "experiment.toml"), path))

    @classmethod
    def resume(
        cls,
        path: str | Path,
        experiment: Experiment,
        target: str,
        *,
        agent: AgentConfiguration | None = None,
        tensorboard: bool = True,
    ) -> tuple[RunFolder, Checkpoint]:
        """Open a run to go on with it, cut back to its newest whole checkpoint, which is returned with it.

        The number of episodes and `checkpoint_every` may have changed. Raises ConfigurationError where experiment,
        target or agent are others than the run's, or all its episodes are done.
        """
        run = cls.open(path)
        experiment = explicit_experiment(experiment, None if agent is None else agent.formats)
        run._check_same(experiment, target, agent)
        with run._taken():
            if run.info.status == "finished" and len(run.progress().episode) >= experiment.learning.episodes:
                raise ConfigurationError(
                    f"{run.path}: all {experiment.learning.episodes} episodes of this run are done; "
                    "raise the number of episodes to go on with it"
                )
            checkpoint = run._newest_checkpoint()
            if checkpoint.episode > experiment.learning.episodes:
                raise ConfigurationError(
                    f"{run.path}: this run has {checkpoint.episode} episodes already, and "
                    f"{experiment.learning.episodes} are asked for; name a larger number of episodes to go on with it"
                )
            # Only now: a command that is refused costs nothing of the run.
            run._cut_back(checkpoint.episode)
            if run.experiment != experiment.with_absolute_paths():
                write_atomically(run.path / "experiment.toml", experiment.with_absolute_paths().to_toml().encode())
            run.experiment = experiment
            run.info = replace(run.info, status="running", finished=None)
            run._write_info()
            run._begin_writing(tensorboard)
        return run, checkpoint

    def _check_same(self, experiment: Experiment, target: str, agent: AgentConfiguration | None) -> None:
        if target != self.info.target:
            raise ConfigurationError(
                f"{self.path} is a run on {self.info.target!r}, not on {target!r}; resume it there"
            )
        # Formats are a part of the agent, which is compared below; older folders hold automatic ones.
        ours, theirs = (
            replace(each, arithmetic=ArithmeticSection(each.arithmetic.kind))
            for each in (explicit_experiment(self.experiment, None), experiment.with_absolute_paths())
        )
        theirs = replace(theirs, learning=replace(theirs.learning, episodes=ours.learning.episodes), run=ours.run)
        if ours != theirs:
            mine, other = ours.to_toml().splitlines(), theirs.to_toml().splitlines()
            changed = [line for line in other if line not in mine] + [line for line in mine if line not in other]
            raise ConfigurationError(
                f"{self.path} is a run of another experiment: {'; '.join(changed)}. Resume it with the experiment "
                "that it was begun with, or begin a new run in another folder"
            )
        mine_id, other_id = self.identity, None if agent is None else agent.identity
        if mine_id != other_id:
            raise ConfigurationError(
                f"{self.path} is a run of the agent {self.info.agent and self.info.agent.get('description')}, "
                f"not of {agent and agent.description}; begin a new run in another folder"
            )

    def resume_from(self) -> Checkpoint:
        """Cut progress, telemetry and record back to the newest whole checkpoint and return it."""
        checkpoint = self._newest_checkpoint()
        self._cut_back(checkpoint.episode)
        return checkpoint

    @contextmanager
    def _taken(self) -> Iterator[None]:
        """Keep other processes from writing the run, until it is closed or what is done here fails."""
        try:
            self._lock = FolderLock(self.path, take_over=True)
        except FolderBusyError:
            raise ConfigurationError(
                f"another process writes the run {self.path}; wait for it, or end it with Ctrl-C. "
                f"`nrl-edge monitor {self.path}` watches it"
            ) from None
        try:
            yield
        except BaseException:
            self._lock.release()
            raise

    def _newest_checkpoint(self) -> Checkpoint:
        """The newest whole checkpoint that can be gone on from.

        A damaged checkpoint, or one that is ahead of progress or record, is passed over; where none is left the run
        starts from its beginning (episode 0, no snapshot).
        """
        rows = _progress_rows(self.path / "progress.csv", strict=False)
        record = self.record_path
        for episode, path in [*reversed(self.checkpoints()), (0, None)]:
            if episode > len(rows):
                continue
            if record.exists() and bytes_of_episodes(record, episode) is None:
                continue
            if not noise_holds(self.path, episode):
                continue
            snapshot = None
            if path is not None:
                try:
                    snapshot = path.read_bytes()
                    if snapshot_info(snapshot, str(path)).identity != self.identity:
                        continue
                except (OSError, ConfigurationError):
                    continue
            return Checkpoint(episode, snapshot)
        raise AssertionError("the beginning of a run is always there to go on from")

    def _cut_back(self, episodes: int) -> None:
        try:
            _keep_lines(self.path / "progress.csv", 1 + episodes)
            telemetry = self.path / "telemetry.csv"
            if telemetry.exists():
                kept = 0
                for line in _whole_lines(telemetry)[1:]:
                    first = line.split(b",", 1)[0]
                    if not first.isdigit() or int(first) > episodes:
                        break
                    kept += 1
                _keep_lines(telemetry, 1 + kept)
            if self.record_path.exists():
                size = bytes_of_episodes(self.record_path, episodes)
                assert size is not None
                os.truncate(self.record_path, size)
            cut_noise(self.path, episodes)
            for later, path in self.checkpoints():
                if later > episodes:
                    path.unlink()
            for name in ("final.nrls", "weights.npz", "result.json", "replay.json"):
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: the run cannot be cut back to episode {episodes}: {error}") from error

    def _begin_writing(self, tensorboard: bool) -> None:
        self._forget_progress()
        self._tensorboard_wanted = tensorboard
        progress = self.progress()
        self.episodes = len(progress.episode)
        if self.episodes:
            self._steps = int(progress.steps[-1])
            self._last_returns.extend(progress.episode_return[-THRESHOLD_EPISODES:].tolist())
            self._elapsed_before = float(progress.elapsed_seconds[-1])
        self._first_new_episode = self.episodes + 1
        self._clock_start = self._flushed = time.perf_counter()
        self._progress_file = (self.path / "progress.csv").open("a", encoding="utf-8", newline="")
        self._writable = True

    def _forget_progress(self) -> None:
        self._steps = 0
        self._last_returns: deque[float] = deque(maxlen=THRESHOLD_EPISODES)
        self._elapsed_before = 0.0
        self._clock_start = 0.0
        self._flushed = 0.0
        self._first_new_episode = 1

    # Writing

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock time of the run while it was being written, earlier sittings included."""
        return self._elapsed_before + time.perf_counter() - self._clock_start

    def leave_out(self, seconds: float) -> None:
        """Do not count so many seconds that have just passed as time of the run: it was held."""
        self._clock_start += seconds

    @property
    def mean_return_100(self) -> float:
        """Mean return of the last 100 logged episodes, or of all where there are fewer; NaN before the first."""
        return math.fsum(self._last_returns) / len(self._last_returns) if self._last_returns else math.nan

    def log_episode(self, episode_return: float, length: int, *, elapsed_seconds: float | None = None) -> float:
        """Add the next episode: its return and its number of steps. Returns the mean return of the last 100."""
        self._need_writable()
        assert self._progress_file is not None
        self.episodes += 1
        self._steps += int(length)
        self._last_returns.append(float(episode_return))
        mean = self.mean_return_100
        elapsed = self.elapsed_seconds if elapsed_seconds is None else elapsed_seconds
        row = (self.episodes, self._steps, float(episode_return), int(length), mean, round(float(elapsed), 3))
        try:
            self._progress_file.write(",".join(map(repr, row)) + "\n")
            now = time.perf_counter()
            if self.episodes % FLUSH_EPISODES == 0 or now - self._flushed >= FLUSH_SECONDS:
                self._flushed = now
                self._progress_file.flush()
                if self._telemetry_file is not None:
                    self._telemetry_file.flush()
        except OSError as error:
            raise RunError(f"cannot write {self.path / 'progress.csv'}: {error}. The disk may be full") from error
        if self._tensorboard_wanted:
            if self._tensorboard is None:
                self._tensorboard = EventLog(self.path / "tensorboard", self._first_new_episode)
            scalars = {"return": float(episode_return), "mean_return_100": mean, "length": float(length)}
            self._tensorboard.add(self.episodes, {f"episode/{tag}": value for tag, value in scalars.items()})
        return mean

    def log_telemetry(self, episode: int, values: Mapping[str, float | int | str]) -> None:
        """Add one line of telemetry of an episode (numbered from 1). The first line fixes the columns.

        Raises RunError where later lines have other columns.
        """
        self._need_writable()
        columns = ("episode", *values)
        path = self.path / "telemetry.csv"
        try:
            if self._telemetry_file is None:
                lines = _whole_lines(path) if path.exists() else []
                self._telemetry_file = path.open("a", encoding="utf-8", newline="")
                if lines:
                    self._telemetry_columns = tuple(next(csv.reader([lines[0].decode("utf-8", "replace")])))
                else:
                    self._telemetry_file.truncate(0)
                    csv.writer(self._telemetry_file, lineterminator="\n").writerow(columns)
                    self._telemetry_columns = columns
            if columns != self._telemetry_columns:
                raise RunError(
                    f"telemetry with the columns {', '.join(columns)} came to {path}, "
                    f"which has {', '.join(self._telemetry_columns or ())}; begin a new run in another folder"
                )
            csv.writer(self._telemetry_file, lineterminator="\n").writerow((episode, *values.values()))
        except OSError as error:
            raise RunError(f"cannot write {path}: {error}. The disk may be full") from error

    def open_record(self) -> RecordWriter:
        """The record of this run's calls of step, from the episode that is next. Call it once a sitting.

        Raises ConfigurationError where the run goes on but was not recorded before.
        """
        self._need_writable()
        if self.info.agent is None:
            raise ConfigurationError(f"{self.path}: this run is float64; only fixed-point agents are recorded")
        inputs, identity = int(self.info.agent["inputs"]), self.identity
        # Runs of before there were continuous actions name no policy.
        outputs = int(self.info.agent["actions"]) if self.info.agent.get("policy") == "gaussian" else 0
        assert identity is not None
        path = self.record_path
        if path.exists():
            self._record = RecordWriter.resume(
                path, inputs=inputs, identity=identity, seed=self.info.seed, episodes=self.episodes, outputs=outputs
            )
        elif self.episodes:
            raise ConfigurationError(
                f"{self.path} was not recorded in its first {self.episodes} episodes, so it cannot be replayed; "
                "resume without recording, or begin a new run"
            )
        else:
            self._record = RecordWriter.create(
                path, inputs=inputs, identity=identity, seed=self.info.seed, outputs=outputs
            )
        return self._record

    def log_noise(self, noise: bytes | None) -> None:
        """Add what the agent drew since the last call, after every episode; None: lost, the run cannot be repeated.

        The first call is for what was drawn before the first episode, by the initial weights.
        """
        self._need_writable()
        if self._noise is None:
            self._noise = NoiseFile(self.path)
        self._noise.add(self.episodes, noise)

    def save_checkpoint(self, snapshot: bytes) -> Path:
        """Keep the agent's snapshot after the episodes logged so far, and make all that was logged durable."""
        self._need_writable()
        snapshot_info(snapshot)
        self.flush(durable=True)
        folder = self.path / "checkpoints"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make {folder}: {error}") from error
        path = folder / f"episode_{self.episodes:06d}.nrls"
        write_atomically(path, snapshot)
        return path

    def save_final(self, snapshot: bytes) -> None:
        """Keep the run's last snapshot as final.nrls, and as a checkpoint that more episodes could go on from."""
        self.save_checkpoint(snapshot)
        write_atomically(self.path / "final.nrls", snapshot)

    def save_weights(self, weights: Sequence[NDArray[np.floating]]) -> None:
        """Keep the weights as numbers: [(n_l, n_(l-1)), ...], hidden layers in order, then the output layer."""
        arrays = {f"layer_{index}": np.asarray(layer, np.float64) for index, layer in enumerate(weights, 1)}
        write_with_atomically(self.path / "weights.npz", lambda file: np.savez(file, allow_pickle=False, **arrays))

    def update_extra(self, **values: Any) -> None:
        """Add to what the caller keeps in run.json."""
        self.info = replace(self.info, extra={**self.info.extra, **values})
        self._write_info()

    def flush(self, *, durable: bool = False) -> None:
        """Hand everything to the operating system; with `durable`, wait until it is on the disk."""
        try:
            for file in (self._progress_file, self._telemetry_file):
                if file is not None:
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
            if durable:
                sync_folder(self.path)
        except OSError as error:
            raise RunError(f"cannot write the run {self.path}: {error}. The disk may be full") from error
        if self._record is not None:
            self._record.flush(durable=durable)
        if self._noise is not None:
            self._noise.flush(durable=durable)
        if self._tensorboard is not None:
            self._tensorboard.flush()

    def finish(self, result: Mapping[str, Any]) -> None:
        """End the run: keep `result` (JSON values) as result.json, and close every file."""
        self._need_writable()
        self.flush(durable=True)
        text = json.dumps(result, indent=2, allow_nan=False)
        write_atomically(self.path / "result.json", f"{text}\n".encode())
        self._close("finished")

    def close(self) -> None:
        """Close every file; a run that was not finished is marked as stopped, and can be resumed."""
        if self._writable:
            self._close("stopped")

    def _close(self, status: RunStatus) -> None:
        try:
            self._close_files(status)
        finally:
            if self._lock is not None:
                self._lock.release()

    def _close_files(self, status: RunStatus) -> None:
        self._writable = False
        failure: RunError | None = None
        try:
            self.flush()
        except RunError as error:
            failure = error
        for file in (self._progress_file, self._telemetry_file, self._record, self._noise, self._tensorboard):
            if file is None:
                continue
            try:
                file.close()
            except (OSError, RunError) as error:
                # Each file is closed whatever became of the others; the first error says it all.
                failure = failure or RunError(f"cannot write the run {self.path}: {error}. The disk may be full")
        self._progress_file = self._telemetry_file = self._record = self._noise = self._tensorboard = None
        if failure is not None:
            raise failure
        self.info = replace(self.info, status=status, finished=_now())
        self._write_info()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _need_writable(self) -> None:
        if not self._writable:
            raise ValueError(f"{self.path} is open for reading only; RunFolder.resume goes on with a run")

    def _write_info(self) -> None:
        values = asdict(self.info)
        ordered = {name: values.pop(name) for name in ("format_version", "nrl_edge_version")} | values
        write_atomically(self.path / "run.json", f"{json.dumps(ordered, indent=2)}\n".encode())

    # Reading

    @property
    def identity(self) -> int | None:
        """Identity of the fixed-point agent; None in float64."""
        return None if self.info.agent is None else int(self.info.agent["identity"], 16)

    @property
    def agent(self) -> AgentConfiguration | None:
        """The fixed-point agent of the run; None in float64. Raises ConfigurationError where the files disagree."""
        described = self.info.agent
        if described is None:
            return None
        frac_bits = int(described["observation_frac_bits"])
        agent = agent_configuration(
            self.experiment,
            int(described["inputs"]),
            int(described["actions"]),
            frac_bits,
            continuous=described.get("policy") == "gaussian",
        )
        if agent.identity != self.identity:
            raise ConfigurationError(
                f"{self.path}: run.json names the agent {described['description']}, but experiment.toml gives "
                f"{agent.description}; one of the two was changed"
            )
        return agent

    @property
    def record_path(self) -> Path:
        """Where the record of steps is, if there is one."""
        return self.path / "record.nrlr"

    def noise(self) -> bytes:
        """The raw noise of the whole run. Raises ConfigurationError where it was not recorded, or not all of it."""
        return read_noise(self.path)

    def progress(self) -> Progress:
        """All logged episodes; a half-written last line is left out. Raises ConfigurationError where it is damaged."""
        rows = _progress_rows(self.path / "progress.csv", strict=True)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(PROGRESS_COLUMNS)
        return Progress(
            episode=np.array(columns[0], np.int64),
            steps=np.array(columns[1], np.int64),
            episode_return=np.array(columns[2], np.float64),
            length=np.array(columns[3], np.int64),
            mean_return_100=np.array(columns[4], np.float64),
            elapsed_seconds=np.array(columns[5], np.float64),
        )

    def telemetry(self) -> list[dict[str, str]]:
        """The lines of telemetry.csv by column; empty where there is no telemetry."""
        path = self.path / "telemetry.csv"
        if not path.exists():
            return []
        text = b"".join(line + b"\n" for line in _whole_lines(path)).decode("utf-8", "replace")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(finished episodes, file) of every checkpoint, oldest first; whether they are whole is not looked at."""
        found = []
        for path in (self.path / "checkpoints").glob("*.nrls"):
            if match := _CHECKPOINT_NAME.fullmatch(path.name):
                found.append((int(match[1]), path))
        return sorted(found)

    def final_snapshot(self) -> bytes | None:
        """The last snapshot of a run that reached its end. Raises ConfigurationError where it is damaged."""
        path = self.path / "final.nrls"
        if not path.exists():
            return None
        try:
            snapshot = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        snapshot_info(snapshot, str(path))
        return snapshot

    def weights(self) -> list[NDArray[np.float64]] | None:
        """What `save_weights` kept; None where nothing was. Raises ConfigurationError where it is damaged."""
        path = self.path / "weights.npz"
        if not path.exists():
            return None
        try:
            # Opened here, as np.load leaves a file open that turns out to be no archive.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return [np.asarray(file[f"layer_{index}"], np.float64) for index in range(1, len(file.files) + 1)]
        except (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
            raise ConfigurationError(f"{path} is damaged ({error}); export the weights of final.nrls again") from error

    def keep_replay_verdict(self, verdict: Mapping[str, Any]) -> None:
        """Keep what a repetition of this run found, for reports; the one before is replaced. Raises RunError."""
        text = json.dumps(verdict, indent=2, allow_nan=False)
        write_atomically(self.path / "replay.json", f"{text}\n".encode())

    def replay_verdict(self) -> dict[str, Any] | None:
        """What `keep_replay_verdict` kept; None where the run was not repeated. Raises ConfigurationError."""
        path = self.path / "replay.json"
        return _read_json(path) if path.exists() else None

    def result(self) -> dict[str, Any] | None:
        """What `finish` kept; None where the run has not ended. Raises ConfigurationError where it is damaged."""
        path = self.path / "result.json"
        return _read_json(path) if path.exists() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} is damaged: it holds no JSON object")
    return values


def _read_info(path: Path) -> RunInfo:
    file = path / "run.json"
    if not path.is_dir():
        raise ConfigurationError(f"{path}: there is no such run folder; check the path")
    if not file.exists():
        raise ConfigurationError(f"{path} is no run: it has no run.json; name the folder that --run was given")
    values = _read_json(file)
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ConfigurationError(
            f"{file}: format_version = {version!r}: this nrl-edge {__version__} reads version {FORMAT_VERSION}; "
            "use the nrl-edge that wrote the run"
        )

    def damaged(name: str) -> ConfigurationError:
        return ConfigurationError(f"{file} is damaged: {name} = {values.get(name)!r}")

    def check(name: str, *kinds: type) -> Any:
        value = values.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise damaged(name)
        return value

    agent = check("agent", dict, type(None))
    if agent is not None:
        numbers = [agent.get(name) for name in ("inputs", "actions", "observation_frac_bits")]
        if not all(type(number) is int for number in numbers) or not re.fullmatch(
            r"[0-9a-f]{8}", str(agent.get("identity"))
        ):
            raise damaged("agent")
    if values.get("status") not in ("running", "stopped", "finished"):
        raise damaged("status")
    return RunInfo(
        target=check("target", str),
        task=check("task", str),
        seed=check("seed", int),
        entropy_mode=check("entropy_mode", str),
        agent=agent,
        status=values["status"],
        started=check("started", str),
        finished=check("finished", str, type(None)),
        host=check("host", dict),
        extra=check("extra", dict),
        nrl_edge_version=check("nrl_edge_version", str),
    )


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file without their ends; one without an end is half-written, and left out."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. The run is damaged") from error


def _keep_lines(path: Path, lines: int) -> None:
    os.truncate(path, sum(len(line) + 1 for line in _whole_lines(path)[:lines]))


def _progress_rows(path: Path, *, strict: bool) -> list[tuple[int, int, float, int, float, float]]:
    """The rows of progress.csv. One that is none ends them; where others follow it and `strict`, it is an error."""
    lines = _whole_lines(path)
    header = ",".join(PROGRESS_COLUMNS)
    if not lines or lines[0].decode("utf-8", "replace") != header:
        raise ConfigurationError(f"{path} is damaged: its first line is not {header}")
    rows = []
    for number, line in enumerate(lines[1:], 1):
        try:
            episode, steps, episode_return, length, mean, elapsed = line.decode("ascii").split(",")
            if int(episode) != number:
                raise ValueError
            rows.append((number, int(steps), float(episode_return), int(length), float(mean), float(elapsed)))
        except ValueError:
            if strict and number < len(lines) - 1:
                raise ConfigurationError(
                    f"{path} is damaged in line {number + 1}; resume the run from its last checkpoint before it"
                ) from None
            break
    return rows
