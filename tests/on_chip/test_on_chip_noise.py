"""Chips that simulate their task and draw raw noise: it is read while they learn, and their runs can be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tools import require_board

from nrl_edge.codegen.options import firmware_options
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    Experiment,
    entropy_settings,
    load_experiment,
    new_experiment,
    parse_experiment,
    resolve_agent,
)
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import ReturnStatistics, RunSummary
from nrl_host.cli import main
from nrl_host.device import LinkAgent
from nrl_host.hil import simulate_firmware
from nrl_host.link import Link
from nrl_host.link.messages import MESSAGES
from nrl_host.noise_reader import NoiseReader
from nrl_host.on_chip import listen_on_chip
from nrl_host.replay import replay_on
from nrl_host.targets.desktop import DesktopTarget


def balance(folder: Path, mode: str = "raw", preset: str = "edge", **overrides: int) -> Experiment:
    experiment = load_experiment(new_experiment(folder / "balance", "balance")).with_overrides(**overrides)
    if preset == "actor-critic":
        learning = replace(
            experiment.learning, preset=preset, learning_rate=0.5, clip=0.125, critic_features="products"
        )
        experiment = replace(experiment, learning=learning)
    return parse_experiment(replace(experiment, entropy=replace(experiment.entropy, mode=mode)).to_toml())


def no_warning(sentence: str) -> None:
    raise AssertionError(sentence)


class After:
    """Stops a run after so many episodes."""

    def __init__(self, episodes: int) -> None:
        self.left = episodes

    def hear(self, outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
        self.left -= 1

    def __call__(self) -> bool:
        return self.left <= 0


def run_until(experiment: Experiment, run: Path, board: str = "desktop", episodes: int = 10**6) -> RunSummary:
    stop = After(episodes)
    return simulate_firmware(experiment, board=board, run=run, stop=stop, on_episode=stop.hear, on_warning=no_warning)


@pytest.mark.parametrize("mode", ["raw", "expanded"])
def test_a_run_on_a_chips_own_noise_is_repeated_to_the_last_weight(tmp_path: Path, mode: str) -> None:
    summary = run_until(balance(tmp_path, mode, episodes=25), tmp_path / "run")
    again = run_until(balance(tmp_path / "again", mode, episodes=25), tmp_path / "again" / "run")
    assert summary.weights_crc32 != again.weights_crc32, "nobody knows what raw noise will be"
    run = RunFolder.open(tmp_path / "run")
    assert len(run.noise()) >= 4 * summary.steps
    for target in ("reference", "native"):
        verdict = replay_on(run, target)
        assert verdict.match and verdict.whole and verdict.first_difference is None
        assert (verdict.episodes, verdict.steps) == (25, summary.steps + 25)
        assert verdict.weights_crc32 == verdict.recorded_weights_crc32 == summary.weights_crc32


@pytest.mark.parametrize(("mode", "preset"), [("raw", "edge"), ("raw", "actor-critic"), ("seeded", "actor-critic")])
def test_a_run_that_was_left_is_repeated_to_where_the_board_was(tmp_path: Path, mode: str, preset: str) -> None:
    """The board goes on; what is compared is its last answer, most often from the middle of an episode."""
    experiment = balance(tmp_path, mode, preset, episodes=100_000)
    summary = run_until(experiment, tmp_path / "run", episodes=12)
    assert summary.interrupted and 12 <= summary.episodes < 100_000
    run = RunFolder.open(tmp_path / "run")
    assert len(run.progress().episode) == summary.episodes
    assert run.final_snapshot() is None and not list(run.checkpoints()), "nothing there stands still"
    verdict = replay(run)
    assert verdict.match and not verdict.whole and verdict.weights_crc32 == summary.weights_crc32
    assert verdict.episodes == summary.episodes
    assert verdict.steps == summary.steps + summary.episodes
    with pytest.raises(ConfigurationError, match="goes on by itself"):
        simulate_firmware(experiment, run=tmp_path / "run", resume=True)


def test_other_noise_or_another_curve_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until(balance(tmp_path, episodes=15), tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    noise, curve = tmp_path / "run" / "noise.bin", tmp_path / "run" / "progress.csv"
    true_noise, true_curve = noise.read_bytes(), curve.read_text()

    noise.write_bytes(bytes(byte ^ 0xFF for byte in true_noise))
    verdict = replay(run)
    assert not verdict.match and verdict.first_difference is not None and verdict.first_difference.what == "episode"
    monkeypatch.setattr("sys.argv", ["nrl-edge", "replay", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1 and "differs: it had" in capsys.readouterr().out

    noise.write_bytes(true_noise)
    lines = true_curve.splitlines()
    number, steps, value, length, *rest = lines[4].split(",")
    lines[4] = ",".join([number, steps, str(float(value) + 1.0), length, *rest])
    curve.write_text("\n".join(lines) + "\n")
    verdict = replay(run)
    assert not verdict.match and verdict.episodes == 3 and verdict.first_difference is not None
    assert verdict.first_difference.recorded == f"{length} steps and a return of {float(value) + 1.0:g}"
    assert verdict.first_difference.replayed == f"{length} steps and a return of {float(value):g}"

    curve.write_text(true_curve)
    assert replay(run).match


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    run_until(balance(tmp_path, episodes=3), tmp_path / "run")
    run, result = RunFolder.open(tmp_path / "run"), tmp_path / "run" / "result.json"
    values = json.loads(result.read_text())
    for damaged in ({**values, "steps": None}, {name: value for name, value in values.items() if name != "episodes"}):
        result.write_text(json.dumps(damaged))
        with pytest.raises(ConfigurationError, match=r"result\.json is damaged"):
            replay(run)
    result.write_text(json.dumps({**values, "steps": values["steps"] - 1}))
    assert not replay(run).match, "another number of steps"
    result.unlink()
    with pytest.raises(ConfigurationError, match="was cut off before it could be asked"):
        replay(run)


class QuietPort:
    """A port on which nothing comes, and which notes how long it was to wait for that."""

    def __init__(self) -> None:
        self.timeout = 0.5
        self.waits: list[float] = []

    def read(self, size: int) -> bytes:
        self.waits.append(self.timeout)
        return b""


def test_a_link_listens_no_longer_than_it_is_told() -> None:
    configuration = resolve_agent(parse_experiment('[task]\nid = "CartPole-v1"\n'))
    with DesktopTarget(configuration) as target, Link(target.url) as link:
        port, link._port = link._port, QuietPort()
        link.listen(0.01)
        quiet, link._port = link._port, port
    assert quiet.waits and max(quiet.waits) <= 0.01 and quiet.timeout == 0.5


def test_a_board_that_was_done_when_the_listener_left_is_a_finished_run(tmp_path: Path) -> None:
    experiment = balance(tmp_path, "seeded", episodes=6)
    configuration = resolve_agent(experiment)
    with (
        DesktopTarget(configuration, seed=experiment.entropy.seed, options=firmware_options(experiment)) as target,
        Link(target.url) as link,
    ):

        def leave() -> bool:
            until(lambda: link.request(MESSAGES["STATUS"]()).episodes == 6)
            return True

        summary = listen_on_chip(experiment, link, configuration, begin=True, stop=leave, run=tmp_path / "run")
    assert not summary.interrupted and summary.episodes == 6
    verdict = replay(RunFolder.open(tmp_path / "run"))
    assert verdict.match and verdict.whole


def begun(link: Link, experiment: Experiment) -> LinkAgent:
    agent = LinkAgent(link, resolve_agent(experiment), entropy_settings(experiment), begin=False, keep_noise=False)
    agent.begin()
    return agent


def until(condition: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if condition():
            return
    raise AssertionError("it never came to that")


def test_a_board_waits_for_who_reads_its_noise(tmp_path: Path) -> None:
    experiment = balance(tmp_path, episodes=1000)
    configuration = resolve_agent(experiment)
    with (
        DesktopTarget(configuration, "raw", options=firmware_options(experiment)) as target,
        Link(target.url) as link,
    ):
        agent = begun(link, experiment)
        seen = [agent.status()]

        def stands() -> bool:
            seen.append(agent.status())
            return len(seen) > 30 and seen[-1].steps == seen[-30].steps > 0

        until(stands)
        drawn = seen[-1].bytes_drawn
        reader = NoiseReader(link)
        read = b""
        while reader.lacks(drawn):
            read += reader.read()
        assert reader.is_complete and len(read) >= drawn
        reader.read()  # the next request says that the reply before it has come
        until(lambda: agent.status().steps > seen[-1].steps)


@pytest.mark.slow
@pytest.mark.waits
def test_a_board_goes_on_where_nobody_reads(tmp_path: Path) -> None:
    experiment = balance(tmp_path, episodes=20)
    warnings: list[str] = []
    with (
        DesktopTarget(resolve_agent(experiment), "raw", options=firmware_options(experiment)) as target,
        Link(target.url) as link,
    ):
        agent = begun(link, experiment)
        started = time.monotonic()
        until(lambda: agent.status().episodes == 20 or link.listen(1.0) is not None)
        assert time.monotonic() - started < 3 * 30, "it waits once, not at every step"
        reader = NoiseReader(link)
        assert reader.read() == b"" and not reader.is_complete
        assert reader.lacks(agent.status().bytes_drawn) is False
        # The next run is whole again.
        summary = listen_on_chip(
            experiment, link, resolve_agent(experiment), begin=True, on_warning=warnings.append, run=tmp_path / "run"
        )
    assert not warnings and replay(RunFolder.open(tmp_path / "run")).weights_crc32 == summary.weights_crc32


@pytest.mark.slow
@pytest.mark.waits
def test_noise_that_is_lost_is_said_and_the_run_not_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = NoiseReader.read
    calls = []

    def loses(reader: NoiseReader) -> bytes:
        calls.append(reader.position)
        if len(calls) == 5:
            reader.position = (reader.position - 100_000) & 0xFFFFFFFF  # long overwritten
        return read(reader)

    monkeypatch.setattr(NoiseReader, "read", loses)
    warnings: list[str] = []
    simulate_firmware(balance(tmp_path, episodes=60), run=tmp_path / "run", on_warning=warnings.append)
    assert len(warnings) == 1 and "was overwritten before it was read" in warnings[0]
    with pytest.raises(ConfigurationError, match="some of the noise of this run was lost"):
        replay(RunFolder.open(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("board_id", ["microbit", "pico", "pico2", "nucleo_l476rg"])
def test_runs_of_emulated_chips_on_their_own_noise_are_repeated(tmp_path: Path, board_id: str) -> None:
    require_board(board_id)
    summary = run_until(balance(tmp_path, episodes=20), tmp_path / "run", board_id)
    verdict = replay(RunFolder.open(tmp_path / "run"))
    assert verdict.match and verdict.whole and verdict.weights_crc32 == summary.weights_crc32
