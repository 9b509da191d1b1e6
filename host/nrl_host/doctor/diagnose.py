"""The whole examination."""

from __future__ import annotations

from collections.abc import Iterator

from nrl_edge.boards import find_board, load_boards
from nrl_host.doctor.check import Check, Machine
from nrl_host.doctor.serial_ports import port_checks
from nrl_host.doctor.software import compiler_checks, emulator_checks, flashing_checks, python_checks


def diagnose(board: str | None = None, machine: Machine = Machine()) -> Iterator[Check]:  # noqa: B008  immutable
    """Look at everything that nrl-edge uses, and yield one check after the other.

    What everybody needs counts as needed: Python, its packages, a C compiler, and that a board which is plugged in can
    be opened and is left alone. With `board` all that building, emulating and flashing for it takes counts as well.
    Raises ConfigurationError for an unknown board.
    """
    wanted = [] if board is None else [find_board(board)]
    boards = load_boards() if board is None else wanted
    yield from python_checks(machine, boards, wanted)
    yield from compiler_checks(machine, boards, wanted)
    yield from emulator_checks(machine, boards, wanted)
    yield from flashing_checks(machine, boards, wanted)
    yield from port_checks(machine, load_boards())
