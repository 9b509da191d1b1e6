"""Devices that restart, hosts that are killed and ports that vanish in the middle of a run change nothing it learns."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_helpers import run_target, write_experiment
from tools import require_board

import nrl_host.link.link
from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.errors import DeviceError
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native import NativeAgent
from nrl_edge.record import read_record
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import RunSummary
from nrl_host.hil import run_hil
from nrl_host.link import Link
from nrl_host.recovery import RecoveringAgent
from nrl_host.targets import Target, make_target
from nrl_host.targets.desktop import DesktopTarget

WAYS = ("before", "after", "unplugged")
"""The device restarts before it gets a request, after it has it, or only the port goes away after it has it."""


class BadDay:
    """Lets the device restart at given requests, counted over all ports that the link opens."""

    def __init__(self, target: Target, at: dict[int, str]) -> None:
        self.target = target
        self.at = at
        self.writes = 0
        self.happened = dict.fromkeys(WAYS, 0)

    def wrap(self, port: Any) -> Any:
        return BadPort(port, self)


class BadPort:
    def __init__(self, port: Any, day: BadDay) -> None:
        self._port = port
        self._day = day

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def write(self, data: bytes) -> int:
        day = self._day
        day.writes += 1
        way = day.at.pop(day.writes, None)
        if way is None:
            written: int = self._port.write(data)
            return written
        day.happened[way] += 1
        if way != "before":
            self._port.write(data)
            # The device has it, and its answer will not be read: it may or may not have executed the request.
            self._port.read(1)
        if way == "unplugged":
            nrl_host.link.link.close_port(self._port)
            raise OSError("the adapter is gone")
        day.target.restart()
        return len(data)


@pytest.fixture
def bad_day(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BadDay]]:
    """Put a BadDay into the list, and every port that is opened from then on has it."""
    days: list[BadDay] = []
    real = nrl_host.link.link.open_port

    def open_port(*arguments: Any, **options: Any) -> Any:
        port = real(*arguments, **options)
        return days[-1].wrap(port) if days else port

    monkeypatch.setattr(nrl_host.link.link, "open_port", open_port)
    yield days


def small(
    folder: Path, *, episodes: int = 24, mode: str = "seeded", save_every: int = 0, checkpoint_every: int = 4
) -> Experiment:
    path = write_experiment(folder, episodes=episodes, checkpoint_every=checkpoint_every)
    text = path.read_text(encoding="utf-8")
    path.write_text(f'{text}[entropy]\nmode = "{mode}"\n[store]\nsave_every = {save_every}\n', encoding="utf-8")
    return load_experiment(path)


def run_on(target: Target, experiment: Experiment, **options: Any) -> RunSummary:
    return run_hil(experiment, target.url, locate=lambda: target.url, **options)


def without_time(summary: RunSummary) -> dict[str, Any]:
    values = summary.as_dict()
    return {name: values[name] for name in ("steps", "episodes", "weights_crc32", "counters", "mean_return_last_100")}


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0, 3], ids=["no-store", "store"])
def test_two_hundred_restarts_of_the_device_change_nothing(
    tmp_path: Path, bad_day: list[BadDay], save_every: int
) -> None:
    # A snapshot an episode: with many calls to do over, one restart in seventy requests leaves hardly a way through.
    experiment = small(tmp_path, episodes=120, save_every=save_every, checkpoint_every=1)
    clean = run_target(experiment, "native")
    draw = random.Random(save_every)
    requests = clean.steps + 2 * clean.episodes
    # What is done over after a restart are requests, too, and are hit as well.
    at = {place: draw.choice(WAYS) for place in draw.sample(range(2, 2 * requests), 230)}
    with DesktopTarget(resolve_agent(experiment), seed=42, options=FirmwareOptions(save_every=save_every)) as target:
        bad_day.append(BadDay(target, at))
        summary = run_on(target, experiment, run=tmp_path / "run")
        happened = bad_day[0].happened
    assert sum(happened.values()) >= 100 and all(happened.values())
    assert summary.restarts is not None and summary.restarts > 60
    assert without_time(summary) == without_time(clean)
    assert len(read_record(RunFolder.open(tmp_path / "run").record_path)) == clean.steps + clean.episodes
    assert replay(RunFolder.open(tmp_path / "run")).match


def test_a_few_restarts_in_a_row_and_in_the_middle_of_an_episode_change_nothing(
    tmp_path: Path, bad_day: list[BadDay]
) -> None:
    experiment = small(tmp_path, episodes=6)
    clean = run_target(experiment, "native")
    with DesktopTarget(resolve_agent(experiment), seed=42) as target:
        # The greeting is the first; the requests of a recovery are hit, too.
        bad_day.append(
            BadDay(target, dict.fromkeys((2, 3, 5, 6, 8), "after") | {30: "before", 31: "unplugged", 60: "after"})
        )
        summary = run_on(target, experiment)
        assert not bad_day[0].at
    assert without_time(summary) == without_time(clean)


def test_telemetry_of_episodes_that_are_done_over_is_kept_once(tmp_path: Path, bad_day: list[BadDay]) -> None:
    experiment = small(tmp_path, episodes=12, checkpoint_every=8)
    with DesktopTarget(resolve_agent(experiment), seed=42) as target:
        bad_day.append(BadDay(target, {150: "after", 400: "before"}))
        summary = run_on(target, experiment, run=tmp_path / "run")
        assert summary.restarts == 2
    episodes = [int(row["episode"]) for row in RunFolder.open(tmp_path / "run").telemetry()]
    assert episodes == sorted(set(episodes)) and episodes[-1] >= 11


@pytest.mark.slow
@pytest.mark.parametrize("board", ["microbit", "uno"])
def test_restarts_of_a_board_change_nothing(tmp_path: Path, bad_day: list[BadDay], board: str) -> None:
    require_board(board)
    experiment = small(tmp_path, episodes=12, save_every=3)
    clean = run_target(experiment, "native")
    draw = random.Random(1)
    at = {place: draw.choice(WAYS) for place in draw.sample(range(2, clean.steps), 10)}
    with make_target(board, resolve_agent(experiment), seed=42, options=FirmwareOptions(save_every=3)) as target:
        bad_day.append(BadDay(target, at))
        summary = run_on(target, experiment)
        assert not bad_day[0].at
    assert without_time(summary) == without_time(clean)


def test_over_raw_noise_a_restart_goes_back_to_the_last_checkpoint_and_says_so(
    tmp_path: Path, bad_day: list[BadDay]
) -> None:
    experiment = small(tmp_path, episodes=30, mode="raw")
    warnings: list[str] = []
    with DesktopTarget(resolve_agent(experiment), "raw") as target:
        bad_day.append(BadDay(target, {20: "after", 300: "before", 500: "after"}))
        summary = run_on(target, experiment, run=tmp_path / "run", on_warning=warnings.append)
        assert not bad_day[0].at
    assert summary.restarts == 3
    assert len(warnings) == 3 and all("goes back to its last checkpoint" in sentence for sentence in warnings)
    assert summary.episodes == 30
    verdict = replay(RunFolder.open(tmp_path / "run"))
    assert verdict.match and verdict.weights_crc32 == summary.weights_crc32


def test_telemetry_that_comes_when_its_run_has_ended_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is closed by then, be it for good or until the run goes on from a checkpoint."""
    ended: list[Link] = []

    def end_at_once(agent: RecoveringAgent, *arguments: Any, **options: Any) -> RunSummary:
        ended.append(agent.link)
        assert agent.link.on_telemetry is not None
        raise DeviceError("the device restarted")

    monkeypatch.setattr("nrl_host.hil.run_agent", end_at_once)
    experiment = small(tmp_path)
    with DesktopTarget(resolve_agent(experiment)) as target, pytest.raises(DeviceError, match="restarted"):
        run_on(target, experiment, run=tmp_path / "run")
    assert ended[0].on_telemetry is None


def test_over_raw_noise_without_a_run_folder_a_restart_ends_the_run(tmp_path: Path, bad_day: list[BadDay]) -> None:
    experiment = small(tmp_path, mode="raw")
    with DesktopTarget(resolve_agent(experiment), "raw") as target:
        bad_day.append(BadDay(target, {50: "after"}))
        with pytest.raises(DeviceError, match="restarted"):
            run_on(target, experiment)


def test_a_device_that_answers_otherwise_after_a_restart_is_found_out(tmp_path: Path, bad_day: list[BadDay]) -> None:
    """What cannot be done over as it was is never passed over in silence."""
    experiment = small(tmp_path)
    configuration = resolve_agent(experiment)
    with (
        DesktopTarget(configuration, seed=42) as target,
        Link(target.url, reconnect_timeout=5.0, locate=lambda: target.url) as link,
    ):
        agent = RecoveringAgent(link, configuration, EntropySettings(seed=1))
        for number in range(20):
            agent.step(np.full(4, number * 200, np.int16), 100, False, False)
        observation, reward, terminated, truncated, action, numbers = agent._journal[7]
        agent._journal[7] = (observation, reward, terminated, truncated, 1 - action, numbers)
        target.restart()
        with pytest.raises(DeviceError, match="call 7 since the last snapshot"):
            agent.step(np.zeros(4, np.int16), 0, False, False)


def test_numbers_that_differ_after_a_restart_are_found_out() -> None:
    configuration = AgentConfiguration(3, (4,), 2, policy="gaussian")
    with (
        DesktopTarget(configuration) as target,
        Link(target.url, reconnect_timeout=5.0, locate=lambda: target.url) as link,
    ):
        agent = RecoveringAgent(link, configuration, EntropySettings(seed=1))
        for number in range(6):
            agent.step(np.full(3, number * 200, np.int16), 100, False, False)
        *call, numbers = agent._journal[3]
        assert len(numbers) == 2
        agent._journal[3] = (*call, [numbers[0], numbers[1] + 1])
        target.restart()
        with pytest.raises(DeviceError, match="call 3 since the last snapshot"):
            agent.step(np.zeros(3, np.int16), 0, False, False)


def test_what_is_done_over_is_what_was_sent_whatever_became_of_the_array(tmp_path: Path) -> None:
    """A caller may write each observation into the same array."""
    configuration, entropy = resolve_agent(small(tmp_path)), EntropySettings(seed=1)
    native, observation = NativeAgent(configuration, entropy), np.zeros(4, np.int16)
    with (
        DesktopTarget(configuration, seed=42) as target,
        Link(target.url, reconnect_timeout=5.0, locate=lambda: target.url) as link,
    ):
        agent = RecoveringAgent(link, configuration, entropy)
        for number in range(40):
            if number == 30:
                target.restart()
            observation[:] = number * np.array([200, -150, 90, 40])
            call = (observation, 100 * (number % 3), number % 8 == 7, False)
            assert agent.step(*call) == native.step(*call)
        assert agent.restarts == 1 and agent.snapshot() == native.snapshot()


def test_the_journal_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nrl_host.recovery.JOURNAL_CALLS", 10)
    experiment = small(tmp_path)
    configuration = resolve_agent(experiment)
    with DesktopTarget(configuration, seed=42) as target, Link(target.url) as link:
        agent = RecoveringAgent(link, configuration, EntropySettings(seed=1))
        longest = 0
        for number in range(200):
            agent.step(np.full(4, number, np.int16), 1, number % 7 == 6, False)
            longest = max(longest, len(agent._journal))
        assert longest < 10 + 7


def _run_until_killed(path: Path, experiment: Experiment, url: str | None, resume: bool, seconds: float) -> int:
    """Run in a child process that the system kills after a time; returns its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            # No handler: the system ends the process wherever it is, in the middle of a write or of a request.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            if url is None:
                run_target(experiment, "native", run=path, resume=resume)
            else:
                run_hil(experiment, url, run=path, resume=resume)
            signal.setitimer(signal.ITIMER_REAL, 0)
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["native", "device"])
def test_hosts_that_are_killed_at_random_points_end_where_an_undisturbed_one_does(tmp_path: Path, place: str) -> None:
    path = write_experiment(tmp_path, episodes=40, checkpoint_every=1)
    experiment = load_experiment(path)
    clean = run_target(experiment, "native", run=tmp_path / "clean")
    record = (tmp_path / "clean" / "record.nrlr").read_bytes()
    draw = random.Random(5)
    kills = 0
    target = DesktopTarget(resolve_agent(experiment), seed=42) if place == "device" else None
    if target is not None:
        target.start()
    try:
        for number in range(1000):
            folder = tmp_path / f"run{number}"
            code = -signal.SIGALRM
            while code == -signal.SIGALRM:
                resume = (folder / "run.json").exists()
                if resume and RunFolder.open(folder).info.status == "finished":
                    code = 0  # killed between the end of the run and that of the process
                    break
                url = None if target is None else target.url
                seconds = draw.uniform(0.002, 0.06) if kills < 100 else 100.0
                code = _run_until_killed(folder, experiment, url, resume, seconds)
                kills += code == -signal.SIGALRM
                if code == -signal.SIGALRM and not (folder / "run.json").exists():
                    # Killed before there was a run: what is there is no run, and a new folder is asked for.
                    folder = tmp_path / f"run{number}-{kills}"
            assert code == 0
            run = RunFolder.open(folder)
            result = run.result()
            assert result is not None and result["weights_crc32"] == clean.weights_crc32
            # Nothing is missing, and nothing was done twice.
            assert (folder / "record.nrlr").read_bytes() == record
            if kills >= 100:
                return
    finally:
        if target is not None:
            target.stop()
