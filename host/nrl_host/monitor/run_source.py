"""The figures of a run, read from its folder. Nothing is written there but what somebody asks of the run."""

from __future__ import annotations

import math
import os
import platform
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nrl_edge.errors import NrlError, RunError
from nrl_edge.lockstep import MEAN_WINDOW
from nrl_edge.runs import RunFolder, snapshot_info, snapshot_weights
from nrl_edge.runs.control import ask_pause, ask_snapshot, asked_of, read_live
from nrl_host.device import NOISE_HEALTH
from nrl_host.monitor.prediction_error import PredictionErrors
from nrl_host.monitor.series import BoundedSeries
from nrl_host.monitor.state import Command, MonitorState, NoiseState, RunState, View, network_view
from nrl_host.monitor.tail import CsvTail

_RATE_SECONDS = 5.0
"""Steps a second are counted over so long."""
_HEALTHY = NOISE_HEALTH[0]
COLUMNS = ("return", "mean_return_100", "rpe")


class RunSource:
    """Follows a run's folder. Raises ConfigurationError where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._run = RunFolder.open(path)
        agent = self._run.info.agent
        self._has_agent = agent is not None
        self._progress = CsvTail(path / "progress.csv")
        self._telemetry = CsvTail(path / "telemetry.csv")
        self._series = BoundedSeries(COLUMNS)
        self._curves_number = self._network_number = 0
        self._network: dict[str, Any] | None = None
        self._shown_snapshot: tuple[str, int] | None = None
        self._reports_error = self._learns_from_returns()
        self._start_anew()

    def close(self) -> None:
        """Nothing is held open."""

    def _start_anew(self) -> None:
        self._series.clear()
        self._errors = PredictionErrors()
        self._episodes = self._steps = 0
        self._last: dict[str, float] = {}
        self._last_length: int | None = None
        self._last_error = math.nan
        self._solved: int | None = None
        self._times: deque[tuple[float, int]] = deque()
        self._telemetry_row: dict[str, str] = {}

    def _learns_from_returns(self) -> bool:
        """Whether the agent has the prediction error of whole episodes."""
        learning = self._run.experiment.learning
        return learning.preset != "actor-critic" and self._run.experiment.task.reward == "delayed"

    def read(self) -> View:
        """What the folder says now. Raises ConfigurationError where it is no run any more."""
        # Status, and where the run is resumed, what it was resumed with.
        self._run = RunFolder.open(self.path)
        cut_back, rows = self._progress.read()
        if cut_back:
            self._start_anew()
            self._curves_number += 1
        _, telemetry = self._telemetry.read()
        for row in rows:
            self._take(row)
        if telemetry:
            self._telemetry_row = telemetry[-1]
        if rows:
            self._curves_number += 1
        self._look_at_snapshots()
        curves = self._series.as_dict()
        return View(self._state(), curves, self._curves_number, self._network, self._network_number)

    def command(self, command: Command) -> str:
        """Ask the process that runs the agent. Raises RunError where nobody runs it, or it cannot be asked."""
        live = read_live(self.path)
        if live is None or _has_ended(live):
            raise RunError(f"{self.path}: no process runs this run now, so nothing can be asked of it")
        if command == "snapshot":
            ask_snapshot(self.path)
            return "A snapshot is kept at the end of the episode."
        ask_pause(self.path, command == "pause")
        return "The run waits after its episode." if command == "pause" else "The run goes on."

    def _take(self, row: Mapping[str, str]) -> None:
        try:
            values = {name: float(row[name]) for name in ("episode", "steps", "return", "length", "mean_return_100")}
            elapsed = float(row["elapsed_seconds"])
            episodes, steps, length = (int(values[name]) for name in ("episode", "steps", "length"))
        except (KeyError, ValueError, OverflowError):
            return  # damaged; whoever resumes or reports the run says so
        self._last, self._last_length = values, length
        self._episodes, self._steps = episodes, steps
        if self._reports_error:
            self._last_error = self._errors.add(self._episodes, values["return"])
        self._series.add(values["episode"], (values["return"], values["mean_return_100"], self._last_error))
        threshold = self._run.experiment.task.threshold
        reached = threshold is not None and values["mean_return_100"] >= threshold
        if self._solved is None and reached and self._episodes >= MEAN_WINDOW:
            self._solved = self._episodes
        self._times.append((elapsed, self._steps))
        while len(self._times) > 2 and elapsed - self._times[1][0] >= _RATE_SECONDS:
            self._times.popleft()

    def _rate(self) -> float | None:
        if len(self._times) < 2:
            return None
        (first, steps_then), (last, steps_now) = self._times[0], self._times[-1]
        return (steps_now - steps_then) / (last - first) if last > first else None

    def _look_at_snapshots(self) -> None:
        """Weights of the newest snapshot, or of a float64 run's end."""
        checkpoints = self._run.checkpoints()
        try:
            if self._has_agent and checkpoints:
                episodes, path = checkpoints[-1]
                seen = path.name, path.stat().st_mtime_ns
                agent = self._run.agent
                if seen == self._shown_snapshot or agent is None:
                    return
                snapshot = path.read_bytes()
                snapshot_info(snapshot, str(path))
                weights = snapshot_weights(snapshot, agent)
            else:
                file = self.path / "weights.npz"
                if not file.exists():
                    return
                seen = file.name, file.stat().st_mtime_ns
                if seen == self._shown_snapshot:
                    return
                episodes, weights = self._episodes, self._run.weights() or []
        except (OSError, NrlError):
            return  # being written, or removed by a resume, just now
        self._shown_snapshot = seen
        self._network = network_view(weights, self._run.experiment, episodes)
        self._network_number += 1

    def _state(self) -> MonitorState:
        run, experiment = self._run, self._run.experiment
        live = read_live(self.path) if run.info.status == "running" else None
        state = _state_of(run.info.status, live, asked_of(self.path).get("pause") is True)
        asks = live is not None and state not in ("killed", "silent")
        result = _result(run) if run.info.status == "finished" else None
        told: Mapping[str, Any] = live or result or {}
        return MonitorState(
            title=f"{run.info.task} on {run.info.target}",
            facts=self._facts(),
            state=state,
            episodes=self._episodes,
            steps=self._steps,
            episodes_wanted=experiment.learning.episodes,
            steps_per_second=self._rate(),
            last_return=self._last.get("return"),
            last_length=self._last_length,
            mean_return_100=self._last.get("mean_return_100"),
            threshold=experiment.task.threshold,
            solved_after=self._solved,
            reward_prediction_error=None if math.isnan(self._last_error) else self._last_error,
            noise=self._noise(told),
            saturation=self._saturation(told),
            link=link_rows(told.get("link")),
            can_pause=asks,
            can_snapshot=asks and self._has_agent,
            remark=_remark(state, live),
        )

    def _facts(self) -> dict[str, str]:
        info, extra = self._run.info, self._run.info.extra
        facts = {
            "Task": info.task,
            "Runs on": info.target,
            "Port": str(extra.get("port", "")),
            "Build": str(extra.get("build_id", "")),
            "Seed": str(info.seed),
            "Entropy": info.entropy_mode,
            "Agent": str(info.agent["description"]) if info.agent else f"float64, {self._run.experiment.learning.rule}",
            "Folder": str(self.path),
        }
        return {name: value for name, value in facts.items() if value}

    def _noise(self, told: Mapping[str, Any]) -> NoiseState:
        mode = self._run.info.entropy_mode
        if mode == "seeded" or not self._has_agent:
            return NoiseState("seeded" if mode == "seeded" else "of NumPy")
        noise = told.get("noise")
        if isinstance(noise, Mapping):
            health = str(noise.get("health", ""))
            return NoiseState(
                mode, health, health == _HEALTHY, _count(noise.get("soft_alarms")), _count(noise.get("failed_draws"))
            )
        row = self._telemetry_row
        if "noise_health" not in row:
            return NoiseState(mode)
        health = row["noise_health"]
        return NoiseState(mode, health, health == _HEALTHY, _count(row.get("noise_alarms")))

    def _saturation(self, told: Mapping[str, Any]) -> dict[str, int]:
        counters = told.get("counters")
        if isinstance(counters, Mapping):
            return {str(name): count for name, value in counters.items() if (count := _count(value)) is not None}
        suffix = "_count"
        found = {
            name.removesuffix(suffix): _count(text)
            for name, text in self._telemetry_row.items()
            if name.endswith(suffix)
        }
        return {name: count for name, count in found.items() if count is not None}


def _state_of(status: str, live: Mapping[str, Any] | None, pause: bool) -> RunState:
    if status == "finished":
        return "finished"
    if status == "stopped":
        return "stopped"
    if live is None:
        return "silent"
    if _has_ended(live):
        return "killed"
    if live.get("state") == "paused":
        return "paused" if pause else "resuming"
    return "pausing" if pause else "running"


def _has_ended(live: Mapping[str, Any]) -> bool:
    """Whether the process that wrote live.json is known to have ended."""
    process = live.get("process")
    # Signal 0 asks whether a process is there. On Windows it would end it.
    if os.name != "posix" or live.get("host") != platform.node() or type(process) is not int or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remark(state: RunState, live: Mapping[str, Any] | None) -> str:
    if state == "killed":
        return "The process of this run has ended without saying so. --resume goes on from its last checkpoint."
    if state == "silent":
        return "No process says that it runs this run."
    if state == "stopped":
        return "The run was stopped. --resume goes on with it."
    answer = live.get("snapshot") if live is not None else None
    if isinstance(answer, Mapping):
        if "error" in answer:
            return f"No snapshot: {answer['error']}."
        return f"Snapshot kept: {answer.get('file')}."
    return ""


def _result(run: RunFolder) -> dict[str, Any] | None:
    try:
        return run.result()
    except NrlError:
        return None


def _count(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        return None


def link_rows(link: object) -> dict[str, Sequence[int | None]]:
    """The counters of both ends of a link beside each other: {name: (host, device)}."""
    if not isinstance(link, Mapping):
        return {}
    host, device = (_mapping(link.get(side)) for side in ("host", "device"))
    names = [*host, *(name for name in device if name not in host)]
    return {str(name): (_count(host.get(name)), _count(device.get(name))) for name in names}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
