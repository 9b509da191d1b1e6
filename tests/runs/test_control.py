"""Runs that are watched, paused and asked for snapshots: what is learned stays the same."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import RunError
from nrl_edge.experiment import Experiment, agent_configuration, parse_experiment
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder, control, snapshot_info
from nrl_edge.runs.control import CONTROL_FILE, LIVE_FILE, RunControl, ask_pause, ask_snapshot, asked_of, read_live
from nrl_edge.simulation import simulate
from nrl_edge.training import train_experiment

TEXT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [4]
[learning]
episodes = {episodes}
[run]
checkpoint_every = 5
"""


def experiment(episodes: int = 12) -> Experiment:
    return parse_experiment(TEXT.format(episodes=episodes))


class Clock:
    """A clock that goes on only while somebody sleeps, or is told to."""

    def __init__(self, *during: Callable[[], object]) -> None:
        self.now = 100.0
        self.during = list(during)
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1
        if self.during:
            self.during.pop(0)()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    agent = agent_configuration(experiment(), 4, 2, 10)
    with RunFolder.create(tmp_path / "run", experiment(), "reference", agent=agent, tensorboard=False) as run:
        yield run


def live(run: Path) -> dict[str, object]:
    report = read_live(run)
    assert report is not None
    return report


def test_a_run_says_how_it_is_until_it_ends(folder: RunFolder) -> None:
    clock = Clock()
    with folder, RunControl(folder, describe=lambda: {"counters": {"trace": folder.episodes}}, clock=clock) as held:
        assert live(folder.path)["state"] == "running" and live(folder.path)["process"] == os.getpid()
        folder.log_episode(9.0, 9)
        held.attend()
        assert live(folder.path)["counters"] == {"trace": 0}, "not more often than LIVE_SECONDS"
        clock.now += control.LIVE_SECONDS
        held.attend()
        assert live(folder.path)["counters"] == {"trace": 1} and live(folder.path)["episodes"] == 1
    assert read_live(folder.path) is None and asked_of(folder.path) == {}


def test_a_pause_holds_the_run_until_it_is_lifted(folder: RunFolder) -> None:
    path = folder.path
    seen = []

    def go_on() -> None:
        ask_pause(path, False)

    clock = Clock(lambda: seen.append((live(path)["state"], folder.progress().episode.tolist())), go_on, go_on)
    with folder, RunControl(folder, clock=clock, sleep=clock.sleep) as held:
        folder.log_episode(9.0, 9)
        ask_pause(path, True)
        before = folder.elapsed_seconds
        held.attend()
        # Nothing waits in a buffer while the run is held.
        assert seen == [("paused", [1])] and clock.slept == 2
        assert held.paused_seconds == pytest.approx(2 * control.LOOK_SECONDS)
        assert folder.elapsed_seconds < before, "a pause is no time of the run"
        assert live(path)["state"] == "running"
        clock.now += 1
        held.attend()
        assert clock.slept == 2
        ask_pause(path, True)
        clock.now += 1
        held.attend()
        assert held.paused_seconds == pytest.approx(3 * control.LOOK_SECONDS), "both pauses together"


def test_a_run_that_is_held_can_be_stopped(folder: RunFolder) -> None:
    stopping = False

    def stop_now() -> None:
        nonlocal stopping
        stopping = True

    clock = Clock(lambda: None, stop_now)
    with folder, RunControl(folder, clock=clock, sleep=clock.sleep) as held:
        ask_pause(folder.path, True)
        held.attend(lambda: stopping)
        assert clock.slept == 2


def test_what_was_asked_of_an_earlier_process_is_forgotten(folder: RunFolder) -> None:
    clock = Clock()
    with folder:
        ask_pause(folder.path, True)
        with RunControl(folder, clock=clock, sleep=clock.sleep) as held:
            held.attend()
            assert clock.slept == 0


def test_snapshots_on_request(folder: RunFolder) -> None:
    assert folder.agent is not None
    agent = ReferenceAgent(folder.agent, EntropySettings(seed=1))
    clock = Clock()
    with folder, RunControl(folder, snapshot=agent.snapshot, clock=clock) as held:
        folder.log_episode(9.0, 9)
        request = ask_snapshot(folder.path)
        held.attend()
        assert live(folder.path)["snapshot"] == {"request": request, "file": "checkpoints/episode_000001.nrls"}
        (_, file), *more = folder.checkpoints()
        assert not more and snapshot_info(file.read_bytes()).weights_crc32 == agent.weights_crc32()
        file.unlink()
        clock.now += 1
        held.attend()
        assert folder.checkpoints() == [], "a request is done once"


def test_a_pause_and_a_snapshot_are_asked_for_apart(folder: RunFolder) -> None:
    ask_pause(folder.path, True)
    request = ask_snapshot(folder.path)
    assert asked_of(folder.path) == {"pause": True, "snapshot": request}
    ask_pause(folder.path, False)
    assert asked_of(folder.path) == {"pause": False, "snapshot": request}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"pause": 1}', '{"pause": "true"}', '{"snapshot": 7}', "[" * 100_000, "\0" * 70_000],
    ids=range(8),
)
def test_nonsense_is_not_obeyed(folder: RunFolder, text: str) -> None:
    clock = Clock()
    with folder, RunControl(folder, clock=clock, sleep=clock.sleep) as held:
        (folder.path / CONTROL_FILE).write_text(text, encoding="utf-8")
        held.attend()
        assert clock.slept == 0 and folder.checkpoints() == []


def test_onlookers_who_are_in_the_way_do_not_stop_a_run(folder: RunFolder) -> None:
    clock = Clock()
    with folder, RunControl(folder, clock=clock, sleep=clock.sleep) as held:
        (folder.path / LIVE_FILE).unlink()
        (folder.path / LIVE_FILE).mkdir()
        (folder.path / CONTROL_FILE).mkdir()
        clock.now += control.LIVE_SECONDS
        held.attend()
        folder.log_episode(9.0, 9)
        with pytest.raises(RunError, match=r"control\.json.*allowed to write"):
            ask_pause(folder.path, True)


@pytest.mark.parametrize("target", ["reference", "native", "float64"])
def test_a_run_that_was_paused_learns_the_same(tmp_path: Path, target: str) -> None:
    """Paused after its second episode by another thread, asked for a snapshot there, and let go on."""

    def run(name: str, on_episode: Callable[[], None] = lambda: None) -> RunFolder:
        if target == "float64":
            train_experiment(experiment(), run=tmp_path / name, on_episode=lambda record: on_episode())
        else:
            simulate(experiment(), target, run=tmp_path / name, on_episode=lambda *_: on_episode())  # type: ignore[arg-type]
        return RunFolder.open(tmp_path / name)

    path = tmp_path / "held"
    states: list[object] = []
    done = 0

    def onlooker() -> None:
        wait = threading.Event()
        while live(path)["state"] != "paused":
            wait.wait(0.01)
        request = ask_snapshot(path)
        while (answer := live(path)["snapshot"]) is None or answer["request"] != request:  # type: ignore[index]
            wait.wait(0.01)
        states.append((live(path)["episodes"], answer))
        ask_pause(path, False)

    watcher = threading.Thread(target=onlooker)

    def ask() -> None:
        nonlocal done
        done += 1
        if done == 2:
            ask_pause(path, True)
            watcher.start()
        if done in (2, 3) and not states:
            # The run looks ten times a second; short episodes would all be over by then.
            threading.Event().wait(2 * control.LOOK_SECONDS)

    held = run("held", ask)
    watcher.join()
    whole = run("whole")
    assert held.progress().episode_return.tolist() == whole.progress().episode_return.tolist()
    ours, theirs = held.weights(), whole.weights()
    assert ours is not None and theirs is not None
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    if target != "float64":
        assert held.final_snapshot() == whole.final_snapshot()
        assert replay(held).match
        (episodes, answer) = states[0]  # type: ignore[misc]
        assert answer["file"] == f"checkpoints/episode_{episodes:06d}.nrls"
        assert f"episode_{episodes:06d}.nrls" in {file.name for _, file in held.checkpoints()}
    else:
        assert "float64" in states[0][1]["error"]  # type: ignore[index]
    assert not (held.path / LIVE_FILE).exists() and not (held.path / CONTROL_FILE).exists()


def test_the_live_report_is_json_for_anyone(folder: RunFolder) -> None:
    with folder, RunControl(folder):
        report = json.loads((folder.path / LIVE_FILE).read_text(encoding="utf-8"))
        assert set(report) >= {"process", "updated", "state", "episodes", "counters", "link", "noise", "snapshot"}
