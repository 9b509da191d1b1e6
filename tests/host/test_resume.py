"""Runs that were stopped, interrupted or killed go on to exactly where an undisturbed run ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_helpers import TARGETS, Finished, call, run_target, spawn, write_experiment

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder

HERE = Path(__file__).resolve().parent
EPISODES, CHECKPOINT_EVERY = 24, 5
TASK = "interrupting_environment:InterruptingCartPole-v0"
FORMATS = "{ observation_frac_bits = 10, weight_frac_bits = 12, trace_frac_bits = 5, reward_frac_bits = 8 }"
"""With all formats given nothing has to be analysed: the first episodes of the process are those of the run."""


def stop_after(episodes: int) -> Callable[[], bool]:
    """A `stop` that is true once it was asked after so many episodes."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= episodes

    return stop


def status(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["status"])


def assert_same_run(run: Path, undisturbed: Path) -> None:
    """The whole run is equal: returns, record of every step, final state with its counters and generator."""
    ours, theirs = RunFolder.open(run), RunFolder.open(undisturbed)
    assert ours.info.status == theirs.info.status == "finished"
    assert ours.progress().episode_return.tolist() == theirs.progress().episode_return.tolist()
    assert ours.progress().steps.tolist() == theirs.progress().steps.tolist()
    assert ours.progress().mean_return_100.tolist() == theirs.progress().mean_return_100.tolist()
    assert ours.record_path.read_bytes() == theirs.record_path.read_bytes()
    assert ours.final_snapshot() == theirs.final_snapshot()
    mine, other = ours.result(), theirs.result()
    assert mine is not None and other is not None
    for key in ("weights_crc32", "episodes", "steps", "mean_return_last_100", "episodes_to_threshold", "counters"):
        assert mine[key] == other[key], key


# In process, through `stop`


@pytest.mark.parametrize("target", TARGETS)
def test_a_stopped_run_goes_on_to_the_same_end(tmp_path: Path, target: str) -> None:
    path = write_experiment(tmp_path, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    whole = run_target(path, target, run=tmp_path / "whole")
    assert not whole.interrupted
    for episodes in (1, CHECKPOINT_EVERY, CHECKPOINT_EVERY + 2, EPISODES - 1):
        run = tmp_path / f"stopped-{episodes}"
        stopped = run_target(path, target, run=run, stop=stop_after(episodes))
        assert stopped.interrupted and stopped.episodes == episodes
        assert status(run) == "stopped"
        assert RunFolder.open(run).checkpoints()[-1][0] == episodes, "what was learned last is lost"
        assert RunFolder.open(run).final_snapshot() is None
        ended = run_target(path, target, run=run, resume=True)
        assert not ended.interrupted
        assert_same_run(run, tmp_path / "whole")


def test_a_run_that_is_stopped_again_and_again_ends_the_same(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    run_target(path, "native", run=tmp_path / "whole")
    run = tmp_path / "stopped"
    sittings = 1
    while run_target(path, "native", run=run, resume=sittings > 1, stop=stop_after(3)).interrupted:
        sittings += 1
    assert sittings == EPISODES // 3
    assert_same_run(run, tmp_path / "whole")
    assert replay(RunFolder.open(run)).match


def test_a_stop_after_the_last_episode_is_no_interruption(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=4)
    summary = run_target(path, "native", run=tmp_path / "run", stop=stop_after(4))
    assert (summary.interrupted, summary.episodes) == (False, 4)
    assert status(tmp_path / "run") == "finished"


def test_targets_that_compute_the_same_record_the_same(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=8)
    for target in TARGETS:
        run_target(path, target, run=tmp_path / target)
    for target in TARGETS[1:]:
        assert_same_run(tmp_path / target, tmp_path / TARGETS[0])


@pytest.mark.parametrize("target", ["native", "desktop"])
def test_an_error_in_the_middle_leaves_a_run_that_goes_on_to_the_same_end(tmp_path: Path, target: str) -> None:
    path = write_experiment(tmp_path, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    run_target(path, target, run=tmp_path / "whole")

    def fail(outcome: Any, statistics: Any) -> None:
        if outcome.episode == 12:
            raise RuntimeError("something else failed")

    with pytest.raises(RuntimeError):
        run_target(path, target, run=tmp_path / "run", on_episode=fail)
    assert status(tmp_path / "run") == "stopped"
    run_target(path, target, run=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_was_killed_before_its_result_was_written_is_finished_by_resuming(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=8)
    run_target(path, "native", run=tmp_path / "whole")
    run_target(path, "native", run=tmp_path / "run")
    for name in ("result.json", "final.nrls", "weights.npz"):
        (tmp_path / "run" / name).unlink()
    info = tmp_path / "run" / "run.json"
    info.write_text(info.read_text(encoding="utf-8").replace('"finished"', '"running"', 1), encoding="utf-8")
    run_target(path, "native", run=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_goes_on_where_more_episodes_are_asked_for(tmp_path: Path) -> None:
    long = load_experiment(write_experiment(tmp_path, episodes=EPISODES))
    run_target(long, "native", run=tmp_path / "whole")
    run_target(long.with_overrides(episodes=10), "native", run=tmp_path / "run")
    run_target(long, "native", run=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_with_more_episodes_than_are_asked_for_is_not_resumed(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, episodes=EPISODES)
    run_target(path, "native", run=tmp_path / "run", stop=stop_after(9))
    with pytest.raises(ConfigurationError, match="9 episodes already"):
        run_target(load_experiment(path).with_overrides(episodes=6), "native", run=tmp_path / "run", resume=True)
    assert len(RunFolder.open(tmp_path / "run").progress().episode) == 9


# Refusals of the command


def test_the_command_refuses_to_resume_what_is_not_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_experiment(tmp_path / "one", episodes=6)
    other = write_experiment(tmp_path / "other", episodes=6, learning_rate="2^-7")
    run = tmp_path / "run"
    run_target(path, "native", run=run, stop=stop_after(3))
    before = {each: each.read_bytes() for each in run.rglob("*") if each.is_file()}

    def refused(*arguments: object) -> str:
        ended = call(capsys, monkeypatch, "sim", *arguments, "--json")
        assert ended.code == 2
        assert ended.result == {"error": ended.err.removeprefix("nrl-edge: ").rstrip("\n"), "exit_code": 2}
        return str(ended.result["error"])

    assert "learning_rate" in refused(other, "--target", "native", "--run", run, "--resume")
    assert "seed" in refused(path, "--target", "native", "--run", run, "--resume", "--seed", 7)
    message = refused(path, "--target", "reference", "--run", run, "--resume")
    assert "'native'" in message and "'reference'" in message
    assert "--resume" in refused(path, "--target", "native", "--run", run)
    assert "no such run" in refused(path, "--target", "native", "--run", tmp_path / "nothing", "--resume")
    assert "--run" in refused(path, "--target", "native", "--resume")
    assert {each: each.read_bytes() for each in run.rglob("*") if each.is_file()} == before

    run_target(path, "native", run=run, resume=True)
    assert "all 6 episodes" in refused(path, "--target", "native", "--run", run, "--resume")


# Real signals to a real process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run; targets are equal (see above), so one serves all."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = write_experiment(folder, task=TASK, formats=FORMATS, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    done = sim(path, "native", folder / "run")
    assert done.code == 0, done.err
    return folder / "run"


def sim(path: Path, target: str, run: Path, *options: str, **variables: object) -> Finished:
    set_variables = {name.upper(): str(value) for name, value in variables.items()} | {"PYTHONPATH": str(HERE)}
    return spawn(
        *("sim", path, "--target", target, "--run", run, "--json", *options), cwd=path.parent, variables=set_variables
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("desktop", signal.SIGINT),
        ("native", signal.SIGKILL),
        pytest.param("native", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("native", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("desktop", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_signalled_run_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: Path, target: str, number: signal.Signals
) -> None:
    path = write_experiment(tmp_path, task=TASK, formats=FORMATS, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    run = tmp_path / "run"
    stopped = sim(path, target, run, signal_episode=12, signal_number=int(number))
    if number == signal.SIGKILL:
        assert stopped.code == -signal.SIGKILL
        assert status(run) == "running"
        assert [episode for episode, _ in RunFolder.open(run).checkpoints()] == [5, 10]
    else:
        assert (stopped.code, stopped.err) == (0, "")
        assert stopped.result["interrupted"] is True
        assert stopped.result["episodes"] == 13, "the episode in which the signal came is finished"
        assert status(run) == "stopped"
    resumed = sim(path, target, run, "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.result["interrupted"] is False
    assert_same_run(run, undisturbed)


@pytest.mark.slow
def test_a_second_interrupt_stops_at_once(tmp_path: Path, undisturbed: Path) -> None:
    path = write_experiment(tmp_path, task=TASK, formats=FORMATS, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    run = tmp_path / "run"
    stopped = sim(path, "native", run, signal_episode=12, signal_number=int(signal.SIGINT), signal_times=2)
    assert stopped.code == 1
    assert stopped.err == "nrl-edge: interrupted\n"
    assert stopped.result == {"error": "interrupted", "exit_code": 1}
    assert status(run) == "stopped"
    assert len(RunFolder.open(run).progress().episode) == 12, "episode 12 was not finished"
    assert sim(path, "native", run, "--resume").code == 0
    assert_same_run(run, undisturbed)


@pytest.mark.slow
def test_ctrl_c_says_that_the_episode_is_finished_first(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, task=TASK, formats=FORMATS, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    variables = {"SIGNAL_EPISODE": "12", "SIGNAL_NUMBER": str(int(signal.SIGINT)), "PYTHONPATH": str(HERE)}
    told = spawn("sim", path, "--target", "native", cwd=tmp_path, variables=variables)
    assert (told.code, told.err) == (0, "\nnrl-edge: ending after this episode; Ctrl-C again stops at once\n")
    quiet = spawn("sim", path, "--target", "native", "--quiet", cwd=tmp_path, variables=variables)
    assert (quiet.code, quiet.err) == (0, "")


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_does_not_kill_the_desktop_firmware(tmp_path: Path, undisturbed: Path) -> None:
    path = write_experiment(tmp_path, task=TASK, formats=FORMATS, episodes=EPISODES, checkpoint_every=CHECKPOINT_EVERY)
    run = tmp_path / "run"
    signals = {"signal_episode": 12, "signal_number": int(signal.SIGINT), "signal_group": 1}
    stopped = sim(path, "desktop", run, **signals)
    assert (stopped.code, stopped.err) == (0, "")
    assert stopped.result["interrupted"] is True
    assert sim(path, "desktop", run, "--resume").code == 0
    assert_same_run(run, undisturbed)


@pytest.mark.parametrize("target", [pytest.param("float64", marks=pytest.mark.slow), "int16"])
def test_an_interrupted_sweep_ends_at_once_and_quietly(tmp_path: Path, target: str) -> None:
    path = write_experiment(tmp_path, task=TASK, formats=FORMATS, episodes=EPISODES)
    variables = {"SIGNAL_EPISODE": "12", "SIGNAL_NUMBER": str(int(signal.SIGINT)), "SIGNAL_GROUP": "1"}
    variables |= {"PYTHONPATH": str(HERE), "SIGNAL_ONCE": str(tmp_path / "sent")}
    ended = spawn("sweep", path, "--seeds", "0:40", "--arithmetic", target, cwd=tmp_path, variables=variables)
    assert (ended.code, ended.out, ended.err) == (1, "", "nrl-edge: interrupted\n")
