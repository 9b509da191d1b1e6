"""The figures of a device that runs on its own, or waits, read over its link. Nothing of it is changed."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

from nrl_edge.agent import ENTROPY_MODES, Counters, EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.lockstep import MEAN_WINDOW
from nrl_edge.runs import snapshot_weights
from nrl_edge.runs.files import write_atomically
from nrl_host.device import LinkAgent, configuration_of, noise_health_text
from nrl_host.link import DEFAULT_BAUD, Link
from nrl_host.monitor.prediction_error import PredictionErrors
from nrl_host.monitor.run_source import COLUMNS, link_rows
from nrl_host.monitor.series import BoundedSeries
from nrl_host.monitor.state import Command, MonitorState, NoiseState, View, network_view

_RATE_SECONDS = 5.0
_EPISODE_OPEN = 2
_NO_PAUSE = "A device has no switch that stops its learning; what can be paused is a run."
RECONNECT_SECONDS = 10.0
"""How long a port that vanished is waited for."""


class LinkSource:
    """Follows the device at a port, which is opened without a reset, until `close`.

    `snapshots` is the folder that snapshots are kept in. Raises DeviceError where no nrl_edge firmware answers, or its
    agent is not known.
    """

    def __init__(self, port: str, *, baud: int = DEFAULT_BAUD, snapshots: Path = Path()) -> None:
        self._link = Link(port, baud=baud, reset_on_open=False, reconnect_timeout=RECONNECT_SECONDS)
        try:
            configuration = configuration_of(self._link)
            self._agent = LinkAgent(self._link, configuration, EntropySettings(), begin=False)
        except BaseException:
            self._link.close()
            raise
        self._snapshots = snapshots
        self._series = BoundedSeries(COLUMNS)
        self._errors = PredictionErrors()
        self._returns: deque[float] = deque(maxlen=MEAN_WINDOW)
        self._curves_number = self._network_number = 0
        self._network: dict[str, Any] | None = None
        self._times: deque[tuple[float, int]] = deque()
        self._last: Any = None
        self._last_error: float | None = None
        self._remark = ""
        self._agent.on_telemetry(self._take)
        self._read_weights()

    def close(self) -> None:
        """Close the port."""
        self._link.close()

    def _take(self, telemetry: Any) -> None:
        formats = self._agent.configuration.formats
        one = 1 << formats.reward_frac_bits
        value = telemetry.episode_return / one
        self._last = telemetry
        self._returns.append(value)
        error = float("nan")
        if not self._agent.configuration.immediate_reward and self._agent.configuration.preset == "edge":
            error = self._errors.add(telemetry.episode, value, telemetry.return_baseline / one)
            self._last_error = error
        mean = sum(self._returns) / len(self._returns)
        self._series.add(telemetry.episode, (value, mean, error))
        self._curves_number += 1

    def read(self) -> View:
        """What the device says now. Raises DeviceError where it does not answer any more."""
        self._link.poll()
        status = self._agent.status()
        link = self._agent.link_counters()
        now = time.monotonic()
        self._times.append((now, status.steps))
        while len(self._times) > 2 and now - self._times[1][0] >= _RATE_SECONDS:
            self._times.popleft()
        curves = self._series.as_dict()
        return View(self._state(status, link), curves, self._curves_number, self._network, self._network_number)

    def _state(self, status: Any, link: dict[str, dict[str, int]]) -> MonitorState:
        hello, configuration = self._link.hello, self._agent.configuration
        one = 1 << configuration.formats.reward_frac_bits
        counters = Counters(*status.counters)
        mode = ENTROPY_MODES[status.entropy_mode] if status.entropy_mode < len(ENTROPY_MODES) else "unknown"
        health = noise_health_text(status.entropy_health)
        noise = NoiseState(mode)
        if mode in ("raw", "expanded"):
            noise = NoiseState(mode, health, status.entropy_health == 0, status.noise_alarms, counters.entropy)
        first, last = self._times[0], self._times[-1]
        return MonitorState(
            title=f"{hello.board} at {self._link.url}",
            facts={
                "Board": hello.board,
                "Port": self._link.url,
                "Build": bytes(hello.build_id).hex(),
                "Entropy": mode,
                "Agent": configuration.description,
            },
            state="running",
            episodes=status.episodes,
            steps=status.steps,
            steps_per_second=(last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else None,
            last_return=self._last.episode_return / one if self._last is not None else None,
            last_length=self._last.episode_steps if self._last is not None else None,
            mean_return_100=sum(self._returns) / len(self._returns) if self._returns else None,
            reward_prediction_error=self._last_error,
            noise=noise,
            saturation=counters.as_dict(),
            link=link_rows(link),
            can_snapshot=True,
            remark=self._remark
            or "A device has no switch that stops its learning; a run on this computer can be paused.",
        )

    def command(self, command: Command) -> str:
        """Keep a snapshot of the device in a file. Raises RunError where an episode is open."""
        if command != "snapshot":
            raise ConfigurationError(
                "a device has no switch that stops its learning: what can be paused is a run, by `nrl-edge monitor RUN`"
            )
        snapshot = self._read_weights()
        if snapshot is None:
            raise RunError("an episode is open on the device: ask again when it is over")
        episodes = self._agent.status().episodes
        path = self._snapshots / f"{self._link.hello.board}_episode_{episodes:06d}.nrls"
        try:
            self._snapshots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the folder {self._snapshots}: {error.strerror or error}; name another with --snapshots"
            ) from error
        write_atomically(path, snapshot)
        self._remark = f"Snapshot kept: {path}."
        return self._remark

    def _read_weights(self) -> bytes | None:
        """The device's snapshot, of which the weights are shown; None while an episode is open."""
        status = self._agent.status()
        if status.agent_state == _EPISODE_OPEN:
            return None
        try:
            snapshot = self._agent.snapshot()
        except RunError:
            return None
        weights = snapshot_weights(snapshot, self._agent.configuration)
        self._network = network_view(weights, None, status.episodes)
        self._network_number += 1
        return snapshot
