"""A serial line of so many baud in front of a port that knows none, such as a pseudo terminal.

The line's time is added up, not waited for. A request has arrived once its last bit is through, and so has a reply:
request and reply never overlap.
"""

from __future__ import annotations

from typing import Any

BITS_PER_BYTE = 10
"""Start bit, eight bits, stop bit."""


class PacedLine:
    """Wraps an open port of pyserial; what it does not know is the port's."""

    def __init__(self, port: Any, baud: int) -> None:
        self._port = port
        self._baud = baud
        self.bytes = 0
        """Carried so far, both ways together."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    @property
    def seconds(self) -> float:
        """That the line has been busy."""
        return self.bytes * BITS_PER_BYTE / self._baud

    def write(self, data: bytes) -> int:
        """Send data."""
        self.bytes += len(data)
        written: int = self._port.write(data)
        return written

    def read(self, size: int) -> bytes:
        """Up to `size` bytes."""
        received: bytes = self._port.read(size)
        self.bytes += len(received)
        return received
