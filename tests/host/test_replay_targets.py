"""A recorded run is repeated elsewhere, bit for bit: on raw noise too, which the device is then given."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from host_helpers import call, run_target, write_experiment
from tools import require_board

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_edge.runs import RunFolder
from nrl_host.hil import simulate_firmware
from nrl_host.replay import replay_on

BOARDS = (
    "reference",
    "native",
    "desktop",
    *(pytest.param(board, marks=pytest.mark.slow) for board in ("microbit", "feather_f405")),
)


def recorded(folder: Path, mode: str, *, board: str = "desktop", hidden: tuple[int, ...] = (8,)) -> RunFolder:
    path = write_experiment(folder, episodes=10, hidden=hidden)
    path.write_text(path.read_text(encoding="utf-8") + f'[entropy]\nmode = "{mode}"\n', encoding="utf-8")
    simulate_firmware(load_experiment(path), board=board, run=folder / "run")
    return RunFolder.open(folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["seeded", "raw", "expanded"])
@pytest.mark.parametrize("target", BOARDS)
def test_a_run_is_repeated_on_every_target(tmp_path: Path, mode: str, target: str) -> None:
    if target not in ("reference", "native"):
        require_board(target)
    run = recorded(tmp_path, mode)
    verdict = replay_on(run, target)
    assert (verdict.match, verdict.first_difference, verdict.target) == (True, None, target)


@pytest.mark.slow
def test_what_the_emulated_generator_of_a_chip_gave_is_repeated_everywhere(tmp_path: Path) -> None:
    require_board("microbit")
    run = recorded(tmp_path, "raw", board="microbit")
    assert len(run.noise()) > 1000
    for target in ("reference", "native", "desktop", "microbit"):
        assert replay_on(run, target).match, target


@pytest.mark.slow
def test_an_agent_whose_first_weights_draw_more_than_a_chip_has_room_for_is_repeated_there(tmp_path: Path) -> None:
    """Initial weights of 4-128-128-2 draw 33,792 bytes; this board's log has 16,384."""
    require_board("feather_f405")
    run = recorded(tmp_path, "raw", hidden=(96, 96))
    assert replay_on(run, "feather_f405").match


def test_a_board_without_a_generator_has_no_room_for_recorded_noise(tmp_path: Path) -> None:
    require_board("mps2_an385")
    run = recorded(tmp_path, "raw")
    with pytest.raises(ConfigurationError, match="no room for the noise"):
        replay_on(run, "mps2_an385")


@pytest.mark.parametrize("mode", ["seeded", "raw"])
def test_a_run_that_was_broken_off_is_repeated_up_to_its_newest_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    path = write_experiment(tmp_path, episodes=12, checkpoint_every=4)
    path.write_text(path.read_text(encoding="utf-8") + f'[entropy]\nmode = "{mode}"\n', encoding="utf-8")
    folder = tmp_path / "run"
    asked = count(1)
    simulate_firmware(load_experiment(path), run=folder, stop=lambda: next(asked) == 10)
    run = RunFolder.open(folder)
    assert [done for done, _ in run.checkpoints()] == [4, 8, 10] and run.final_snapshot() is None
    verdict = replay_on(run, "native")
    assert (verdict.match, verdict.whole, verdict.episodes) == (True, False, 10)

    # Killed, it has a record and noise beyond its newest checkpoint.
    (folder / "checkpoints" / "episode_000010.nrls").unlink()
    verdict = replay_on(run, "native")
    assert (verdict.match, verdict.whole, verdict.episodes) == (True, False, 8)
    assert verdict.recorded_weights_crc32 == verdict.weights_crc32
    ended = call(capsys, monkeypatch, "replay", folder)
    assert ended.code == 0 and "after 8 episodes: as far as is known of a run that has not reached its end" in ended.out

    other = tmp_path / "other"
    simulate_firmware(load_experiment(path).with_overrides(seed=7), run=other)
    name = "checkpoints/episode_000008.nrls"
    (folder / name).write_bytes((other / name).read_bytes())
    assert not replay_on(run, "native").match

    for _, checkpoint in run.checkpoints():
        checkpoint.unlink()
    with pytest.raises(ConfigurationError, match="neither its end nor a checkpoint"):
        replay_on(run, "native")


def test_weights_that_differ_are_found_at_the_first_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load_experiment(write_experiment(tmp_path, episodes=12, checkpoint_every=4))
    run_target(experiment, "native", run=tmp_path / "run")
    other = tmp_path / "other"
    run_target(experiment.with_overrides(seed=7), "native", run=other)
    name = "checkpoints/episode_000004.nrls"
    (tmp_path / "run" / name).write_bytes((other / name).read_bytes())
    ended = call(capsys, monkeypatch, "replay", tmp_path / "run", "--target", "native", "--json")
    assert ended.code == 1
    difference = ended.result["first_difference"]
    assert difference["what"] == "weights"
    assert difference["recorded"] != difference["replayed"]
    assert "checkpoint after call" in call(capsys, monkeypatch, "replay", tmp_path / "run").out
