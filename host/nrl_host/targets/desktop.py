"""The firmware as a process on this machine: the same sources as on a board, with the desktop port."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from nrl_edge.agent import EntropyMode
from nrl_edge.errors import DeviceError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.toolchain import build_image

Transport = Literal["tcp", "pty"]

_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_SANITIZE_FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
_ANNOUNCEMENT = "listening on "


def build_desktop_firmware(
    configuration: AgentConfiguration,
    *,
    seed: int = 0,
    entropy_mode: EntropyMode = "seeded",
    sanitize: bool = False,
    folder: Path | None = None,
) -> Path:
    """Render and compile the firmware and return the program.

    With `folder` sources and program are put there; without, the program comes from the user's cache of builds and is
    compiled only once. Raises MissingToolError where there is no C compiler.
    """
    flags = _SANITIZE_FLAGS if sanitize else ()
    return build_image(configuration, "desktop", seed=seed, entropy_mode=entropy_mode, folder=folder, extra_flags=flags)


class DesktopTarget:
    """The firmware of one agent in a process, behind TCP on 127.0.0.1 or a pseudo terminal.

    `seed` and `entropy_mode` are what the firmware starts with at power-on. `folder` takes the generated sources and
    the program; without one, the program is kept in the user's cache of builds. `program` is firmware that was built
    already. `sanitize` builds with the address and undefined-behaviour sanitizers.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        entropy_mode: EntropyMode = "seeded",
        *,
        seed: int = 0,
        transport: Transport = "tcp",
        sanitize: bool = False,
        folder: Path | None = None,
        program: Path | None = None,
    ) -> None:
        self.configuration = configuration
        self._entropy_mode = entropy_mode
        self._seed = seed
        self._transport = transport
        self._sanitize = sanitize
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
            raise DeviceError("the desktop firmware is not running: start the target first")
        return self._url

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running firmware."""
        if self._process is None:
            raise DeviceError("the desktop firmware is not running: start the target first")
        return self._process

    def __enter__(self) -> DesktopTarget:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build the firmware where that has not been done yet, start it and wait until it can be reached."""
        if self._process is not None:
            raise DeviceError("the desktop firmware is already running")
        try:
            if self._program is None:
                self._program = build_desktop_firmware(
                    self.configuration,
                    seed=self._seed,
                    entropy_mode=self._entropy_mode,
                    sanitize=self._sanitize,
                    folder=self._folder,
                )
            self._launch(self._program)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Switch the firmware off and on, as a reset does: a new session and a fresh agent. The url may change."""
        self._end_process()
        self.start()

    def stop(self) -> None:
        """End the process. Its error output can still be read."""
        self._end_process()

    def error_output(self) -> str:
        """What the firmware, running or the last to run, wrote to standard error so far."""
        if self._errors is not None:
            # pread: the firmware writes at the position of the same open file, which must stay where it is.
            written = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, 0)
            self._error_text = written.decode("utf-8", "replace")
        return self._error_text

    def _launch(self, program: Path) -> None:
        # A file, not a pipe: a sanitizer's report must never block the firmware.
        self._errors = tempfile.TemporaryFile(prefix="nrl-edge-")  # noqa: SIM115
        way = ["--tcp", "0"] if self._transport == "tcp" else ["--pty"]
        try:
            # Its standard input is a pipe of ours, so that it ends with us whatever happens.
            self._process = subprocess.Popen(
                [str(program), *way, "--watch-stdin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # A terminal's Ctrl-C is for the host, which still has an episode to finish with the firmware.
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"cannot start {program}: {error}") from error
        announcement = self._announcement()
        if not announcement.startswith(_ANNOUNCEMENT):
            reason = self.error_output().strip() or f"it said {announcement!r}"
            raise DeviceError(f"the desktop firmware did not start: {reason}")
        place = announcement.removeprefix(_ANNOUNCEMENT).strip()
        self._url = f"socket://{place}" if self._transport == "tcp" else place

    def _announcement(self) -> str:
        output = self.process.stdout
        if output is None:
            return ""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(_START_SECONDS):
                return ""
        return output.readline().decode("utf-8", "replace")

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._wait_for(process)
        if self._errors is not None:
            self.error_output()
            self._errors.close()
            self._errors = None

    @staticmethod
    def _wait_for(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
