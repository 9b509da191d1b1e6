"""What emulators of boards share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, find_board
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.toolchain import build_image
from nrl_host.targets.process import FirmwareKeywords, ProcessTarget

CountingUnit = Literal["instructions", "cycles"]


class EmulatedTarget(ProcessTarget):
    """The firmware of one agent in the emulator of a board; see ProcessTarget. `board` is a board or the id of one."""

    counting_unit: CountingUnit = "cycles"
    """What the emulator is exact in: what firmware with `options.profile` counts there."""
    counts_per_instruction: float = 1.0
    """How many counts of the firmware's counter are one of that unit."""

    def __init__(
        self,
        configuration: AgentConfiguration,
        board: Board | str,
        entropy_mode: EntropyMode = "seeded",
        **firmware: Unpack[FirmwareKeywords],
    ) -> None:
        self.board = find_board(board) if isinstance(board, str) else board
        super().__init__(f"the emulated {self.board.id}", configuration, entropy_mode, **firmware)

    def _build(self) -> Path:
        return build_image(
            self.configuration,
            self.board,
            seed=self._seed,
            entropy_mode=self._entropy_mode,
            folder=self._folder,
            options=self._options,
        )
