"""What all places share in which firmware runs as a process of this computer: the firmware itself, or an emulator."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypedDict, Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.errors import DeviceError
from nrl_edge.fixedpoint.configuration import AgentConfiguration

_PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""
STOP_SECONDS = 3.0
"""How long a process may take to end before it is killed."""
ANNOUNCEMENT = "listening on "
"""How a program of ours begins the line that says where it can be reached."""
_START_SECONDS = 20.0


def _die_with_parent() -> None:
    # In the child, before it becomes the program: SIGKILL when the thread that started it is gone.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class FirmwareKeywords(TypedDict, total=False):
    """Keywords of every target: what firmware runs there."""

    seed: int
    """What the firmware starts with at power-on; 0 where none is given."""
    folder: Path | None
    """Takes the generated sources and the image; without one, the image is kept in the user's cache of builds."""
    program: Path | None
    """An image that was built already."""
    options: FirmwareOptions
    """What firmware that is still to be built has besides its agent."""


class ProcessTarget(ABC):
    """The firmware of one agent in a process that can be started, stopped and started again.

    `name` is what errors call it. `entropy_mode` is what the firmware starts with at power-on; `firmware` are
    FirmwareKeywords.
    """

    def __init__(
        self,
        name: str,
        configuration: AgentConfiguration,
        entropy_mode: EntropyMode,
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        self.configuration = configuration
        self._name = name
        self._entropy_mode = entropy_mode
        self._seed = firmware.get("seed", 0)
        self._folder = firmware.get("folder")
        self._program = firmware.get("program")
        self._options = firmware.get("options", PLAIN)
        self._url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._error_text = ""

    @abstractmethod
    def _build(self) -> Path:
        """Build the image."""

    @abstractmethod
    def _launch(self, program: Path) -> str:
        """Start the process with an image, wait until it can be reached, and return its url."""

    @property
    def url(self) -> str:
        """The port to open while the target runs."""
        if self._process is None:
            raise DeviceError(f"{self._name} is not running: start the target first")
        return self._url

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        if self._process is None:
            raise DeviceError(f"{self._name} is not running: start the target first")
        return self._process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build the image where that has not been done yet, start it and wait until it can be reached.

        Raises MissingToolError where a compiler or an emulator is not installed, DeviceError where it does not start.
        """
        if self._process is not None:
            raise DeviceError(f"{self._name} is already running")
        try:
            if self._program is None:
                self._program = self._build()
            self._url = self._launch(self._program)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Switch the firmware off and on: a new session, and a fresh agent or that of its weight store.

        The url may change.
        """
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End the process. Its error output can still be read. Stopping twice is fine."""
        self._end_process()

    def error_output(self) -> str:
        """What the process, running or the last to run, wrote to standard error so far."""
        if self._errors is not None:
            # pread: the process writes at the position of the same open file, which must stay where it is.
            written = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, 0)
            self._error_text = written.decode("utf-8", "replace")
        return self._error_text

    def _spawn(
        self, command: Sequence[str], inherited_files: Sequence[int] = (), *, dies_with_us: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a process with pipes to its standard input and output.

        With `dies_with_us` the system ends it when we are killed (on Linux); programs of ours see to that themselves.
        """
        # A file, not a pipe: what it writes to standard error must never block it.
        self._errors = tempfile.TemporaryFile(prefix="nrl-edge-")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=inherited_files,
                # A terminal's Ctrl-C is for the host, which still has an episode to finish with the firmware.
                start_new_session=True,
                preexec_fn=_die_with_parent if dies_with_us and sys.platform == "linux" else None,
            )
        except OSError as error:
            raise DeviceError(f"cannot start {command[0]}: {error}") from error
        return self._process

    def _announced_place(self) -> str:
        """Where a program of ours says, in its first line, that it listens. Raises DeviceError if it says otherwise."""
        output = self.process.stdout
        line = ""
        if output is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(output, selectors.EVENT_READ)
                if selector.select(_START_SECONDS):
                    line = output.readline().decode("utf-8", "replace")
        if not line.startswith(ANNOUNCEMENT):
            reason = self.error_output().strip() or f"it said {line!r}"
            raise DeviceError(f"{self._name} did not start: {reason}")
        return line.removeprefix(ANNOUNCEMENT).strip()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                self._wait_for_end(process)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if self._errors is not None:
            self.error_output()
            self._errors.close()
            self._errors = None

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> bytes:
        """Ask the process to end, and return what it still wrote. Raises TimeoutExpired where it does not end.

        Programs of ours end when their standard input closes, whatever becomes of us.
        """
        output, _ = process.communicate(timeout=STOP_SECONDS)
        return output
