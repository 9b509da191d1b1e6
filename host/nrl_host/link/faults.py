"""A line that loses, spoils, doubles and mixes up frames, as rates and a seed say: to see that nothing comes of it.

`FaultyLine` stands between a link and any open port. It works on whole frames, both ways, because frames are what a bad
line makes other frames of; the link sees bytes as ever. Faults are drawn from a generator of its own, so that a run
over a bad line can be repeated as far as the timing of the other side allows.

Wherever a port is named, `faulty://drop=0.1,seed=7@PORT` is that port behind such a line. pyserial's own
`serial_for_url` opens it, too, once this module has been imported.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import serial

from nrl_edge.errors import ConfigurationError

STALLED_FRAMES = 3
"""Frames that a stall swallows, each way."""
LONGEST_DELAY_FRAMES = 6
"""A frame that is late comes after so many later ones at most, and two at least."""
SCHEME = "faulty://"
_SCHEMES = "nrl_host.link.port_schemes"
_DELIMITER = 0

if _SCHEMES not in serial.protocol_handler_packages:
    serial.protocol_handler_packages.append(_SCHEMES)


@dataclass(frozen=True)
class LineFaults:
    """Which share of the frames suffers what; the rest goes through. Each direction draws for itself."""

    drop: float = 0.0
    """The frame does not arrive."""
    flip: float = 0.0
    """One bit of it is turned."""
    truncate: float = 0.0
    """Its end is missing, the delimiter too: it runs into the next."""
    duplicate: float = 0.0
    """It arrives twice."""
    reorder: float = 0.0
    """It arrives after the next one."""
    delay: float = 0.0
    """It arrives late, after two to six later ones: when it has long been sent again and answered."""
    garbage: float = 0.0
    """1 to 40 random bytes arrive before it."""
    stall: float = 0.0
    """It and the next two do not arrive."""
    seed: int = 0

    def __post_init__(self) -> None:
        rates = self.rates()
        if not all(0.0 <= rate <= 1.0 for rate in rates.values()) or sum(rates.values()) > 0.9:
            raise ConfigurationError(
                "line faults: rates are shares from 0 to 1, and 0.9 together at most, or nothing would get through"
            )
        if self.seed < 0:
            raise ConfigurationError(f"line faults: seed = {self.seed}: a whole number from 0 is needed")

    def rates(self) -> dict[str, float]:
        """The rates by kind."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "seed"}


def split_faulty_url(url: str) -> tuple[LineFaults, str]:
    """The faults and the port of `faulty://drop=0.1,seed=7@PORT`. Raises ConfigurationError where it is none."""
    rates, at, port = url.removeprefix(SCHEME).partition("@")
    if not url.startswith(SCHEME) or not at or not port:
        raise ConfigurationError(
            f"{url}: write faulty://RATES@PORT, as in faulty://drop=0.1,flip=0.05,seed=7@/dev/ttyACM0"
        )
    return parse_line_faults(rates), port


def faulty_url(port: str, faults: LineFaults) -> str:
    """`port` behind a line with these faults."""
    rates = ",".join(f"{name}={rate!r}" for name, rate in faults.rates().items() if rate)
    return f"{SCHEME}{rates + ',' if rates else ''}seed={faults.seed}@{port}"


def parse_line_faults(text: str) -> LineFaults:
    """Read `drop=0.1,flip=0.05,seed=7`. Raises ConfigurationError where a kind or a number is none."""
    kinds = [each.name for each in fields(LineFaults)]
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in kinds or name in values:
            raise ConfigurationError(
                f"faults of the line: {part.strip()!r}: give each of {', '.join(kinds)} at most once, as in "
                "drop=0.1,flip=0.05,seed=7"
            )
        try:
            values[name] = int(value) if name == "seed" else float(value)
        except ValueError:
            raise ConfigurationError(
                f"faults of the line: {part.strip()!r}: {value!r} is no number; a share from 0 to 1 is needed, of "
                "seed a whole number"
            ) from None
    return LineFaults(**values)


class _Direction:
    """One way of the line: bytes in, spoilt bytes out, a frame at a time."""

    def __init__(self, faults: LineFaults, seed: str, counts: dict[str, int]) -> None:
        self._random = random.Random(seed)
        self._rates = faults.rates()
        self._counts = counts
        self._part = bytearray()
        self._late: list[tuple[int, bytes]] = []
        """Frames that are held back, each with the number of frames that go before it."""
        self._stalled = 0

    def carry(self, data: bytes) -> bytes:
        """What arrives of these bytes, and of those that were held back."""
        arrived = bytearray()
        for byte in data:
            self._part.append(byte)
            if byte == _DELIMITER:
                frame = bytes(self._part)
                self._part.clear()
                # A delimiter alone only ends what was there before: there is nothing to lose in it.
                arrived += self._fate(frame) if len(frame) > 1 else frame
        return bytes(arrived)

    def _fate(self, frame: bytes) -> bytes:
        kind = self._draw()
        due = b"".join(late for left, late in self._late if left == 1)
        self._late = [(left - 1, late) for left, late in self._late if left > 1]
        if kind == "reorder":
            self._late.append((1, frame))
            return due
        if kind == "delay":
            self._late.append((self._random.randint(2, LONGEST_DELAY_FRAMES), frame))
            return due
        return self._spoil(kind, frame) + due

    def _draw(self) -> str | None:
        if self._stalled:
            self._stalled -= 1
            return "drop"
        drawn = self._random.random()
        for kind, rate in self._rates.items():
            if drawn < rate:
                self._counts[kind] += 1
                return kind
            drawn -= rate
        return None

    def _spoil(self, kind: str | None, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame) - 1)
        if kind == "stall":
            self._stalled = STALLED_FRAMES - 1
        if kind in ("drop", "stall"):
            return b""
        if kind == "flip":
            return frame[:at] + bytes([frame[at] ^ (1 << self._random.randrange(8))]) + frame[at + 1 :]
        if kind == "truncate":
            return frame[:at]
        if kind == "duplicate":
            return frame + frame
        if kind == "garbage":
            return self._random.randbytes(self._random.randrange(1, 41)) + frame
        return frame


class FaultyLine:
    """Wraps an open port of pyserial; what it does not know is the port's."""

    def __init__(self, port: Any, faults: LineFaults) -> None:
        self._port = port
        self.counts = dict.fromkeys(faults.rates(), 0)
        """Faults so far, by kind, both ways together."""
        self._out = _Direction(faults, f"{faults.seed} out", self.counts)
        self._in = _Direction(faults, f"{faults.seed} in", self.counts)
        self._arrived: deque[int] = deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    @property
    def timeout(self) -> float | None:
        """Seconds after which a read gives up."""
        timeout: float | None = self._port.timeout
        return timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._port.timeout = seconds

    def go_on_from(self, before: FaultyLine) -> None:
        """Take over the counts and the generators of the line that was here before; what was on its way is lost."""
        self.counts, self._out, self._in = before.counts, before._out, before._in

    def write(self, data: bytes) -> int:
        """Send what is left of the data."""
        arriving = self._out.carry(data)
        if arriving:
            self._port.write(arriving)
        return len(data)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of what arrived, or nothing when the port's time is over."""
        while not self._arrived:
            received = self._port.read(size)
            if not received:
                return b""
            self._arrived.extend(self._in.carry(received))
            if not self._arrived:
                size = 1  # a frame was lost or is not whole: whatever is next
        return bytes(self._arrived.popleft() for _ in range(min(size, len(self._arrived))))

    @property
    def in_waiting(self) -> int:
        """Bytes that a read would give without waiting, at least."""
        return len(self._arrived) or int(self._port.in_waiting)
