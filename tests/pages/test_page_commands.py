"""The nrl-edge commands that pages show in blocks are run, in the page's order, on small experiments.

What a page takes for granted is made first: an experiment file that it names, a run folder, a capture. A device at
/dev/ttyACM0 is the desktop's firmware behind a socket. Episodes are few; nothing else about a command is changed.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nrl_edge.codegen.options import firmware_options
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.cli import main
from nrl_host.targets.desktop import DesktopTarget

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PORT = "/dev/ttyACM0"
EPISODES = 4

RUN = ("boards", "budget", "embed", "experiment", "export", "on-chip", "plant", "ports", "protocol")
"""Pages whose commands are run. Those of the others take for granted what this test does not make yet."""
MAY_SAY_NO = ("nrl-edge validate", "nrl-edge snapshot diff", "nrl-edge doctor")
"""What answers with exit code 1: claims that few episodes do not prove, agents that differ, tools that are missing."""


def blocks(page: Path) -> list[str]:
    """The command lines of a page's indented blocks, without their comments."""
    lines = re.findall(r"^ {4}(nrl-edge [^\n]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.split(r"\s{2,}(?=[a-z#])|\s#", line)[0].strip() for line in lines if not line.startswith("nrl-edge-")]


SHOWN = {page: blocks(page) for page in PAGES if page.stem in RUN}


class Page:
    """Where a page's commands are run, and what they find there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._url: str | None = None

    def prepare(self, words: list[str]) -> list[str]:
        """Make what these words name and nobody has made; returns the words to run."""
        for word in words[2:]:
            path = Path(word)
            if word.startswith("-") or path.exists():
                continue
            if path.name == "experiment.toml":
                self._make_experiment(path)
            elif path.name == "firmware" and words[1] != "generate":
                self._make_firmware(path, words)
            elif path.parts[0] == "studies":
                self._make_study(path)
            elif word == "capture.bin" and "--output" not in words:
                path.write_bytes(np.random.default_rng(1).bytes(150_000))
            elif path.parts[0] in ("runs", "RUN") and "--run" not in words:
                self._make_run(path)
        return [self._device(words) if word == PORT else word for word in words]

    def shorten(self) -> None:
        """Few episodes, in whatever experiment a command wrote."""
        for path in self.folder.rglob("experiment.toml"):
            if "checkpoints" not in {each.name for each in path.parent.iterdir()}:
                text = path.read_text(encoding="utf-8")
                text = re.sub(r"^episodes = \d+", f"episodes = {EPISODES}", text, flags=re.MULTILINE)
                path.write_text(re.sub(r"^checkpoint_every = \d+", "checkpoint_every = 2", text, flags=re.MULTILINE))

    def _make_experiment(self, path: Path) -> None:
        run("new", str(path.parent), "--hidden", "8")
        self.shorten()
        path.write_text(path.read_text(encoding="utf-8").replace("save_every = 0", "save_every = 2"))

    def _make_firmware(self, path: Path, words: list[str]) -> None:
        board = words[words.index("--board") + 1] if "--board" in words else "microbit"
        run("new", f"of-{board}", "--hidden", "8", "--board", board)
        run("generate", f"of-{board}/experiment.toml", "--output", str(path))

    def _make_run(self, path: Path) -> None:
        experiment = Path("experiment.toml")
        if not experiment.exists():
            self._make_experiment(experiment)
        simulate(load_experiment(experiment), "native", run=path)

    def _make_study(self, path: Path) -> None:
        """The committed study, with two seeds of few episodes."""
        text = (ROOT / path).read_text(encoding="utf-8")
        path.parent.mkdir(exist_ok=True)
        text = re.sub(r"\b(episodes\s*=\s*)\d+", r"\g<1>4", text)
        first = re.search(r"^seeds\s*=\D*(\d+)", text, re.MULTILINE)
        assert first is not None, path
        seeds = f'seeds = "{first[1]}:{int(first[1]) + 2}"'
        text = re.sub(r'^seeds\s*=\s*("[^"]*"|\[[^\]]*\])', seeds, text, flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")

    def _device(self, words: list[str]) -> str:
        if self._url is None:
            named = [Path(word) for word in words if word.endswith("experiment.toml")]
            experiment = named[0] if named else Path("experiment.toml")
            if not experiment.exists():
                self._make_experiment(experiment)
            loaded = load_experiment(experiment)
            target = DesktopTarget(
                resolve_agent(loaded),
                loaded.entropy.mode,
                seed=loaded.entropy.seed,
                options=replace(firmware_options(loaded), save_every=2),
            )
            self._url = self._stack.enter_context(target).url
        return self._url


def run(*arguments: str) -> int:
    """The command in this process; returns its exit code."""
    sys.argv = ["nrl-edge", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    with ExitStack() as stack:
        yield Page(tmp_path, stack)


@pytest.mark.slow
@pytest.mark.parametrize("shown", SHOWN, ids=lambda path: path.stem)
def test_the_commands_of_a_page_run(shown: Path, page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    for line in SHOWN[shown]:
        words = page.prepare(shlex.split(line))
        code = run(*words[1:])
        page.shorten()
        said = capsys.readouterr()
        assert code == 0 or (code == 1 and line.startswith(MAY_SAY_NO)), f"{line}\n{said.out}\n{said.err}"


def test_make_and_python_commands_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for shown in PAGES:
        text = shown.read_text(encoding="utf-8")
        for target in re.findall(r"^ {4}make ([a-z-]+)", text, re.MULTILINE) + re.findall(r"`make ([a-z-]+)`", text):
            assert target in targets, f"{shown.name}: make {target}"
        for module in re.findall(r"python -m (benchmarks[\w.]*)", text):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), f"{shown.name}: {module}"
