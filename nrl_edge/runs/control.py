"""How a run that goes on is watched and asked for something, by whoever can write into its folder.

    live.json      what the run says of itself now; written by the run, for onlookers
    control.json   what somebody asks of it: to pause, to keep a snapshot; written by whoever asks, read by the run

The process that runs the agent looks between two episodes, so nothing that is asked changes what is learned: a pause
is a longer time between two episodes, and a snapshot one more checkpoint. Nothing needs a port or a thread, and who may
ask is who may write the folder. Both files are about a running process: they are removed when it ends in order.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nrl_edge.errors import RunError
from nrl_edge.runs.folder import RunFolder

CONTROL_FILE, LIVE_FILE = "control.json", "live.json"
LOOK_SECONDS = 0.1
"""How often the run looks whether something is asked, at most; also while it is paused."""
LIVE_SECONDS = 1.0
"""How often it says how it is, at most."""
_LARGEST_FILE = 1 << 16

LiveState = Literal["running", "paused"]


@dataclass(frozen=True)
class LiveReport:
    """What live.json says."""

    process: int
    """Id of the process that runs the agent."""
    host: str
    """Name of the machine that it runs on."""
    updated: str
    """ISO 8601, UTC."""
    state: LiveState
    episodes: int
    """Episodes finished, also those that progress.csv does not show yet."""
    counters: Mapping[str, int] | None = None
    """Saturation and failure counters of the agent."""
    link: Mapping[str, Mapping[str, int]] | None = None
    """Counters of both ends of the link, `host` and `device`; None without a link."""
    noise: Mapping[str, Any] | None = None
    """Health of raw noise in words, soft alarms, failed draws; None where noise is seeded."""
    snapshot: Mapping[str, Any] | None = None
    """The last snapshot that was asked for: `request`, and `file` or `error`."""


class RunControl:
    """The run's side: `attend` between two episodes. A context manager: both files are gone after it."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        snapshot: Callable[[], bytes] | None = None,
        describe: Callable[[], Mapping[str, Any]] = dict,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`snapshot` reads the agent's, where it has one; `describe` gives counters, link and noise of LiveReport."""
        self._folder = folder
        self._snapshot = snapshot
        self._describe = describe
        self._clock = clock
        self._sleep = sleep
        self._seen: tuple[int, int] | None = None
        self._asked: dict[str, Any] = {}
        self._answer: dict[str, Any] | None = None
        self._next_look = self._next_report = 0.0
        self.paused_seconds = 0.0
        """How long the run has been held in all."""

    def __enter__(self) -> RunControl:
        # What was asked of an earlier process is not asked of this one.
        self._remove()
        self._report("running")
        return self

    def __exit__(self, *error: object) -> None:
        self._remove()

    def attend(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Do what is asked, and say how the run is; returns when it is to go on, or `stop` says that it is to end.

        Raises RunError where a snapshot that is asked for cannot be kept because the disk is full.
        """
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        self._look()
        if self._asked.get("pause") is True and not stop():
            self._hold(stop)
        elif now >= self._next_report:
            self._report("running")

    def _hold(self, stop: Callable[[], bool]) -> None:
        began = self._clock()
        # What is there so far is to be seen while nothing happens.
        self._folder.flush()
        self._report("paused")
        while self._asked.get("pause") is True and not stop():
            self._sleep(LOOK_SECONDS)
            self._look()
            if self._clock() >= self._next_report:
                self._report("paused")
        held = self._clock() - began
        self.paused_seconds += held
        self._folder.leave_out(held)
        self._report("running")

    def _look(self) -> None:
        path = self._folder.path / CONTROL_FILE
        try:
            status = path.stat()
            seen = status.st_mtime_ns, status.st_ino
            if seen != self._seen:
                self._seen, self._asked = seen, _read(path)
        except OSError:
            self._seen, self._asked = None, {}
        request = self._asked.get("snapshot")
        if isinstance(request, str) and (self._answer is None or self._answer["request"] != request):
            self._keep_snapshot(request)

    def _keep_snapshot(self, request: str) -> None:
        if self._snapshot is None:
            self._answer = {"request": request, "error": "a float64 run keeps no snapshots of its agent"}
        else:
            kept = self._folder.save_checkpoint(self._snapshot())
            self._answer = {"request": request, "file": str(kept.relative_to(self._folder.path))}
        self._next_report = 0.0

    def _report(self, state: LiveState) -> None:
        self._next_report = self._clock() + LIVE_SECONDS
        report = LiveReport(
            process=os.getpid(),
            host=platform.node(),
            updated=datetime.now(UTC).isoformat(timespec="seconds"),
            state=state,
            episodes=self._folder.episodes,
            snapshot=self._answer,
            **self._describe(),
        )
        # For onlookers only: where it cannot be written, the run says so when it writes what counts.
        _replace(self._folder.path / LIVE_FILE, asdict(report))

    def _remove(self) -> None:
        for name in (CONTROL_FILE, LIVE_FILE):
            with suppress(OSError):
                (self._folder.path / name).unlink(missing_ok=True)


def read_live(run: Path) -> dict[str, Any] | None:
    """What a run that goes on says of itself (see LiveReport); None where none does."""
    try:
        report = _read(run / LIVE_FILE)
    except OSError:
        return None
    return report or None


def asked_of(run: Path) -> dict[str, Any]:
    """What is asked of a run at present: `pause`, `snapshot`."""
    try:
        return _read(run / CONTROL_FILE)
    except OSError:
        return {}


def ask_pause(run: Path, pause: bool) -> None:
    """Ask a run to wait after its episode, or to go on. Raises RunError where the folder cannot be written."""
    _ask(run, {**asked_of(run), "pause": pause})


def ask_snapshot(run: Path) -> str:
    """Ask a run for a checkpoint after its episode; returns what `snapshot.request` of live.json will be then.

    Raises RunError where the folder cannot be written.
    """
    request = secrets.token_hex(8)
    _ask(run, {**asked_of(run), "snapshot": request})
    return request


def _ask(run: Path, asked: dict[str, Any]) -> None:
    error = _replace(run / CONTROL_FILE, asked)
    if error is not None:
        raise RunError(
            f"cannot write {run / CONTROL_FILE}: {error}. Whoever asks something of a run needs to be allowed to write "
            "its folder, and the disk must not be full"
        )


def _read(path: Path) -> dict[str, Any]:
    """The object of a small JSON file; empty where it holds something else. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        data = file.read(_LARGEST_FILE)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _replace(path: Path, values: Mapping[str, Any]) -> OSError | None:
    """Let readers see the old content or the new; not synced to disk, as nobody needs it after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(values), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        return error
    return None
