"""The firmware of an AVR board in libsimavr, cycle for cycle: the image that the board would be flashed with."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_host.build.debian_packages import SIMAVR_PACKAGES
from nrl_host.targets.emulated import EmulatedTarget
from nrl_host.targets.process import FirmwareKeywords


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
            f"Ubuntu with: apt-get install {SIMAVR_PACKAGES} ({str(error).splitlines()[-1]})"
        ) from error


def _without_start_address(source: Path, target: Path) -> Path:
    """Copy an Intel HEX file without its records of types 3 and 5, of which simavr knows nothing; AVRs have no use
    for them."""
    lines = source.read_text(encoding="ascii").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if line[7:9] not in ("03", "05")), encoding="ascii")
    return target


class SimavrTarget(EmulatedTarget):
    """The firmware of one agent on an emulated AVR chip, behind TCP on 127.0.0.1; see EmulatedTarget.

    The chip keeps its EEPROM over a restart, and forgets it when it is stopped.

    With `boot_loader`, a file in Intel HEX, it is as an Arduino board fresh from the shop: nothing but the boot loader
    is in its flash, opening the line resets it, and what has been flashed over the line lasts until it is stopped or
    restarted. `terminal` puts the line behind a pseudo terminal, for programs that want a serial port.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        board: Board | str,
        entropy_mode: EntropyMode = "seeded",
        *,
        boot_loader: Path | None = None,
        terminal: bool = False,
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        super().__init__(configuration, board, entropy_mode, **firmware)
        words = shlex.split(self.board.emulator or "")
        if len(words) != 3 or words[:2] != ["simavr", "-m"] or self.board.clock is None:
            raise ConfigurationError(f"board {self.board.id!r} is not emulated by simavr; see `nrl-edge boards`")
        self._chip = words[2]
        self._clock_hz = self.board.clock.hz
        self._boot_loader = boot_loader
        self._terminal = terminal
        self._memory: tempfile.TemporaryDirectory[str] | None = None
        self.cycles = 0
        """Clock cycles that the chip had run when it was last stopped."""
        self.stack_bytes = 0
        """The most that was on its stack until then."""

    def stop(self) -> None:
        """End the emulator and forget the chip's EEPROM. Stopping twice is fine."""
        super().stop()
        if self._memory is not None:
            self._memory.cleanup()
            self._memory = None

    def _launch(self, program: Path) -> str:
        harness = build_harness()
        if self._memory is None:
            self._memory = tempfile.TemporaryDirectory(prefix="nrl-edge-")
        eeprom = Path(self._memory.name, "eeprom.bin")
        content = ["--image", str(program)]
        if self._boot_loader is not None:
            content = ["--boot", str(_without_start_address(self._boot_loader, Path(self._memory.name, "boot.hex")))]
        transport = ["--pty"] if self._terminal else []
        self._spawn([str(harness), self._chip, str(self._clock_hz), *content, "--eeprom", str(eeprom), *transport])
        place = self._announced_place()
        return place if self._terminal else f"socket://{place}"

    def _build(self) -> Path:
        # What a boot loader is to flash, its user builds.
        return self._boot_loader or super()._build()

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> bytes:
        output = super()._wait_for_end(process)
        words = output.split()
        if len(words) == 4:
            self.cycles, self.stack_bytes = int(words[1]), int(words[3])
        return output
