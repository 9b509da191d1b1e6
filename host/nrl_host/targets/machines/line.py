"""The far end of a modelled chip's serial line: one TCP peer after the other."""

from __future__ import annotations

import os
import select
import socket
import sys


class TcpLine:
    """Listens on a free port of 127.0.0.1. It is over when standard input closes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._peer: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def receive(self, seconds: float) -> bytes | None:
        """What has come, after waiting at most so long for it; None: it is over."""
        line = self._peer or self._listener
        readable, _, _ = select.select([line, sys.stdin], [], [], seconds)
        if sys.stdin in readable and not os.read(sys.stdin.fileno(), 64):
            return None
        if line not in readable:
            return b""
        if self._peer is None:
            self._peer, _ = self._listener.accept()
            # A reply is one small segment; waiting to fill a larger one would cost 40 ms a step.
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            received = self._peer.recv(4096)
        except OSError:
            received = b""
        if not received:
            self._close()
        return received

    def send(self, data: bytes) -> None:
        """To the peer; lost where there is none."""
        try:
            if self._peer is not None:
                self._peer.sendall(data)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = None
