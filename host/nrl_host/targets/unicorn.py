"""The firmware of a board on a chip whose core is unicorn's: the image that the board would be flashed with."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board
from nrl_edge.errors import ConfigurationError, MissingToolError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.targets.emulated import CountingUnit, EmulatedTarget
from nrl_host.targets.process import FirmwareKeywords

_END_SECONDS = 30.0


class UnicornTarget(EmulatedTarget):
    """The firmware of one agent on a chip whose core is unicorn's, behind TCP on 127.0.0.1; see EmulatedTarget.

    The chip keeps its flash over a restart, and forgets it when it is stopped. `generator` is how its random number
    generator is: healthy, or sick in some way (`machines.generators`). With `options.profile` it counts instructions.
    """

    counting_unit: CountingUnit = "instructions"

    def __init__(
        self,
        configuration: AgentConfiguration,
        board: Board | str,
        entropy_mode: EntropyMode = "seeded",
        *,
        generator: str = "healthy",
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        super().__init__(configuration, board, entropy_mode, **firmware)
        words = shlex.split(self.board.emulator or "")
        if len(words) != 3 or words[:2] != ["unicorn", "-M"]:
            raise ConfigurationError(f"board {self.board.id!r} is not emulated by unicorn; see `nrl-edge boards`")
        self._chip = words[2]
        self._generator = generator
        self._memory: tempfile.TemporaryDirectory[str] | None = None
        self.bits_read = 0
        """Bits that the chip's generator had given when it was last stopped."""

    def start(self) -> None:
        """As every target; raises MissingToolError, before anything is built, where unicorn is not installed."""
        if importlib.util.find_spec("unicorn") is None:
            raise MissingToolError(
                f"the Python package unicorn, which emulates board {self.board.id!r}, is not installed; install it "
                "with: pip install 'nrl-edge[unicorn]'"
            )
        super().start()

    def stop(self) -> None:
        """End the emulator and forget the chip's flash. Stopping twice is fine."""
        super().stop()
        if self._memory is not None:
            self._memory.cleanup()
            self._memory = None

    def _launch(self, program: Path) -> str:
        if self._memory is None:
            self._memory = tempfile.TemporaryDirectory(prefix="nrl-edge-")
        flash = Path(self._memory.name, "flash.bin")
        self._spawn(
            [
                *(sys.executable, "-m", "nrl_host.targets.machines", self._chip, str(program)),
                *("--flash", str(flash), "--seed", str(self._seed), "--generator", self._generator),
                *(("--count",) if self._options.profile != "off" else ()),
            ],
            dies_with_us=True,
        )
        return f"socket://{self._announced_place()}"

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> bytes:
        # It looks at its standard input now and then; a busy computer takes its time.
        output, _ = process.communicate(timeout=_END_SECONDS)
        words = output.split()
        if len(words) == 2 and words[0] == b"bits":
            self.bits_read = int(words[1])
        return output
