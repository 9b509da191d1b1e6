"""Every command and program that README and the pages show in a block is run, in the page's order, made small.

What a page takes for granted is made first (page_room.py). Episodes and seeds are few. What else is changed in a
command, and which commands are not run, is listed here, each with the reason: one that is neither run nor listed fails.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from page_room import PORT, ROOT, PageRoom, run, run_until_interrupted, shorten

from nrl_host.link import Link

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = (
    *(
        "nrl-edge",
        "make",
        "python",
        "python3",
        "pip",
        "pytest",
        "git",
        "source",
        "cd",
        "export",
        "sudo",
        "apt-get",
        "ssh",
    ),
    *("dask", "cmake", "ctest", "pio", "npm", "curl", "wget", "head", "avrdude", "openocd", "docker", "mkdocs"),
)
"""What a line of an indented block begins with where it is a command."""

AS_IF = "writes through a debug probe, a drive or a port that only a real board brings"
ADDED = {
    "nrl-edge flash my-agent/experiment.toml --board microbit": ("--dry-run", AS_IF),
    "nrl-edge flash pole/experiment.toml --board microbit": ("--dry-run", AS_IF),
    "nrl-edge flash my-agent/firmware": ("--dry-run", AS_IF),
    "nrl-edge sim my-agent/experiment.toml --run my-agent/run": ("--episodes 2", "stands for Ctrl-C: --resume goes on"),
    "nrl-edge noise capture --target microbit --output emulated.bin": (
        "--bytes 5000",
        "the emulated generator gives 1.5 kB a second",
    ),
    "nrl-edge sim wild/experiment.toml --target microbit --run runs/wild --episodes 100": (
        "--episodes 4",
        "the emulated generator gives 1.5 kB a second",
    ),
    "nrl-edge validate experiment.toml": ("--seeds 3", "forty seeds take minutes"),
    f"nrl-edge validate experiment.toml --port {PORT} --json": ("--seeds 3", "forty seeds take minutes"),
}
"""Words that the test adds to a command, and why."""

ENDED_BY_CTRL_C = ("nrl-edge monitor runs/first --web", f"nrl-edge monitor --port {PORT}")
"""What goes on until somebody ends it: started as a process, and interrupted when it has said something."""

MAY_SAY_NO = ("nrl-edge validate", "nrl-edge snapshot diff", "nrl-edge doctor", "nrl-edge noise budget")
"""What answers with exit code 1: claims that few episodes do not prove, agents that differ, tools or bits that lack."""

A_BENCHMARK = "minutes; tests/benchmarks and `make bench` run it, here its arguments are parsed"
NOT_RUN = {
    "make demo": "tests/host/test_demo.py runs what it runs",
    "make test": "runs this test",
    "make install": "installs into the virtual environment that runs this test",
    "make bench": A_BENCHMARK,
    "git clone": "needs the address of a repository and a network",
    "source": "a shell's own command; what it does is to put nrl-edge on the path",
    "pip install 'nrl-edge[boards]'": "installs into the environment that runs this test, which has it",
    "pip install -r benchmarks/requirements.txt": "fetches PyTorch",
    "python -m benchmarks": A_BENCHMARK,
    "dask": "runs until it is ended, on other machines; tests start both where the command after it needs them",
}
"""Beginnings of commands that are not run, and why."""


def block_commands(page: Path) -> list[str]:
    """The command lines of a page's indented blocks, without their comments."""
    lines = re.findall(r"^(?: {4}| {6})(\S[^\n]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    commands = [re.split(r"\s+#", line)[0].strip() for line in lines]
    return [line for line in commands if line.split()[0] in PROGRAMS]


SHOWN = {page: block_commands(page) for page in PAGES if block_commands(page)}


def is_not_run(line: str) -> bool:
    return line.startswith(tuple(NOT_RUN))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy computer an emulated second of a board that is flashed takes many, and a board may be held up."""
    monkeypatch.setitem(Link.__init__.__kwdefaults__, "attempts", 60)
    monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "_VERIFY_SECONDS", 300.0)
    monkeypatch.setattr(sys.modules["nrl_host.uploaders"], "_SECONDS", 1800.0)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """In an empty folder; what was started is ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    with ExitStack() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("shown", SHOWN, ids=lambda path: path.stem)
def test_the_commands_of_a_page_run(
    shown: Path, stack: ExitStack, patience: None, capfd: pytest.CaptureFixture[str]
) -> None:
    room = PageRoom(shown.stem, stack)
    for line in SHOWN[shown]:
        if is_not_run(line):
            continue
        assert line.startswith("nrl-edge "), f"{shown.name}: {line!r} is neither run nor listed as not run"
        words = room.prepare(shlex.split(line))
        words += shlex.split(ADDED.get(line, ("", ""))[0])
        code = (run_until_interrupted if line in ENDED_BY_CTRL_C else run)(*words[1:])
        shorten(Path())
        said = capfd.readouterr()
        assert code == 0 or (code == 1 and line.startswith(MAY_SAY_NO)), f"{line}\n{said.out}\n{said.err}"


def python_blocks(page: Path) -> list[str]:
    """The indented blocks of a page that are Python programs."""
    blocks = re.findall(r"^(?: {4}.*\n|\n(?= {4}))+", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [text for text in map(textwrap.dedent, blocks) if re.match(r"\s*(import|from) ", text)]


PROGRAMS_SHOWN = [pytest.param(page, text, id=page.stem) for page in PAGES for text in python_blocks(page)]


@pytest.mark.slow
@pytest.mark.parametrize(("shown", "text"), PROGRAMS_SHOWN)
def test_the_programs_of_a_page_run(shown: Path, text: str, stack: ExitStack) -> None:
    room = PageRoom(shown.stem, stack)
    room.prepare_program(text)
    # Few episodes here as well.
    exec(compile(text.replace("LearningSettings(", "LearningSettings(episodes=4, "), shown.name, "exec"), {})


def test_every_exception_is_one_of_a_command_that_is_shown() -> None:
    lines = [line for commands in SHOWN.values() for line in commands]
    for exact in (*ADDED, *ENDED_BY_CTRL_C):
        assert exact in lines, exact
    for beginning in (*NOT_RUN, *MAY_SAY_NO):
        assert any(line.startswith(beginning) for line in lines), beginning
    assert not any(line.startswith("nrl-edge") and is_not_run(line) for line in lines)


class ParsedError(Exception):
    """Raised in the place of a benchmark's work."""


@pytest.mark.parametrize("page", SHOWN, ids=lambda path: path.stem)
def test_commands_that_are_not_run_are_parsed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the parser of the command itself; of a make command the target is looked up."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    real = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser) -> None:
        real(parser)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    for words in (shlex.split(line) for line in SHOWN[page] if is_not_run(line)):
        if words[0] == "make":
            assert words[1:] and set(words[1:]) <= targets, words
        elif words[:2] == ["python", "-m"]:
            name = f"{words[2]}.__main__" if (ROOT / words[2].replace(".", "/")).is_dir() else words[2]
            monkeypatch.setattr(sys, "argv", words[2:])
            with pytest.raises(ParsedError):
                importlib.import_module(name).main()
        elif words[0] == "dask":
            module = importlib.import_module(f"distributed.cli.dask_{words[1]}")
            module.main.make_context(words[1], words[2:])
        elif words[:3] == ["pip", "install", "-r"]:
            assert (ROOT / words[3]).is_file()


def test_make_and_python_commands_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for shown in (*PAGES, ROOT / "CONTRIBUTING.md"):
        text = shown.read_text(encoding="utf-8")
        for target in re.findall(r"^ {4}make ([a-z-]+)", text, re.MULTILINE) + re.findall(r"`make ([a-z-]+)`", text):
            assert target in targets, f"{shown.name}: make {target}"
        for module in re.findall(r"python -m (benchmarks[\w.]*)", text):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), f"{shown.name}: {module}"
