"""Opens and closes ports: whatever pyserial can open, and what to do where it cannot."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Any

import serial

from nrl_edge.errors import DeviceError
from nrl_host.link.direct_port import DirectPort, direct

DEFAULT_BAUD = 115200
_WRITE_TIMEOUT_SECONDS = 5.0


class PortUnavailableError(DeviceError):
    """A port cannot be opened: it is not there, belongs to somebody else, or another program has it open."""


def open_port(url: str, *, baud: int = DEFAULT_BAUD, timeout: float = 0.5, reset_on_open: bool = True) -> Any:
    """Open whatever pyserial can open, for one program alone; `timeout` in seconds. Raises PortUnavailableError."""
    try:
        port = serial.serial_for_url(
            url,
            do_not_open=True,
            baudrate=baud,
            timeout=timeout,
            write_timeout=_WRITE_TIMEOUT_SECONDS,
            exclusive=True if os.name == "posix" else None,
        )
        if not reset_on_open:
            port.dtr = False
            port.rts = False
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise PortUnavailableError(f"cannot open {url}: {_why_not_open(url, error)}") from None
    plain_socket = getattr(port, "_socket", None)
    if isinstance(plain_socket, socket.socket):
        # A request is one small segment; waiting to fill a larger one would cost 40 ms a step.
        plain_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return direct(port)


def _why_not_open(url: str, error: Exception) -> str:
    """What kept a port from being opened, and what to do about it."""
    code = getattr(error, "errno", None)
    if "://" in url:
        if isinstance(error, ValueError):
            return f"{error}. A port is a name such as /dev/ttyACM0 or COM3, or a URL such as socket://127.0.0.1:5555"
        return f"{error}. Does a program listen there? `nrl-edge sim` starts firmware and finds it by itself"
    if code == errno.EACCES:
        return "you are not allowed to. `nrl-edge doctor` names the command that lets you (Permission denied)"
    if code == errno.ENOENT:
        return (
            "there is no such port. Is the board plugged in, with a cable that carries data? `nrl-edge ports` lists "
            "those that are there"
        )
    return (
        f"{error}. Does another program have it open, a run or a serial monitor? `nrl-edge doctor` looks for others "
        "that take ports"
    )


def close_port(port: Any) -> None:
    """Close a port of `open_port`. Closing twice is fine."""
    if isinstance(port, DirectPort):
        port = port.release()
    plain_socket = getattr(port, "_socket", None)
    if isinstance(plain_socket, socket.socket):
        # pyserial sleeps 0.3 s when it closes a socket, and leaks one whose peer has gone.
        with contextlib.suppress(OSError):
            plain_socket.shutdown(socket.SHUT_RDWR)
        plain_socket.close()
        port._socket = None
        port.is_open = False
    else:
        with contextlib.suppress(serial.SerialException, OSError):
            port.close()
