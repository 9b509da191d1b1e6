"""The line to a device: ports, frames, messages, and requests that arrive exactly once (docs/protocol.md)."""

from nrl_host.link.link import Link, RequestRefusedError, SessionLostError
from nrl_host.link.serial_port import DEFAULT_BAUD, PortUnavailableError, close_port, open_port

__all__ = [
    "DEFAULT_BAUD",
    "Link",
    "PortUnavailableError",
    "RequestRefusedError",
    "SessionLostError",
    "close_port",
    "open_port",
]
