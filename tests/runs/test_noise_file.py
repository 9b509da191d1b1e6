"""The noise of a run as files: cut back with the run, never ahead of it, and no hindrance where some of it is lost."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.runs.noise import NoiseFile, cut_noise, noise_holds, read_noise


def noise_of(folder: Path, episodes: int = 6, lost: int | None = None) -> None:
    """Ten bytes for the weights and as many for each episode, those of episode `lost` lost and all after it."""
    noise = NoiseFile(folder)
    for episode in range(episodes + 1):
        noise.add(episode, None if lost is not None and episode >= lost else bytes([episode] * 10))
    noise.flush(durable=True)
    noise.close()


def test_noise_is_cut_back_to_an_episode_and_goes_on(tmp_path: Path) -> None:
    noise_of(tmp_path)
    assert [noise_holds(tmp_path, done) for done in (0, 4, 6, 7)] == [True, True, True, False]
    cut_noise(tmp_path, 4)
    assert read_noise(tmp_path) == b"".join(bytes([episode] * 10) for episode in range(5))
    assert (tmp_path / "noise.csv").read_bytes() == b"0,10\n1,20\n2,30\n3,40\n4,50\n"
    noise = NoiseFile(tmp_path)
    noise.add(5, b"again")
    noise.close()
    assert read_noise(tmp_path)[-6:] == b"\x04again" and noise_holds(tmp_path, 5)
    cut_noise(tmp_path, 0)
    assert not list(tmp_path.iterdir()), "new weights draw anew"


def test_what_is_behind_the_last_whole_line_is_no_noise(tmp_path: Path) -> None:
    noise_of(tmp_path, 3)
    with (tmp_path / "noise.csv").open("ab") as file:
        file.write(b"4,5")
    with (tmp_path / "noise.bin").open("ab") as file:
        file.write(b"half an episode")
    assert len(read_noise(tmp_path)) == 40 and not noise_holds(tmp_path, 4)
    cut_noise(tmp_path, 3)
    assert (tmp_path / "noise.bin").stat().st_size == 40
    assert (tmp_path / "noise.csv").read_bytes() == b"0,10\n1,20\n2,30\n3,40\n"


def test_bytes_that_did_not_reach_the_disk_are_missed(tmp_path: Path) -> None:
    noise_of(tmp_path)
    with (tmp_path / "noise.bin").open("r+b") as file:
        file.truncate(45)
    assert [noise_holds(tmp_path, done) for done in (3, 4, 6)] == [True, False, False]


def test_a_run_that_is_killed_while_it_is_cut_back_loses_no_more_of_its_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise_of(tmp_path)

    def killed(path: Path, *args: object, **options: object) -> int:
        path.open("wb").close()
        raise KeyboardInterrupt

    # Files that are written anew are empty for a moment.
    for name in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, killed)
    with suppress(KeyboardInterrupt):
        cut_noise(tmp_path, 4)
    assert noise_holds(tmp_path, 4), "the checkpoint after 4 episodes would be passed over, and all before it"


def test_a_run_whose_noise_is_lost_goes_on_from_its_newest_checkpoint(tmp_path: Path) -> None:
    noise_of(tmp_path, lost=3)
    with pytest.raises(ConfigurationError, match="some of the noise of this run was lost"):
        read_noise(tmp_path)
    assert noise_holds(tmp_path, 6), "there is nothing left for a checkpoint to wait for"
    cut_noise(tmp_path, 5)
    noise = NoiseFile(tmp_path)
    noise.add(6, b"more")
    noise.close()
    assert noise_holds(tmp_path, 6)
    with pytest.raises(ConfigurationError, match="some of the noise of this run was lost"):
        read_noise(tmp_path)


def test_a_disk_that_takes_no_noise_is_told(tmp_path: Path) -> None:
    (tmp_path / "noise.csv").mkdir()
    with pytest.raises(RunError, match=r"cannot write the noise of the run .*noise.csv"):
        NoiseFile(tmp_path)
