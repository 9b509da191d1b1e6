"""What the monitor says of runs: going on, held, killed, resumed, finished, damaged."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import Experiment, agent_configuration, parse_experiment
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.runs import RunFolder
from nrl_edge.runs.control import LIVE_FILE, RunControl, ask_pause, asked_of
from nrl_edge.simulation import simulate
from nrl_host.cli import main
from nrl_host.hil import simulate_firmware
from nrl_host.monitor import RunSource
from nrl_host.monitor.state import network_view
from nrl_host.monitor.terminal import one_line, render

TEXT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
threshold = 30
[network]
hidden = [4]
[learning]
episodes = {episodes}
[entropy]
mode = "{mode}"
[run]
checkpoint_every = 5
"""


def experiment(episodes: int = 12, mode: str = "seeded") -> Experiment:
    return parse_experiment(TEXT.format(episodes=episodes, mode=mode))


def create(path: Path, target: str = "reference") -> RunFolder:
    agent = agent_configuration(experiment(), 4, 2, 10)
    return RunFolder.create(path, experiment(), target, agent=agent, tensorboard=False)


def rendered(source: RunSource, width: int = 80) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(width=width, record=True, file=file, markup=False, highlight=False)
    console.print(render(source.read(), console))
    return console.export_text()


def test_a_run_is_followed_from_its_first_episode_to_its_end(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        source = RunSource(run.path)
        empty = source.read()
        assert (empty.state.state, empty.state.episodes, empty.state.last_return) == ("silent", 0, None)
        with RunControl(run, describe=lambda: {"counters": {"trace": 3}, "link": {"host": {"retries": 2}}}):
            for episode in range(1, 5):
                run.log_episode(10.0 * episode, 10 * episode, elapsed_seconds=0.5 * episode)
            run.flush()
            view = source.read()
            state = view.state
            assert (state.state, state.episodes, state.steps, state.last_return) == ("running", 4, 100, 40.0)
            assert (state.mean_return_100, state.steps_per_second, state.last_length) == (25.0, 60.0, 40)
            assert state.saturation == {"trace": 3} and state.link == {"retries": (2, None)}
            assert view.curves["return"] == [10, 20, 30, 40] and view.curves["mean_return_100"] == [10, 15, 20, 25]
            assert view.curves["rpe"][0] == 0.0 and state.reward_prediction_error == pytest.approx(
                (40 - (16.6015625 + 169 / 256 * (30 - 16.6015625))) / 40
            )
            again = source.read()
            assert again.curves_number == view.curves_number, "nothing new is nothing to draw"
            assert state.can_pause and state.can_snapshot
            source.command("pause")
            assert asked_of(run.path)["pause"] is True and source.read().state.state == "pausing"
        assert source.read().state.state == "silent"
        with pytest.raises(RunError, match="no process runs this run"):
            source.command("resume")
    assert source.read().state.state == "stopped"
    assert "--resume" in source.read().state.remark


def test_states_of_a_held_run(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        seen = []
        source = RunSource(run.path)

        def look(seconds: float) -> None:
            seen.append(source.read().state.state)
            if len(seen) == 1:
                source.command("resume")
                seen.append(source.read().state.state)

        with RunControl(run, sleep=look) as control:
            ask_pause(run.path, True)
            control.attend()
            assert seen == ["paused", "resuming"] and source.read().state.state == "running"


def test_a_run_whose_process_was_killed(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        with RunControl(run):
            report = json.loads((run.path / LIVE_FILE).read_text())
            source = RunSource(run.path)
            (run.path / LIVE_FILE).write_text(json.dumps(report | {"process": ended.pid}))
            assert source.read().state.state == "killed" and not source.read().state.can_pause
            # Of another machine's processes nothing is known.
            (run.path / LIVE_FILE).write_text(json.dumps(report | {"process": ended.pid, "host": "elsewhere"}))
            assert source.read().state.state == "running"
            huge = '{"counters": {"trace": Infinity}, "link": {"host": {"retries": 1e999}, "device": {}}}'
            for nonsense in (
                *("", "[]", huge, '{"process": -1}', f'{{"process": {10**30}, "host": {json.dumps(report["host"])}}}'),
                '{"process": "x", "counters": 7, "link": [], "noise": 1}',
            ):
                (run.path / LIVE_FILE).write_text(nonsense)
                assert source.read().state.state in ("silent", "running")


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "x"])
@pytest.mark.parametrize("column", [0, 1, 3])
def test_a_damaged_line_of_progress_is_passed_over(tmp_path: Path, column: int, number: str) -> None:
    with create(tmp_path / "run") as run:
        run.log_episode(9.0, 9)
        run.flush()
        source = RunSource(run.path)
        assert source.read().state.last_length == 9
        damaged = ["2", "20", "11.0", "11", "10.0", "0.5"]
        damaged[column] = number
        with (run.path / "progress.csv").open("a", encoding="utf-8") as file:
            file.write(",".join(damaged) + "\n")
        state = source.read().state
        assert (state.episodes, state.last_length, state.last_return) == (1, 9, 9.0)


def test_a_resumed_run_is_read_anew_from_where_it_was_cut_back(tmp_path: Path) -> None:
    run = tmp_path / "run"
    simulate(experiment(), "native", run=run)
    source = RunSource(run)
    before = source.read()
    assert before.state.state == "finished" and before.state.episodes == 12
    # As a killed run: one more episode than the checkpoint, and an end that is not there.
    shutil.rmtree(run / "tensorboard")
    (run / "checkpoints" / "episode_000012.nrls").unlink()
    info = json.loads((run / "run.json").read_text()) | {"status": "running"}
    (run / "run.json").write_text(json.dumps(info))
    simulate(experiment(), "native", run=run, resume=True)
    after = source.read()
    assert after.curves == before.curves and after.curves_number > before.curves_number


@pytest.mark.slow
def test_a_finished_run_on_raw_noise_in_firmware(tmp_path: Path) -> None:
    simulate_firmware(experiment(6, "raw"), run=tmp_path / "run")
    source = RunSource(tmp_path / "run")
    state = source.read().state
    assert state.state == "finished" and state.noise.mode == "raw" and state.noise.healthy is True
    assert state.noise.soft_alarms == 0 and state.noise.failed_draws == 0
    assert state.link["frames_out"][0] == state.link["frames_in"][1]
    assert set(state.saturation) >= {"trace", "weight"}
    text = rendered(source)
    for words in ("CartPole-v1 on desktop", "finished", "healthy", "6 of 6", "frames in", "prediction error", "Build"):
        assert words in text
    assert max(map(len, rendered(source, 40).splitlines())) <= 40
    assert "finished: episode 6" in one_line(state)
    # What the device itself said is all there is where the end is missing.
    (tmp_path / "run" / "result.json").unlink()
    early = RunSource(tmp_path / "run").read().state
    assert early.noise.healthy is True and set(early.saturation) >= {"trace", "weight"}


def test_weights_and_policy_of_the_newest_snapshot(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        assert run.agent is not None
        source = RunSource(run.path)
        assert source.read().network is None
        run.log_episode(9.0, 9)
        run.save_checkpoint(ReferenceAgent(run.agent, EntropySettings(seed=1)).snapshot())
        view = source.read()
        assert view.network is not None and view.network_number == 1
        assert [layer["weights"] for layer in view.network["layers"]] == ["4 x 4", "2 x 4"]
        assert view.network["policy"]["actions"] == ["left", "right"]
        assert source.read().network_number == 1
        (run.path / "checkpoints" / "episode_000002.nrls").write_bytes(b"half")
        assert source.read().network_number == 1, "a damaged snapshot shows nothing new"


def test_heat_maps_of_large_layers_keep_what_is_strong() -> None:
    layer = np.zeros((300, 5))
    layer[123, 2], layer[124, 2] = -0.5, 0.25
    view = network_view([layer, np.ones((2, 300))], None, 3)
    hidden = view["layers"][0]
    assert (hidden["rows"], hidden["columns"], hidden["limit"]) == (5, 128, 0.5)
    assert min(hidden["values"]) == -100 and sum(value != 0 for value in hidden["values"]) <= 2
    assert view["policy"] is None


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["nrl-edge", "monitor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    run = tmp_path / "run"
    simulate(experiment(), "native", run=run)
    code, out, _ = call(run, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and lines[-1]["state"] == "finished" and lines[-1]["episodes"] == 12
    code, out, _ = call(run, "--once")
    assert code == 0 and "mean return of the last 100" in out
    assert call(run, "--quiet")[1].count("\n") == 1
    for arguments, words in (
        ((), "name either"),
        ((run, "--port", "loop://"), "name either"),
        ((run, "--web", "--once"), "choose one"),
        ((tmp_path / "nowhere",), "no such run folder"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and words in err
    code, _, err = call("--port", "/dev/nowhere", "--once")
    assert code == 3 and "cannot open /dev/nowhere" in err


def test_the_folder_of_a_run_that_went_away(tmp_path: Path) -> None:
    run = tmp_path / "run"
    simulate(experiment(), "native", run=run)
    source = RunSource(run)
    source.read()
    shutil.rmtree(run)
    with pytest.raises(ConfigurationError, match="no such run folder"):
        source.read()
