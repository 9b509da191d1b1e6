"""The host's codec of the link messages, built at import from the table that also generates the firmware's header.

Every message is a named tuple: `MESSAGES["ACTION"]` has the fields `action` and `status`. Byte fields (u8[n], u8[]) are
`bytes`, text fields `str`, other arrays tuples of integers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from nrl_edge.codegen.messages import CRC_BYTES, Field, Message, load_message_table
from nrl_host.link.frames import FRAME_OVERHEAD, HEADER_BYTES

TABLE = load_message_table()

AGENT_STATES = ("not ready", "ready", "episode open")
"""Words for `agent_state`, at the index that messages carry."""
ACTION_EPISODE_ENDED = 255
ACTION_ENTROPY_FAILED = 1
ACTION_NOISE_WAITS = 2
ACTION_STORE_FAILED = 4
STEP_TERMINATED = 1
STEP_TRUNCATED = 2
NO_CLIP = 255

_FORMATS = {"u8": "B", "u16": "H", "u32": "I", "i16": "h", "i32": "i"}
_HEADER = "<" + "".join(_FORMATS[item.element] for item in TABLE.header)
_HEADER_VALUES = len(TABLE.header)


def _python_type(item: Field) -> Any:
    if item.element == "char":
        return str
    if item.count is None:
        return int
    return bytes if item.element == "u8" else tuple[int, ...]


def _named_tuple(message: Message) -> Any:
    # The functional form of NamedTuple is for literals as far as a type checker is concerned; here the table decides.
    make: Any = NamedTuple
    made = make(message.name, [(item.name, _python_type(item)) for item in message.fields])
    made.__doc__ = f"{message.name}: {message.text}"
    return made


MESSAGES: dict[str, Any] = {message.name: _named_tuple(message) for message in TABLE.messages}
"""The class of each message by its name."""

ERROR_TEXTS = {error.code: error.text for error in TABLE.errors}
ERROR_NAMES = {error.code: error.name for error in TABLE.errors}
ERROR_CODES = {error.name: error.code for error in TABLE.errors}
MESSAGE_NAMES = {message.id: message.name for message in TABLE.messages}


class MessageCodec:
    """Packs and unpacks one message for a network with a given number of inputs, and of numbers of an action.

    `pack_flat` and `unpack_flat` are the fast path: plain values in the order of the fields, arrays of integers spread
    out.
    """

    def __init__(self, message: Message, inputs: int, outputs: int = 0) -> None:
        self.message = message
        self.id = message.id
        self.name = message.name
        self.payload_bytes = message.payload_bytes(inputs, outputs)
        """Bytes of the payload without a trailing field."""
        self.coded_bytes = self.coded_length(0)
        """Bytes on the line, without a trailing field."""
        self._type = MESSAGES[message.name]
        self._trailing = message.trailing
        self._plan = [
            (item, item.count is not None and item.element not in ("char", "u8"), item.elements(inputs, outputs))
            for item in message.fields
            if not item.trailing
        ]
        self._struct = struct.Struct(_HEADER + "".join(self._format(item, count) for item, _, count in self._plan))
        self.pack_flat = self._struct.pack
        """pack_flat(type, sequence, session, *values) gives header and payload, without a trailing field."""

    @staticmethod
    def _format(item: Field, count: int) -> str:
        if item.count is None:
            return _FORMATS[item.element]
        return f"{count}s" if item.element in ("char", "u8") else f"{count}{_FORMATS[item.element]}"

    def coded_length(self, trailing_bytes: int) -> int:
        """Bytes on the line of this message with that many trailing bytes."""
        return HEADER_BYTES + self.payload_bytes + trailing_bytes + CRC_BYTES + FRAME_OVERHEAD

    def pack(self, sequence: int, session: int, message: Sequence[Any]) -> bytes:
        """Header and payload. Raises ValueError where a value does not fit its field."""
        values: list[Any] = []
        for (item, is_array, count), value in zip(self._plan, message, strict=False):
            if is_array:
                if len(value) != count:
                    raise ValueError(f"{self.name}.{item.name} has {len(value)} values, not {count}")
                values.extend(value)
            elif item.element == "char":
                values.append(self._fit(item, value.encode("ascii")))
            elif item.count is not None:
                if len(value) != item.count:
                    raise ValueError(f"{self.name}.{item.name} has {len(value)} bytes, not {item.count}")
                values.append(bytes(value))
            else:
                values.append(value)
        try:
            content = self._struct.pack(self.id, sequence, session, *values)
        except struct.error as error:
            raise ValueError(f"{self.name}: {error}") from None
        if self._trailing is not None:
            data = bytes(message[-1])
            if len(data) > self._trailing.maximum:
                raise ValueError(
                    f"{self.name}.{self._trailing.name} has {len(data)} bytes, over {self._trailing.maximum}"
                )
            content += data
        return content

    def _fit(self, item: Field, text: bytes) -> bytes:
        if not isinstance(item.count, int) or len(text) > item.count:
            raise ValueError(f"{self.name}.{item.name} is longer than {item.count} characters")
        return text

    def _text(self, item: Field, padded: bytes) -> str:
        text = padded.rstrip(b"\0").decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"{self.name}.{item.name} = {text!r} is not printable ASCII")
        return text

    def unpack_flat(self, content: bytes) -> tuple[Any, ...]:
        """Header and payload values, arrays of integers spread out. Raises ValueError for a wrong length."""
        if len(content) != self._struct.size:
            raise ValueError(f"{self.name} has {len(content)} bytes, not {self._struct.size}")
        return self._struct.unpack(content)

    def unpack(self, content: bytes) -> Any:
        """The message in `content` (header and payload).

        Raises ValueError for a wrong length, and for text that is not printable ASCII: it is shown on terminals.
        """
        size = self._struct.size
        if self._trailing is None:
            flat = self.unpack_flat(content)
        elif size <= len(content) <= size + self._trailing.maximum:
            flat = self._struct.unpack_from(content)
        else:
            raise ValueError(f"{self.name} has {len(content)} bytes, not {size} to {size + self._trailing.maximum}")
        values: list[Any] = []
        at = _HEADER_VALUES
        for item, is_array, count in self._plan:
            if is_array:
                values.append(flat[at : at + count])
                at += count
                continue
            value = flat[at]
            at += 1
            values.append(self._text(item, value) if item.element == "char" else value)
        if self._trailing is not None:
            values.append(content[size:])
        return self._type(*values)


class Codec:
    """The codecs of all messages for a network with a given number of inputs, and of numbers of a continuous action."""

    def __init__(self, inputs: int, outputs: int = 0) -> None:
        self.by_name = {message.name: MessageCodec(message, inputs, outputs) for message in TABLE.messages}
        self.by_id = {codec.id: codec for codec in self.by_name.values()}
        self.coded_bytes = {
            codec.id: codec.coded_bytes for codec in self.by_name.values() if not codec.message.trailing
        }
        """Bytes on the line of every message of fixed length, by id."""

    def of(self, message: Any) -> MessageCodec:
        """The codec of a message object."""
        return self.by_name[type(message).__name__]
