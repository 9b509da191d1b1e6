"""The cores that are counted, and the boards whose compiler flags they are counted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.flags import build_flags
from nrl_edge.errors import ConfigurationError
from nrl_host.build.toolchain import find_cross_compiler

Unit = Literal["cycles", "instructions"]


@dataclass(frozen=True)
class Core:
    """One processor core."""

    id: str
    name: str
    board_id: str
    """A board of the catalogue that has it: its flags are those that are counted."""
    unit: Unit
    """What its cost is told in; an AVR's cycles are the emulator's, an Arm's the published timings'."""
    origin: str
    """Where cycles come from, in a few words."""

    @property
    def board(self) -> Board:
        """The board of the catalogue."""
        return find_board(self.board_id)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the board's firmware, of which `libraries` are the rest."""
        return build_flags(self.board)[0]

    @property
    def libraries(self) -> tuple[str, ...]:
        """Libraries behind the sources."""
        return build_flags(self.board)[1]

    @property
    def compiler(self) -> str:
        """Name and version of the compiler, as it tells them itself."""
        assert self.board.toolchain is not None
        return find_cross_compiler(self.board.toolchain).version.splitlines()[0]


_TIMED = "instructions exact, cycles by the published timings at zero wait states"
CORES = (
    Core("m0plus", "Cortex-M0+", "pico", "cycles", _TIMED),
    Core("m3", "Cortex-M3", "mps2_an385", "cycles", _TIMED),
    Core("m4", "Cortex-M4", "mps2_an386", "cycles", _TIMED),
    Core("m7", "Cortex-M7", "mps2_an500", "instructions", "instructions exact"),
    Core("m33", "Cortex-M33", "mps2_an505", "instructions", "instructions exact"),
    Core("rv32", "RV32IMC", "riscv32_virt", "instructions", "instructions exact"),
    Core("avr", "AVR", "uno", "cycles", "cycles of libsimavr"),
)


def find_core(core_id: str) -> Core:
    """The core of an id. Raises ConfigurationError where there is none."""
    for core in CORES:
        if core.id == core_id:
            return core
    raise ConfigurationError(f"there is no core {core_id!r}; there are {', '.join(core.id for core in CORES)}")
