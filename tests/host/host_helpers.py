"""What the end-to-end tests share: small experiments, the command in this process and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nrl_edge.experiment import Experiment, load_experiment
from nrl_edge.simulation import RunSummary, simulate
from nrl_host.cli import main
from nrl_host.hil import simulate_firmware

TARGETS = ("reference", "native", "desktop")
COMMAND = (
    sys.executable,
    "-c",
    # Whoever runs the tests in the background may have left Ctrl-C ignored, and a process inherits that.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from nrl_host.cli import main; main()",
)
DEADLINE_SECONDS = 120.0


def write_experiment(
    folder: Path,
    *,
    task: str = "CartPole-v1",
    scale: str = "[1, 1, 8, 1]",
    hidden: tuple[int, ...] = (8,),
    kind: str = "int16",
    reward: str = "delayed",
    episodes: int = 12,
    checkpoint_every: int = 4,
    learning_rate: str = "2^-6",
    task_keys: str = "",
    formats: str = '"auto"',
) -> Path:
    """An experiment file with these settings; `task_keys` are further lines of [task]."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "experiment.toml"
    path.write_text(
        f"""
[task]
id = "{task}"
observation_scale = {scale}
reward = "{reward}"
{task_keys}
[network]
hidden = {list(hidden)}
[learning]
learning_rate = "{learning_rate}"
clip = 0.5
episodes = {episodes}
[arithmetic]
kind = "{kind}"
formats = {formats}
[run]
checkpoint_every = {checkpoint_every}
""",
        encoding="utf-8",
    )
    return path


def run_target(experiment: Experiment | Path, target: str, **options: Any) -> RunSummary:
    """Run on one of TARGETS through the public function that `nrl-edge sim` calls."""
    loaded = load_experiment(experiment) if isinstance(experiment, Path) else experiment
    if target == "desktop":
        return simulate_firmware(loaded, **options)
    assert target in ("reference", "native")
    return simulate(loaded, target, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON, one object a line."""
        objects = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(each, dict) for each in objects)
        return objects

    @property
    def result(self) -> dict[str, Any]:
        """The last line, which is the result or the error."""
        return self.lines[-1]


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Finished:
    """The command in this process: an exception that it does not handle fails the test with its traceback."""
    monkeypatch.setattr(sys, "argv", ["nrl-edge", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return Finished(code or 0, captured.out, captured.err)


def spawn(*arguments: object, cwd: Path, variables: dict[str, str] | None = None) -> Finished:
    """The command as a process in a session of its own, as a terminal would start it."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=dict(os.environ) | (variables or {}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        start_new_session=True,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)
