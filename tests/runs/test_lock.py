"""One process writes a run at a time, and a command that is refused costs nothing of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_edge.runs import RunFolder
from nrl_edge.runs.lock import FolderBusyError, FolderLock

EXPERIMENT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [2]
[learning]
episodes = {episodes}
[arithmetic]
formats = {{ observation_frac_bits = 10, weight_frac_bits = 12, trace_frac_bits = 5, reward_frac_bits = 8 }}
[run]
checkpoint_every = 5
"""
COMMAND = (sys.executable, "-c", "from nrl_host.cli import main; main()")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no locks of folders elsewhere")


def sim(path: Path, run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("sim", str(path), "--target", "reference", "--run", str(run), *more)
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_lock_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    hold = (
        "import pathlib, sys; from nrl_edge.runs.lock import FolderLock\n"
        "lock = FolderLock(pathlib.Path(sys.argv[1])); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        for take_over in (False, True):
            with pytest.raises(FolderBusyError):
                FolderLock(tmp_path, take_over=take_over)
        process.kill()
        process.wait()
    first = FolderLock(tmp_path)
    with pytest.raises(FolderBusyError):
        FolderLock(tmp_path)
    second = FolderLock(tmp_path, take_over=True)
    first.release()  # which has nothing to release any more
    with pytest.raises(FolderBusyError):
        FolderLock(tmp_path)
    second.release()
    FolderLock(tmp_path).release()


@pytest.mark.slow
def test_a_run_that_goes_on_in_another_process_is_not_resumed_beside_it(tmp_path: Path) -> None:
    path, run = tmp_path / "experiment.toml", tmp_path / "run"
    path.write_text(EXPERIMENT.format(episodes=1_000_000), encoding="utf-8")
    words = ("sim", str(path), "--target", "reference", "--run", str(run))
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (run / "checkpoints" / "episode_000010.nrls").exists():
                assert process.poll() is None
            beside = sim(path, run, "--resume", "--episodes", "1000001")
            assert (beside.returncode, beside.stdout) == (2, "")
            assert f"another process writes the run {run}; wait for it" in beside.stderr
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
    # A run that was killed says that it goes on, and is resumed nevertheless.
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "running"
    episodes = str(len(RunFolder.open(run).progress().episode) + 5)
    assert sim(path, run, "--resume", "--episodes", episodes).returncode == 0


@pytest.mark.slow
def test_a_resume_that_is_refused_costs_nothing_of_the_run(tmp_path: Path) -> None:
    path, run = tmp_path / "experiment.toml", tmp_path / "run"
    path.write_text(EXPERIMENT.format(episodes=12), encoding="utf-8")
    assert sim(path, run).returncode == 0
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    # As a kill leaves it: after a last episode that no checkpoint has.
    (run / "checkpoints" / "episode_000012.nrls").unlink()
    (run / "run.json").write_text(json.dumps(info | {"status": "running"}), encoding="utf-8")
    before = contents(run)
    refused = sim(path, run, "--resume", "--episodes", "7")
    assert refused.returncode == 2 and "this run has 10 episodes already, and 7 are asked for" in refused.stderr
    assert contents(run) == before


def test_a_run_that_was_cut_off_before_it_was_one_is_begun_again_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format(episodes=12), encoding="utf-8")
    experiment = load_experiment(path)
    with pytest.raises(ConfigurationError, match="is not empty and holds no run"):
        RunFolder.create(tmp_path, experiment, "float64")
    run = tmp_path / "run"
    RunFolder.create(run, experiment, "float64").close()
    (run / "run.json").unlink()
    for folder in run.iterdir():
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    RunFolder.create(run, experiment, "float64", tensorboard=False).close()
    (run / "run.json").unlink()
    (run / "progress.csv").write_bytes((run / "progress.csv").read_bytes() + b"1,2,3.0,2,3.0,0.1\n")
    with pytest.raises(ConfigurationError, match="is not empty and holds no run"):
        RunFolder.create(run, experiment, "float64")
