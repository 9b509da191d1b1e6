"""What a full disk cut off is not in the way of the same command when there is room again."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_edge.experiment import load_experiment

EXPERIMENT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [2]
[learning]
episodes = 3
[arithmetic]
formats = { observation_frac_bits = 10, weight_frac_bits = 12, trace_frac_bits = 5, reward_frac_bits = 8 }
"""
STUDY = """
[study]
seeds = [1, 2]
[base]
task.id = "CartPole-v1"
network.hidden = [2]
learning.episodes = 3
[grid]
arithmetic = ["float64"]
"""
COMMAND = "from nrl_host.cli import main; main()"


def nrl_edge(folder: Path, words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command, on a disk on which a file has `limit` bytes at most."""

    def limited() -> None:
        # Writing beyond it is an error then, as on a full disk, and not the end of the process.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", COMMAND, *words.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=limited,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("new agent", 1000),
        ("key board.key", 20),
        ("generate experiment.toml --output firmware", 8000),
        ("generate experiment.toml --output firmware", 100),
        ("export arduino experiment.toml --output library", 8000),
        ("export c experiment.toml --output library", 100),
        ("study study.toml --output results --table-only", 50),
        ("sim experiment.toml --target reference --run run", 50),
    ],
)
def test_the_same_command_does_it_when_there_is_room_again(tmp_path: Path, words: str, limit: int) -> None:
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    failed = nrl_edge(tmp_path, words, limit)
    assert failed.returncode in (1, 2) and "nrl-edge: " in failed.stderr and "Traceback" not in failed.stderr
    done = nrl_edge(tmp_path, words)
    assert done.returncode == 0, done.stderr
    if words == "new agent":
        load_experiment(tmp_path / "agent" / "experiment.toml")
    refused = nrl_edge(tmp_path, words)
    assert refused.returncode == (2 if words.startswith(("new", "key", "sim")) else 0), refused.stderr
