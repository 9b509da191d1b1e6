"""The firmware of an AVR board in libsimavr, cycle for cycle: the image that the board would be flashed with."""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import IO

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, find_board
from nrl_edge.errors import ConfigurationError, DeviceError, MissingToolError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_host.toolchain import build_image

_EMULATOR = "simavr"
_START_SECONDS = 20.0
_STOP_SECONDS = 3.0
_ANNOUNCEMENT = "listening on "


def build_harness() -> Path:
    """The program around libsimavr, compiled once by the host's compiler. Raises MissingToolError without libsimavr."""
    source = files("nrl_host.targets").joinpath("simavr_harness.c").read_text(encoding="utf-8")
    try:
        return build_cached(
            {"simavr_harness.c": source},
            "simavr-harness",
            # The library's own headers are not free of warnings.
            extra_flags=("-w",),
            libraries=("-lsimavr", "-lelf"),
        )
    except RunError as error:
        raise MissingToolError(
            "AVR boards are emulated by libsimavr, and a program with it could not be built; install it, on Debian and "
            f"Ubuntu with: apt-get install libsimavr-dev libelf-dev ({str(error).splitlines()[-1]})"
        ) from error


class SimavrTarget:
    """The firmware of one agent on an emulated AVR chip, behind TCP on 127.0.0.1.

    `board` is a board or the id of one. `seed` and `entropy_mode` are what the firmware starts with at power-on.
    `folder` takes the generated sources and the image; without one, the image is kept in the user's cache of builds.
    `program` is an image that was built already. The chip keeps its EEPROM from one start to the next.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        board: Board | str,
        entropy_mode: EntropyMode = "seeded",
        *,
        seed: int = 0,
        folder: Path | None = None,
        program: Path | None = None,
    ) -> None:
        self.configuration = configuration
        self.board = find_board(board) if isinstance(board, str) else board
        words = shlex.split(self.board.emulator or "")
        if len(words) != 3 or words[:2] != [_EMULATOR, "-m"] or self.board.clock is None:
            raise ConfigurationError(f"board {self.board.id!r} is not emulated by simavr; see `nrl-edge boards`")
        self._chip = words[2]
        self._clock_hz = self.board.clock.hz
        self._entropy_mode = entropy_mode
        self._seed = seed
        self._folder = folder
        self._program = program
        self._url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._memory: tempfile.TemporaryDirectory[str] | None = None
        self.cycles = 0
        """Clock cycles that the chip had run when it was last stopped."""
        self.stack_bytes = 0
        """The most that was on its stack until then."""

    @property
    def url(self) -> str:
        """The port to open while the target runs."""
        if self._process is None:
            raise DeviceError(f"the emulated {self.board.id} is not running: start the target first")
        return self._url

    def __enter__(self) -> SimavrTarget:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build the image where that has not been done yet, start the chip and wait until it can be reached.

        Raises MissingToolError without libsimavr or avr-gcc, and DeviceError where the emulator does not start.
        """
        if self._process is not None:
            raise DeviceError(f"the emulated {self.board.id} is already running")
        harness = build_harness()
        if self._program is None:
            self._program = build_image(
                self.configuration,
                self.board,
                seed=self._seed,
                entropy_mode=self._entropy_mode,
                folder=self._folder,
            )
        if self._memory is None:
            self._memory = tempfile.TemporaryDirectory(prefix="nrl-edge-")
        try:
            self._launch(harness, self._program, Path(self._memory.name, "eeprom.bin"))
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Switch the emulated chip off and on: a new session and a fresh agent. The url changes."""
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End the emulator and forget the chip's EEPROM. Stopping twice is fine."""
        self._end_process()
        if self._memory is not None:
            self._memory.cleanup()
            self._memory = None

    def _launch(self, harness: Path, program: Path, eeprom: Path) -> None:
        self._errors = tempfile.TemporaryFile(prefix="nrl-edge-")  # noqa: SIM115
        try:
            # Its standard input is a pipe of ours, so that it ends with us whatever happens.
            self._process = subprocess.Popen(
                [str(harness), self._chip, str(self._clock_hz), str(program), str(eeprom)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # A terminal's Ctrl-C is for the host, which still has an episode to finish with the firmware.
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"cannot start {harness}: {error}") from error
        line = self._first_line(self._process)
        if not line.startswith(_ANNOUNCEMENT):
            written = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, 0)
            reason = written.decode("utf-8", "replace").strip() or "it said nothing"
            raise DeviceError(f"the emulated {self.board.id} did not start: {reason}")
        self._url = f"socket://{line.removeprefix(_ANNOUNCEMENT).strip()}"

    @staticmethod
    def _first_line(process: subprocess.Popen[bytes]) -> str:
        if process.stdout is None:
            return ""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(_START_SECONDS):
                return ""
        return process.stdout.readline().decode("utf-8", "replace")

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                # Closing its standard input ends it, and it then writes the EEPROM.
                output, _ = process.communicate(timeout=_STOP_SECONDS)
                words = output.split()
                if len(words) == 4:
                    self.cycles, self.stack_bytes = int(words[1]), int(words[3])
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
