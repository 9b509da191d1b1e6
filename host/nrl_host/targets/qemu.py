"""The firmware of a board in QEMU: the image that the board would be flashed with, behind TCP on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, find_board
from nrl_edge.errors import ConfigurationError, DeviceError, MissingToolError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.toolchain import build_image

_START_SECONDS = 20.0
_STOP_SECONDS = 3.0
_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
# Each instruction takes 64 ns: what an emulated generator gives does not depend on how busy this computer is, and equal
# seeds give equal numbers. A third of the speed, so only where it matters.
_REPEATABLE_TIME = ("-icount", "shift=6")
_ANSWER = b'{"return"'


class QemuTarget:
    """The firmware of one agent in QEMU, with the machine that its board names as `emulator`.

    `board` is a board or the id of one. `seed` and `entropy_mode` are what the firmware starts with at power-on; `seed`
    also fixes what an emulated hardware generator gives, so that runs of a target made for `raw` mode repeat. `folder`
    takes the generated sources and the image; without one, the image is kept in the user's cache of builds. `program`
    is an image that was built already.
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
        self._command = shlex.split(self.board.emulator or "")
        if not self._command or self._command[0] not in _PACKAGES:
            raise ConfigurationError(f"board {self.board.id!r} is not emulated by QEMU; see `nrl-edge boards`")
        self._entropy_mode = entropy_mode
        self._seed = seed
        self._folder = folder
        self._program = program
        self._url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._error_text = ""

    @property
    def url(self) -> str:
        """The port to open while the target runs."""
        if self._process is None:
            raise DeviceError(f"the emulated {self.board.id} is not running: start the target first")
        return self._url

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running emulator."""
        if self._process is None:
            raise DeviceError(f"the emulated {self.board.id} is not running: start the target first")
        return self._process

    def __enter__(self) -> QemuTarget:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build the image where that has not been done yet, start it and wait until it can be reached.

        Raises MissingToolError without QEMU or the board's compiler, and DeviceError where QEMU does not start.
        """
        if self._process is not None:
            raise DeviceError(f"the emulated {self.board.id} is already running")
        if shutil.which(self._command[0]) is None:
            raise MissingToolError(
                f"{self._command[0]} is not installed, which emulates board {self.board.id!r}; install it, on Debian "
                f"and Ubuntu with: apt-get install {_PACKAGES[self._command[0]]}"
            )
        try:
            if self._program is None:
                self._program = build_image(
                    self.configuration,
                    self.board,
                    seed=self._seed,
                    entropy_mode=self._entropy_mode,
                    folder=self._folder,
                )
            self._launch(self._program)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Switch the emulated board off and on: a new session and a fresh agent. The url changes."""
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End the emulator. Its error output can still be read. Stopping twice is fine."""
        self._end_process()

    def error_output(self) -> str:
        """What the emulator, running or the last to run, wrote to standard error so far."""
        if self._errors is not None:
            self._error_text = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, 0).decode(
                "utf-8", "replace"
            )
        return self._error_text

    def _launch(self, program: Path) -> None:
        self._errors = tempfile.TemporaryFile(prefix="nrl-edge-")  # noqa: SIM115
        # QEMU inherits a socket that listens already: no port is guessed, and none can be lost to another program.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            command = [
                *self._command,
                *(_REPEATABLE_TIME if self._entropy_mode == "raw" else ()),
                *("-display", "none", "-nodefaults", "-monitor", "none", "-qmp", "stdio"),
                *("-kernel", str(program)),
                # QEMU sends each byte as it comes: without nodelay the system would hold them back for 40 ms.
                *("-chardev", f"socket,id=link,fd={listener.fileno()},server=on,wait=off,nodelay=on"),
                *("-serial", "chardev:link"),
                *("-seed", str(self._seed)),
            ]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    pass_fds=[listener.fileno()],
                    # A terminal's Ctrl-C is for the host, which still has an episode to finish with the firmware.
                    start_new_session=True,
                )
            except OSError as error:
                raise DeviceError(f"cannot start {self._command[0]}: {error}") from error
        if not self._answers():
            reason = self.error_output().strip() or "it said nothing"
            raise DeviceError(f"{shlex.join(self._command)} did not start: {reason}")
        self._url = f"socket://127.0.0.1:{port}"

    def _answers(self) -> bool:
        """Whether the control protocol answers: QEMU greets early, but answers only once the image is loaded."""
        commands, answers = self.process.stdin, self.process.stdout
        if commands is None or answers is None:
            return False
        try:
            commands.write(b'{"execute": "qmp_capabilities"}\n')
            commands.flush()
        except OSError:
            return False
        received = b""
        deadline = time.monotonic() + _START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            while selector.select(deadline - time.monotonic()):
                # Not through the buffer, which the selector cannot look into.
                part = os.read(answers.fileno(), 4096)
                received += part
                if _ANSWER in received:
                    return True
                if not part:
                    return False
        return False

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    # What was written for a process that has ended cannot be flushed any more.
                    with contextlib.suppress(OSError):
                        stream.close()
        if self._errors is not None:
            self.error_output()
            self._errors.close()
            self._errors = None
