"""Frames of the serial link: COBS with a 0x00 delimiter around header, payload and CRC-32 (docs/protocol.md)."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass

from cobs import cobs

from nrl_edge.codegen.messages import CRC_BYTES, LARGEST_FRAME, PLAIN_CRC_MESSAGES, load_message_table

_TABLE = load_message_table()
HEADER_BYTES = _TABLE.header_bytes
SMALLEST_FRAME = HEADER_BYTES + CRC_BYTES
FRAME_OVERHEAD = 2
"""What COBS and the delimiter add to a frame of any length: one code byte and one 0x00."""

_PLAIN_CRC_IDS = frozenset(_TABLE.by_name[name].id for name in PLAIN_CRC_MESSAGES)
_CRC_STARTS = tuple(0 if type_id in _PLAIN_CRC_IDS else _TABLE.table_hash for type_id in range(256))
_DELIMITER = b"\0"


@dataclass
class LinkCounters:
    """What the line did to one side of a link since it was opened."""

    frames_in: int = 0
    """Frames received with a good CRC."""
    frames_out: int = 0
    """Frames sent."""
    bad_crc: int = 0
    """Frames dropped for their CRC."""
    overlong: int = 0
    """Frames dropped because they were too long."""
    malformed: int = 0
    """Frames dropped for their COBS code or for being too short."""
    half_frames: int = 0
    """Frames dropped because their end did not come in time."""
    retries: int = 0
    """Requests that were sent again because no reply came in time."""
    unexpected: int = 0
    """Good frames that nobody waited for, such as a second reply to a request that was sent twice."""
    telemetry: int = 0
    """TELEMETRY messages received."""

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)


def encode_frame(content: bytes) -> bytes:
    """The bytes to send for `content` (header and payload): CRC, COBS and delimiter added."""
    crc = zlib.crc32(content, _CRC_STARTS[content[0]])
    coded: bytes = cobs.encode(content + crc.to_bytes(CRC_BYTES, "little"))
    return coded + _DELIMITER


class FrameDecoder:
    """Cuts a byte stream into frames and drops, and counts, whatever is not a whole frame with a good CRC."""

    def __init__(self, counters: LinkCounters) -> None:
        self._counters = counters
        self._half = b""
        self._dropping = False

    @property
    def half_frame(self) -> bytes:
        """The coded bytes of the frame whose end has not come yet. Byte 1, if there, is the type: it is never zero."""
        return self._half

    def feed(self, received: bytes) -> list[bytes]:
        """Take received bytes; returns the contents (header and payload) of the frames that they complete."""
        *coded_frames, half = (self._half + received).split(_DELIMITER)
        contents = []
        for coded in coded_frames:
            if self._dropping:
                self._dropping = False
            elif coded:
                content = self._decode(coded)
                if content is not None:
                    contents.append(content)
        if self._dropping:
            half = b""
        elif len(half) > LARGEST_FRAME + 1:
            self._counters.overlong += 1
            self._dropping = True
            half = b""
        self._half = half
        return contents

    def drop_half_frame(self) -> None:
        """Forget, and count, a half-received frame: its end did not come in time."""
        if self._half or self._dropping:
            self._counters.half_frames += 1
        self._half = b""
        self._dropping = False

    def _decode(self, coded: bytes) -> bytes | None:
        if len(coded) > LARGEST_FRAME + 1:
            self._counters.overlong += 1
            return None
        try:
            frame: bytes = cobs.decode(coded)
        except cobs.DecodeError:
            self._counters.malformed += 1
            return None
        if len(frame) < SMALLEST_FRAME:
            self._counters.malformed += 1
            return None
        content = frame[:-CRC_BYTES]
        if zlib.crc32(content, _CRC_STARTS[content[0]]) != int.from_bytes(frame[-CRC_BYTES:], "little"):
            self._counters.bad_crc += 1
            return None
        self._counters.frames_in += 1
        return content
