"""Peers that are no device, and a line that loses, spoils and doubles bytes on the way to one that is."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server on a free port; `serve` has the one connection until it returns. Gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def silent(connection: socket.socket) -> None:
    """Reads and says nothing."""
    while connection.recv(4096):
        pass


def closing(connection: socket.socket) -> None:
    """Closes as soon as anything comes."""
    connection.recv(1)


def answering(answer: Callable[[bytes], bytes]) -> Callable[[socket.socket], None]:
    """Answers whatever comes."""

    def serve(connection: socket.socket) -> None:
        while received := connection.recv(4096):
            connection.sendall(answer(received))

    return serve


class FaultyPort:
    """Wraps an open port; a share of writes and reads is lost, spoilt, doubled or cut, as `seed` decides."""

    def __init__(self, port: Any, seed: int, share: float) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._share = share
        self.faults = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def _spoil(self, data: bytes) -> bytes:
        if not data or self._random.random() >= self._share:
            return data
        self.faults += 1
        kind = self._random.choice(["lost", "cut", "flip", "double", "noise"])
        at = self._random.randrange(len(data))
        if kind == "lost":
            return b""
        if kind == "cut":
            return data[:at] + data[at + 1 :]
        if kind == "flip":
            return data[:at] + bytes([data[at] ^ (1 << self._random.randrange(8))]) + data[at + 1 :]
        if kind == "double":
            return data + data
        return data[:at] + self._random.randbytes(5) + data[at:]

    def write(self, data: bytes) -> None:
        spoilt = self._spoil(data)
        if spoilt:
            self._port.write(spoilt)

    def read(self, size: int) -> bytes:
        return self._spoil(self._port.read(size))
