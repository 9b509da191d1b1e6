"""The main job end to end, as `make demo` runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_edge.errors import ConfigurationError
from nrl_edge.runs import RunFolder
from nrl_host.demo import run_demo


def quiet_stage(title: str, units: int):
    return lambda done, note: None


@pytest.mark.slow
def test_the_demo_solves_its_task_proves_it_and_reports(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-c", "from nrl_host.cli import main; main()", "demo", "-o", str(folder), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["target"] == "desktop"
    assert result["episodes_to_threshold"] <= 500
    assert result["replay"]["match"] is True
    assert result["replay"]["weights_crc32"] == result["weights_crc32"]
    assert result["replay"]["steps"] == result["steps"] + result["episodes"]
    assert RunFolder.open(folder / "desktop").info.status == "finished"
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert result["weights_crc32"] in page
    assert "<script" not in page


def test_the_demo_replaces_an_earlier_demo_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ConfigurationError, match="no demo made"):
        run_demo(folder, quiet_stage)
    assert (folder / "thesis.txt").read_text() == "irreplaceable"
