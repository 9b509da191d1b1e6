"""How the compiler is called for the firmware of a board: one place for builds here and for generated projects."""

from __future__ import annotations

from nrl_edge.boards import Board

CROSS_FLAGS = ("-std=c99", "-Os", "-g", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
FREESTANDING_FLAGS = ("-ffreestanding", "-nostdlib")
FREESTANDING_LIBRARIES = ("-lgcc",)
AVR_FLAGS = ('-DNRL_ROM_HEADER="nrl_port_rom.h"',)
"""Where the tables of the core find out that they stay in flash (nrl_rom.h)."""


def is_freestanding(board: Board) -> bool:
    """Whether the firmware of a board is built without a C library: all are, but AVR's and the desktop's."""
    return board.framework is None and board.toolchain in ("arm-none-eabi", "riscv64-unknown-elf")


def framework_flags(board: Board) -> tuple[str, ...]:
    """What the sources of a board's firmware need besides the flags of the framework that it is built with."""
    return AVR_FLAGS if board.isa == "avr" else ()


def build_flags(board: Board) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Flags for compiling and linking the firmware of a board at once, and the libraries behind its sources.

    Of a board with a framework, what the framework does not give.
    """
    if board.framework is not None:
        return framework_flags(board), ()
    if board.toolchain is None:
        return board.flags, ()
    if is_freestanding(board):
        return (*board.flags, *CROSS_FLAGS, *FREESTANDING_FLAGS), FREESTANDING_LIBRARIES
    return (*board.flags, *CROSS_FLAGS, *AVR_FLAGS), ()
