"""Where the commands of a page run: an empty folder, in which what a command names is made before it runs.

That is an experiment file, a run, a study, a capture, firmware, and the device behind /dev/ttyACM0: the desktop's
firmware behind a socket, or an emulated board where the page needs one.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from dask_helpers import address_of, dask_process
from flash_helpers import build_optiboot

from nrl_edge.codegen.options import firmware_options
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.cli import main
from nrl_host.targets import Target, make_target
from nrl_host.targets.desktop import DesktopTarget
from nrl_host.targets.simavr import SimavrTarget

ROOT = Path(__file__).resolve().parents[2]
PORT = "/dev/ttyACM0"
SCHEDULER = "tcp://10.0.0.5:8786"
EPISODES = 4
DEADLINE_SECONDS = 120.0
COMMAND = (
    sys.executable,
    "-c",
    # Whoever runs the tests in the background may have left Ctrl-C ignored, and a process inherits that.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from nrl_host.cli import main; main()",
)


def run(*arguments: str) -> int:
    """`nrl-edge` in this process; returns its exit code."""
    sys.argv = ["nrl-edge", *arguments]
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def run_until_interrupted(*arguments: str) -> int:
    """`nrl-edge` as a process that says something and then gets Ctrl-C; returns its exit code."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        print(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        print(process.communicate(timeout=DEADLINE_SECONDS)[0])
    finally:
        process.kill()
        process.wait()
    return process.returncode


def shorten(folder: Path) -> None:
    """Few episodes in every experiment of the folder that is not a run's."""
    for path in folder.rglob("experiment.toml"):
        if not (path.parent / "checkpoints").exists():
            text = path.read_text(encoding="utf-8")
            text = re.sub(r"^episodes = \d+", f"episodes = {EPISODES}", text, flags=re.MULTILINE)
            path.write_text(re.sub(r"^checkpoint_every = \d+", "checkpoint_every = 2", text, flags=re.MULTILINE))


class PageRoom:
    """The folder of one page, and the devices of its tables, which end with `stack`."""

    def __init__(self, page: str, stack: ExitStack) -> None:
        self._page = page
        self._stack = stack
        self._url: str | None = None
        self._scheduler: str | None = None

    def prepare(self, words: list[str]) -> list[str]:
        """Make what these words of a command name and nobody has made; returns the words to run."""
        for before, word in pairwise(words[1:]):
            if not word.startswith("-") and before not in ("--output", "-o", "--run") and not Path(word).exists():
                self._make(Path(word), words)
        return [self._address(word, words) for word in words]

    def prepare_program(self, text: str) -> None:
        """Make what the strings of a Python program name and nobody has made."""
        for name in re.findall(r'"((?:studies/|[\w/]*\bexperiment\b)[\w/]*\.toml)"', text):
            if not Path(name).exists():
                self._make(Path(name), ["nrl-edge"])

    def _make(self, path: Path, words: list[str]) -> None:
        if path.name == "experiment.toml":
            make_experiment(path)
        elif path.name == "firmware" and words[1] != "generate":
            make_firmware(path, _board_of(words))
        elif path.name == "firmware.elf":
            make_image(path, _board_of(words))
        elif path.parts[0] == "studies":
            make_study(path)
        elif path.name == "capture.bin":
            path.write_bytes(np.random.default_rng(1).bytes(150_000))
        elif path.parts[0] in ("runs", "RUN"):
            make_run(path)

    def _address(self, word: str, words: list[str]) -> str:
        """The word, or what stands here for the address that it is."""
        if word == PORT:
            if self._url is None:
                device = {"flash": uno_from_the_shop, "profile": pico_with_marks}.get(self._page, desktop)
                self._url = self._stack.enter_context(device(_experiment_of(words))).url
            return self._url
        if word == SCHEDULER:
            if self._scheduler is None:
                local = ("--host", "127.0.0.1", "--no-dashboard")
                scheduler = self._stack.enter_context(dask_process("scheduler", *local, "--port", "0"))
                self._scheduler = address_of(scheduler)
                worker = (self._scheduler, *local, "--no-nanny", "--nthreads", "1")
                self._stack.enter_context(dask_process("worker", *worker))
            return self._scheduler
        return word


def _board_of(words: list[str]) -> str:
    return words[words.index("--board") + 1] if "--board" in words else "microbit"


def _experiment_of(words: list[str]) -> Experiment:
    """The experiment that the device of a command has to be built for."""
    named = [Path(word) for word in words if word.endswith("experiment.toml")]
    path = named[0] if named else Path("experiment.toml")
    if not path.exists():
        make_experiment(path)
    return load_experiment(path)


def make_experiment(path: Path, board: str = "desktop") -> None:
    """A small agent on CartPole that saves itself after every second episode."""
    assert run("new", str(path.parent), "--hidden", "8", "--board", board) == 0
    shorten(path.parent)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("save_every = 0", "save_every = 2"), encoding="utf-8")


def make_firmware(path: Path, board: str) -> None:
    """A generated project."""
    experiment = Path(f"of-{board}", "experiment.toml")
    if not experiment.exists():
        make_experiment(experiment, board)
    assert run("generate", str(experiment), "--output", str(path)) == 0


def make_image(path: Path, board: str) -> None:
    """Firmware of a board that was built before."""
    experiment = Path(f"of-{board}", "experiment.toml")
    if not experiment.exists():
        make_experiment(experiment, board)
    folder = f"image-for-{board}"
    assert run("build", str(experiment), "--board", board, "--toolchain", "direct", "--output", folder) == 0
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(next(Path(folder).rglob("*.elf")), path)


def make_run(path: Path) -> None:
    """A finished run, with firmware behind the link."""
    experiment = Path("experiment.toml")
    if not experiment.exists():
        make_experiment(experiment)
    simulate(load_experiment(experiment), "native", run=path)


def make_study(path: Path) -> None:
    """The committed study, with two seeds of few episodes."""
    text = (ROOT / path).read_text(encoding="utf-8")
    path.parent.mkdir(exist_ok=True)
    text = re.sub(r"\b(episodes\s*=\s*)\d+", rf"\g<1>{EPISODES}", text)
    first = re.search(r"^seeds\s*=\D*(\d+)", text, re.MULTILINE)
    assert first is not None, path
    seeds = f'seeds = "{first[1]}:{int(first[1]) + 2}"'
    path.write_text(re.sub(r'^seeds\s*=\s*("[^"]*"|\[[^\]]*\])', seeds, text, flags=re.MULTILINE), encoding="utf-8")


def desktop(experiment: Experiment) -> Target:
    """The experiment's firmware as a process of this computer."""
    return DesktopTarget(
        resolve_agent(experiment),
        experiment.entropy.mode,
        seed=experiment.entropy.seed,
        options=replace(firmware_options(experiment), save_every=2),
    )


def uno_from_the_shop(experiment: Experiment) -> Target:
    """An emulated Uno with nothing but its boot loader."""
    folder = Path("optiboot")
    folder.mkdir()
    return SimavrTarget(resolve_agent(experiment), "uno", boot_loader=build_optiboot(folder), terminal=True)


def pico_with_marks(experiment: Experiment) -> Target:
    """An emulated Pico with the image that the page's own command built."""
    return make_target("pico", resolve_agent(experiment), program=Path("firmware/firmware.elf"))
