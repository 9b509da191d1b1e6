"""Reads and writes a port of pyserial by the system's own calls: pyserial is half of a round trip on the host.

Only what a link does often goes past pyserial; opening, settings, closing and every wait for room to write are its own.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any

import serial

_OWN = frozenset({"_port", "_file", "_poll"})


class DirectPort:
    """An open port of pyserial on POSIX; what it does not know is the port's.

    `read` and `write` keep what pyserial promises: a read returns when it has all that it was asked for or when the
    port's `timeout` is over, a write when everything is on its way. Both raise SerialException or OSError where the
    port has failed.
    """

    def __init__(self, port: Any, file: int) -> None:
        self._port = port
        self._file = file
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._port, name, value)

    def release(self) -> Any:
        """The port of pyserial. This one fails from now on: the number of its file may soon be another's."""
        self._file = -1
        return self._port

    def write(self, data: bytes) -> int:
        """Send data."""
        try:
            written = os.write(self._file, data)
        except BlockingIOError:
            written = 0
        if written < len(data):
            # The system has no room: pyserial waits for it, as long as its write_timeout says.
            self._port.write(data[written:])
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes: fewer only when the port's timeout is over."""
        timeout = self._port.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout
        received = b""
        while True:
            if not self._poll.poll(None if left is None else left * 1000.0):
                return received
            try:
                chunk = os.read(self._file, size - len(received))
            except BlockingIOError:
                chunk = None
            if chunk is not None:
                if not chunk:
                    raise serial.SerialException("the other end is gone: no bytes come where some were announced")
                if len(chunk) == size:
                    return chunk
                received += chunk
                if len(received) == size:
                    return received
            left = None if deadline is None else max(0.0, deadline - time.monotonic())


def direct(port: Any) -> Any:
    """The port, read and written directly where that is possible: serial devices, terminals and plain sockets."""
    if os.name != "posix" or not port.is_open:
        return port
    plain_socket = getattr(port, "_socket", None)
    if type(port).__module__ == "serial.urlhandler.protocol_socket" and isinstance(plain_socket, socket.socket):
        return DirectPort(port, plain_socket.fileno())
    if type(port) is serial.Serial and isinstance(port.fd, int):
        return DirectPort(port, port.fd)
    return port
