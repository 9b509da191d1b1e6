"""Serial ports: which are there, which one is the board, and what slows it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports as serial_list_ports

from nrl_edge.errors import DeviceError

UsbId = tuple[int, int]
"""USB vendor id and product id."""

FAST_LATENCY_MS = 1
"""Latency timer of an FTDI adapter that holds replies back no longer than needed."""
_LATENCY_FOLDER = Path("/sys/bus/usb-serial/devices")


@dataclass(frozen=True)
class PortInformation:
    """One serial port of this machine."""

    device: str
    """What to open, such as /dev/ttyACM0 or COM3."""
    description: str
    usb_id: UsbId | None
    """Vendor and product id of a USB port, None for any other port."""
    serial_number: str | None
    """USB serial number: it stays the same when the port comes back under another name."""

    def __str__(self) -> str:
        usb = f" {self.usb_id[0]:04x}:{self.usb_id[1]:04x}" if self.usb_id else ""
        serial_number = f" serial number {self.serial_number}" if self.serial_number else ""
        return f"{self.device} ({self.description}{usb}{serial_number})"


def list_ports(usb_ids: Collection[UsbId] | None = None) -> list[PortInformation]:
    """The serial ports of this machine, by name; with `usb_ids` only those of boards with these USB ids."""
    found = []
    for port in serial_list_ports.comports():
        usb_id = (port.vid, port.pid) if port.vid is not None and port.pid is not None else None
        if usb_ids is None or usb_id in usb_ids:
            found.append(PortInformation(port.device, port.description or "", usb_id, port.serial_number or None))
    return sorted(found, key=lambda port: port.device)


def find_port(usb_ids: Collection[UsbId], serial_number: str | None = None) -> PortInformation:
    """The one port with one of these USB ids and, if given, this USB serial number.

    No port is opened. Raises DeviceError that lists the candidates where there is none, or more than one.
    """
    candidates = list_ports(usb_ids)
    if serial_number is not None:
        candidates = [port for port in candidates if port.serial_number == serial_number]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise DeviceError(
            f"{len(candidates)} ports could be the board: {'; '.join(map(str, candidates))}. Name one with --port"
        )
    others = list_ports()
    there = f"There are: {'; '.join(map(str, others))}" if others else "There is no serial port at all"
    wanted = f" with serial number {serial_number}" if serial_number is not None else ""
    raise DeviceError(
        f"no port with the board's USB ids{wanted} was found. {there}. Plug the board in with a cable that carries "
        "data, or name its port with --port"
    )


def wait_for_port(
    usb_ids: Collection[UsbId], serial_number: str | None, timeout: float, interval: float = 0.1
) -> PortInformation:
    """Wait until a board is back after a reset, maybe under another name; `timeout` and `interval` in seconds.

    Raises DeviceError as `find_port` does when the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return find_port(usb_ids, serial_number)
        except DeviceError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(interval)


def usb_locator(device: str) -> Callable[[], str] | None:
    """Finds a USB adapter again that comes back under another name; None where `device` is none, or has no number.

    To be made while the adapter is there. The function raises DeviceError while it is not.
    """
    known = next((port for port in list_ports() if port.device == device), None)
    if known is None or known.usb_id is None or known.serial_number is None:
        return None
    usb_id, serial_number = known.usb_id, known.serial_number
    return lambda: find_port([usb_id], serial_number).device


def latency_timer_ms(device: str) -> int | None:
    """How long a USB adapter (FTDI) holds back bytes, in milliseconds; None where the system does not tell."""
    path = _LATENCY_FOLDER / Path(device).name / "latency_timer"
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def latency_hint(device: str) -> str | None:
    """What to do about an adapter that makes every round trip slow; None where there is nothing to do."""
    latency = latency_timer_ms(device)
    if latency is None or latency <= FAST_LATENCY_MS:
        return None
    path = _LATENCY_FOLDER / Path(device).name / "latency_timer"
    return (
        f"{device}: the adapter holds every reply back for up to {latency} ms. Set its latency timer to 1 ms: "
        f"echo 1 | sudo tee {path}"
    )
