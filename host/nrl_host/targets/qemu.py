"""The firmware of a board in QEMU: the image that the board would be flashed with, behind TCP on 127.0.0.1."""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board
from nrl_edge.errors import ConfigurationError, DeviceError, MissingToolError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.debian_packages import EMULATOR_PACKAGES
from nrl_host.targets.emulated import CountingUnit, EmulatedTarget
from nrl_host.targets.process import STOP_SECONDS, FirmwareKeywords

_START_SECONDS = 20.0
# Each instruction takes 64 ns: what an emulated generator gives does not depend on how busy this computer is, and equal
# seeds give equal numbers. A third of the speed, so only where it matters.
_REPEATABLE_SHIFT = 6
# Ticks of a counter at the core's clock in the time of an instruction, at least, where instructions are counted: enough
# for sums of a few readings to be told from those with one instruction more.
_TICKS_PER_INSTRUCTION = 8
_ANSWER = b'{"return"'


def _loading(program: Path) -> tuple[str, str]:
    """How QEMU is told of an image: it takes ELF for a kernel, and Intel HEX as what is written into memory."""
    if program.suffix == ".hex":
        return "-device", f"loader,file={str(program).replace(',', ',,')}"
    return "-kernel", str(program)


class QemuTarget(EmulatedTarget):
    """The firmware of one agent in QEMU, with the machine that its board names as `emulator`; see EmulatedTarget.

    `program` may also be in Intel HEX, as debug probes get it. `seed` also fixes what an emulated hardware generator
    gives, so that runs of a target made for `raw` mode repeat.
    With `options.profile` the machine's time goes by instructions, of which the firmware's counter makes
    `counts_per_instruction` each.
    """

    counting_unit: CountingUnit = "instructions"

    def __init__(
        self,
        configuration: AgentConfiguration,
        board: Board | str,
        entropy_mode: EntropyMode = "seeded",
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        super().__init__(configuration, board, entropy_mode, **firmware)
        # An instruction takes 2^shift ns of the machine's time.
        self._shift = _REPEATABLE_SHIFT if entropy_mode == "raw" else None
        self.counts_per_instruction = 1.0
        if self._options.profile != "off":
            self._shift = 0
            # On RISC-V the counter counts instructions itself; others count clocks of the core, by the machine's time.
            if self.board.isa != "rv32imc" and self.board.clock is not None:
                per_nanosecond = self.board.clock.hz / 1e9
                while per_nanosecond * 2**self._shift < _TICKS_PER_INSTRUCTION:
                    self._shift += 1
                self.counts_per_instruction = per_nanosecond * 2**self._shift
        self._command = shlex.split(self.board.emulator or "")
        if not self._command or self._command[0] not in EMULATOR_PACKAGES:
            raise ConfigurationError(f"board {self.board.id!r} is not emulated by QEMU; see `nrl-edge boards`")

    def start(self) -> None:
        """As every target; raises MissingToolError, before anything is built, where QEMU is not installed."""
        if shutil.which(self._command[0]) is None:
            raise MissingToolError(
                f"{self._command[0]} is not installed, which emulates board {self.board.id!r}; install it, on Debian "
                f"and Ubuntu with: apt-get install {EMULATOR_PACKAGES[self._command[0]]}"
            )
        super().start()

    def restart(self) -> None:
        """Switch the firmware off and on. Flash keeps what the weight store wrote: only the machine restarts."""
        if self._options.save_every == 0:
            super().restart()
        elif not self._control(b'{"execute": "system_reset"}\n'):
            raise DeviceError(f"{self._name} did not restart; run it again")

    def _launch(self, program: Path) -> str:
        # QEMU inherits a socket that listens already: no port is guessed, and none can be lost to another program.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            command = [
                *self._command,
                *(("-icount", f"shift={self._shift}") if self._shift is not None else ()),
                *("-display", "none", "-nodefaults", "-monitor", "none", "-qmp", "stdio"),
                *_loading(program),
                # QEMU sends each byte as it comes: without nodelay the system would hold them back for 40 ms.
                *("-chardev", f"socket,id=link,fd={listener.fileno()},server=on,wait=off,nodelay=on"),
                *("-serial", "chardev:link"),
                *("-seed", str(self._seed)),
            ]
            self._spawn(command, [listener.fileno()], dies_with_us=True)
        # It greets early, but answers only once the image is loaded.
        if not self._control(b'{"execute": "qmp_capabilities"}\n'):
            reason = self.error_output().strip() or "it said nothing"
            raise DeviceError(f"{shlex.join(self._command)} did not start: {reason}")
        return f"socket://127.0.0.1:{port}"

    def _control(self, command: bytes) -> bool:
        """Give QEMU a command of its control protocol. True once it has answered."""
        commands, answers = self.process.stdin, self.process.stdout
        if commands is None or answers is None:
            return False
        try:
            commands.write(command)
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

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> bytes:
        # QEMU does not mind that its standard input closes.
        process.terminate()
        output, _ = process.communicate(timeout=STOP_SECONDS)
        return output
