"""Which serial port is which board: by USB id from the catalogue, confirmed by what the firmware says of itself.

A port whose USB id no board of the catalogue has is never opened, and a board is never guessed: where several share a
USB id and no firmware answers, all of them are named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from nrl_edge.boards import Board, load_boards
from nrl_edge.errors import DeviceError
from nrl_host.device import configuration_of
from nrl_host.link import DEFAULT_BAUD, Link, PortUnavailableError
from nrl_host.link.ports import PortInformation, UsbId, list_ports

CONFIRM_SECONDS = 3.0
"""How long a board may take to answer: most Arduino boards restart when their port is opened, and boot for 2 s."""

State = Literal["unlisted", "not opened", "unavailable", "silent", "confirmed"]
"""`unlisted`: no board has this USB id, and it was not opened; `not opened`: one may be there, and nobody asked;
`unavailable`: it cannot be opened; `silent`: no nrl_edge firmware answered; `confirmed`: one did."""


@dataclass(frozen=True)
class BoardPort:
    """One serial port, and what is known of the board behind it."""

    port: PortInformation
    candidates: tuple[str, ...]
    """Ids of the boards that have this USB id."""
    state: State
    board: str | None = None
    """Id of the board as its firmware says it, or the only candidate; None where it is open which one it is."""
    agent: str | None = None
    """Description of the agent in it, where its firmware answered."""
    episodes: int | None = None
    """Episodes of that agent's life."""
    detail: str = ""
    """Why it is unavailable or silent."""

    def as_dict(self) -> dict[str, Any]:
        """What is known, by name."""
        port = self.port
        return {
            "port": port.device,
            "description": port.description,
            "usb_id": usb_id_text(port.usb_id) if port.usb_id else None,
            "serial_number": port.serial_number,
            "state": self.state,
            "board": self.board,
            "candidates": list(self.candidates),
            "agent": self.agent,
            "episodes": self.episodes,
            "detail": self.detail,
        }


def usb_id_text(usb_id: UsbId) -> str:
    """A USB id as board files write it."""
    return f"{usb_id[0]:04x}:{usb_id[1]:04x}"


def boards_of(port: PortInformation | UsbId, boards: Sequence[Board]) -> tuple[str, ...]:
    """Ids of the boards that have the USB id of a port."""
    usb_id = port.usb_id if isinstance(port, PortInformation) else port
    if usb_id is None:
        return ()
    text = usb_id_text(usb_id)
    return tuple(board.id for board in boards if board.uart is not None and text in board.uart.usb_ids)


def find_boards(
    *,
    confirm: bool = True,
    ports: Collection[PortInformation] | None = None,
    boards: Sequence[Board] | None = None,
    timeout: float = CONFIRM_SECONDS,
) -> list[BoardPort]:
    """Every serial port of this machine (or those of `ports`), and the boards behind them.

    With `confirm`, ports that the catalogue lists are opened, DTR and RTS inactive, and given `timeout` seconds to say
    who is there. That restarts most Arduino boards all the same. Ports that another program has open are left alone.
    """
    boards = load_boards() if boards is None else boards
    found = list_ports() if ports is None else list(ports)
    if not found:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(found))) as pool:
        return list(pool.map(lambda port: _look_at(port, boards, confirm, timeout), found))


def _look_at(port: PortInformation, boards: Sequence[Board], confirm: bool, timeout: float) -> BoardPort:
    candidates = boards_of(port, boards)
    if not candidates:
        return BoardPort(port, (), "unlisted")
    only = candidates[0] if len(candidates) == 1 else None
    if not confirm:
        return BoardPort(port, candidates, "not opened", only)
    rates = {board.uart.baud if board.uart else DEFAULT_BAUD for board in boards if board.id in candidates}
    detail = ""
    for baud in sorted(rates):
        try:
            with Link(port.device, baud=baud, open_timeout=timeout, reset_on_open=False) as link:
                hello = link.hello
                try:
                    agent = configuration_of(link).description
                except DeviceError as error:
                    agent, detail = None, str(error)
                return BoardPort(port, candidates, "confirmed", hello.board, agent, hello.episodes, detail)
        except PortUnavailableError as error:
            return BoardPort(port, candidates, "unavailable", only, detail=str(error))
        except DeviceError as error:
            detail = str(error)
    return BoardPort(port, candidates, "silent", only, detail=detail)


@dataclass(frozen=True)
class PortEvent:
    """A port that came or went."""

    event: Literal["plugged", "unplugged"]
    board_port: BoardPort


def watch_boards(
    wait: Callable[[], bool],
    *,
    confirm: bool = True,
    find_ports: Callable[[], list[PortInformation]] = list_ports,
    boards: Sequence[Board] | None = None,
    timeout: float = CONFIRM_SECONDS,
) -> Iterator[PortEvent]:
    """Yield every port that is there as plugged, then what comes and goes, until `wait` returns True.

    `wait` is called between two looks; serial ports announce themselves on no system alike, so they are looked at.
    """
    known: dict[PortInformation, BoardPort] = {}
    while True:
        there = find_ports()
        for port in [port for port in known if port not in there]:
            yield PortEvent("unplugged", known.pop(port))
        new = [port for port in there if port not in known]
        for board_port in find_boards(confirm=confirm, ports=new, boards=boards, timeout=timeout):
            known[board_port.port] = board_port
            yield PortEvent("plugged", board_port)
        if wait():
            return
