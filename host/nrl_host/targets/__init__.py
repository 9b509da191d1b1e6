"""Where firmware runs: one class for each kind of place, all with the same interface."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Protocol, Unpack

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, find_board, load_boards
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.targets.machines.generators import BitSource
from nrl_host.targets.process import FirmwareKeywords


class Target(Protocol):
    """A place where firmware runs, reachable over a link. A context manager: running inside, stopped outside."""

    @property
    def url(self) -> str:
        """The port to open with `nrl_host.link.Link`, valid while the target runs."""
        ...

    def start(self) -> None:
        """Start the firmware. Raises DeviceError where it does not start."""
        ...

    def stop(self) -> None:
        """Stop the firmware. Stopping twice is fine."""
        ...

    def restart(self) -> None:
        """Switch the firmware off and on: a new session, and a fresh agent or that of its weight store.

        What non-volatile memory holds is kept until the target is stopped. The url may change.
        """
        ...

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_EMULATORS = {
    "qemu-system-arm": ("nrl_host.targets.qemu", "QemuTarget"),
    "qemu-system-riscv32": ("nrl_host.targets.qemu", "QemuTarget"),
    "simavr": ("nrl_host.targets.simavr", "SimavrTarget"),
    "unicorn": ("nrl_host.targets.unicorn", "UnicornTarget"),
}
"""Module and class of each emulator, by the first word of a board's `emulator`.

Each class is made with (configuration, board, entropy_mode, **firmware). The module is imported only when
it is needed: an emulator may be a Python package that is not installed.
"""


def make_target(
    board_id: str,
    configuration: AgentConfiguration,
    entropy_mode: EntropyMode = "seeded",
    *,
    generator: str = "healthy",
    **firmware: Unpack[FirmwareKeywords],
) -> Target:
    """The place on this computer where the firmware of a board runs: a process, or the board's emulator.

    `entropy_mode` is what the firmware starts with at power-on; `firmware` are FirmwareKeywords. `generator` makes the
    random number generator of a modelled chip sick (`machines.generators`). Raises ConfigurationError for a board
    without an emulator, and for a sick generator where the emulator has none to offer.
    """
    board = find_board(board_id)
    sick = {} if generator == "healthy" else _sick_generator(board, generator)
    if board.toolchain is None:
        from nrl_host.targets.desktop import DesktopTarget

        return DesktopTarget(configuration, entropy_mode, **firmware)
    emulator = board.emulator.split()[0] if board.emulator else None
    if emulator not in _EMULATORS:
        raise ConfigurationError(
            f"board {board.id!r} has no emulator here: run its firmware on the board, with `nrl-edge hil --port PORT`; "
            "`nrl-edge boards` tells which boards can be emulated"
        )
    module, name = _EMULATORS[emulator]
    target: Target = getattr(importlib.import_module(module), name)(
        configuration, board, entropy_mode, **sick, **firmware
    )
    return target


def _sick_generator(board: Board, generator: str) -> dict[str, str]:
    """The argument for a target whose generator can be made sick."""
    if board.emulator is None or board.emulator.split()[0] != "unicorn":
        able = [each.id for each in load_boards() if each.emulator is not None and each.emulator.startswith("unicorn ")]
        raise ConfigurationError(
            f"board {board.id!r} has no generator that could be made sick here; boards that have are {', '.join(able)}"
        )
    try:
        BitSource(generator, 0)
    except ValueError as error:
        raise ConfigurationError(f"{error}") from error
    return {"generator": generator}
