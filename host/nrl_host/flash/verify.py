"""Asks a board which firmware it runs."""

from __future__ import annotations

import time
from pathlib import Path

from nrl_edge.boards import Board
from nrl_edge.errors import DeviceError
from nrl_host.link import Link, open_port
from nrl_host.link import close_port as close
from nrl_host.link.ports import UsbId, find_port, list_ports
from nrl_host.uploaders import PORT_GROUP_ADVICE

_PORT_SECONDS = 10.0
_INTERVAL_SECONDS = 0.1


def usb_ids(board: Board) -> list[UsbId]:
    """The USB ids under which a board shows itself, as numbers."""
    texts = board.uart.usb_ids if board.uart is not None else ()
    return [(int(text[:4], 16), int(text[5:], 16)) for text in texts]


def locate_port(board: Board, timeout: float = 0.0) -> str | None:
    """The board's serial port by its USB ids, waiting `timeout` seconds for it; None where there is none.

    Raises DeviceError where several could be the board's.
    """
    deadline = time.monotonic() + timeout
    while not list_ports(usb_ids(board)):
        if time.monotonic() >= deadline:
            return None
        time.sleep(_INTERVAL_SECONDS)
    return find_port(usb_ids(board)).device


def check_port(port: str, baud: int) -> None:
    """Raises DeviceError, in words, where a port is not there, may not be used, or is in use."""
    if "://" in port:
        return
    try:
        close(open_port(port, baud=baud))
    except DeviceError as error:
        text = str(error)
        if "Permission denied" in text or "Access is denied" in text:
            raise DeviceError(f"{port} cannot be opened: {PORT_GROUP_ADVICE}") from None
        if "busy" in text or "exclusively lock" in text:
            raise DeviceError(
                f"{port} is in use by another program: close serial monitors and `nrl-edge hil`, then flash again"
            ) from None
        if not Path(port).exists():
            raise DeviceError(f"there is no port {port}: `nrl-edge ports` lists those that are there") from None
        raise


def running_build(port: str, baud: int, timeout: float) -> tuple[str, str] | None:
    """(board, build id in hexadecimal) of the firmware that answers at a port within `timeout` seconds, else None."""
    try:
        with Link(port, baud=baud, open_timeout=timeout) as link:
            return link.hello.board, link.hello.build_id.hex()
    except DeviceError:
        return None


def wait_for_port(board: Board) -> str | None:
    """The port of a board that has just been flashed: one on the chip's own USB comes only with the firmware."""
    return locate_port(board, _PORT_SECONDS)
