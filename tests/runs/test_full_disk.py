"""A disk that is full: one clear error, exit code 1, and a run that goes on when there is room again."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nrl_edge.experiment import load_experiment
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import simulate

EXPERIMENT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [{hidden}]
[learning]
episodes = 60
[run]
checkpoint_every = 5
"""
LIMITS = [30, 300, 700, 3000, 8000]
"""Bytes that a file may have: which file is the first to meet it, and in which call, is different each time."""

COMMAND = "from nrl_host.cli import main; main()"


def sim(path: Path, run: Path, *more: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        # Writing beyond it is an error then, as on a full disk, and not the end of the process.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", COMMAND, "sim", str(path), "--target", "native", "--run", str(run), *more],
        capture_output=True,
        text=True,
        preexec_fn=limited,
        check=False,
    )


def one_clear_error(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("nrl-edge: cannot write ") and "disk may be full" in lines[0], lines


def whole_after_resuming(path: Path, run: Path, undisturbed: Path) -> None:
    assert "Traceback" not in (done := sim(path, run, "--resume")).stderr and done.returncode == 0, done.stderr
    ours, theirs = RunFolder.open(run), RunFolder.open(undisturbed)
    assert ours.progress().episode_return.tolist() == theirs.progress().episode_return.tolist()
    assert ours.final_snapshot() == theirs.final_snapshot()
    assert ours.record_path.read_bytes() == theirs.record_path.read_bytes()
    assert replay(ours).match


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(hidden=8), encoding="utf-8")
    simulate(load_experiment(path), "native", run=folder / "run")
    return path, folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("limit", LIMITS)
def test_wherever_room_ends_the_run_can_be_resumed(tmp_path: Path, undisturbed: tuple[Path, Path], limit: int) -> None:
    path, whole = undisturbed
    run = tmp_path / "run"
    done = sim(path, run, limit=limit)
    assert (whole / "record.nrlr").stat().st_size > limit, "the limit is beyond the largest file"
    one_clear_error(done)
    if (run / "run.json").exists():
        assert not list(run.glob(".*.tmp")), "half-written files take room that is short"
        whole_after_resuming(path, run, whole)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk can be mounted by root only; RLIMIT_FSIZE stands for it above")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_really_full(tiny_disk: Path, undisturbed: tuple[Path, Path]) -> None:
    path, whole = undisturbed
    run = tiny_disk / "run"
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(130_000))
    one_clear_error(sim(path, run))
    kept = RunFolder.open(run)
    assert len(kept.progress().episode) >= 5 and kept.checkpoints(), "what was written is kept"
    # Asking to go on while it is still full is the same error again.
    again = sim(path, run, "--resume")
    assert again.returncode == 1 and len(again.stderr.strip().splitlines()) == 1, again.stderr
    ballast.unlink()
    whole_after_resuming(path, run, whole)
