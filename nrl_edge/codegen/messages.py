"""The message table of the serial link: loaded, checked, hashed, and turned into the firmware's header and the docs.

`firmware_templates/messages.toml` is the only description of a message. The host's codec (`nrl_host.link.messages`) is
built from the same table.
"""

from __future__ import annotations

import json
import re
import tomllib
import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

from nrl_edge.codegen.render import render_template
from nrl_edge.errors import ConfigurationError
from nrl_edge.resources import templates_folder

MessageClass = Literal["request", "reply", "lossy"]

CRC_BYTES = 4
LARGEST_FRAME = 254
"""Bytes of the longest frame of any device, CRC included. Up to this length COBS adds exactly one byte."""
PLAIN_CRC_MESSAGES = ("HELLO", "HELLO_REPLY")
"""Messages whose CRC starts at 0 instead of the table hash, so that two builds that disagree can say so."""

FIRST_LOSSY_ID, FIRST_REPLY_ID, LAST_ID = 0x40, 0x80, 0xFF

_TYPE = re.compile(r"(?P<element>u8|u16|u32|i16|i32|char)(\[(?P<count>\d*|inputs|outputs)\])?")
_ELEMENT_BYTES = {"u8": 1, "char": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4}
_C_TYPES = {"u8": "uint8_t", "char": "char", "u16": "uint16_t", "i16": "int16_t", "u32": "uint32_t", "i32": "int32_t"}


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    name: str
    type: str
    """As written in the table, for example `i16[inputs]`."""
    text: str
    element: str
    """Type of one element: u8, u16, u32, i16, i32 or char."""
    count: int | Literal["inputs", "outputs", "trailing"] | None
    """Number of elements of an array; None for a single value."""
    maximum: int
    """Largest number of bytes of a trailing field, 0 for all others."""

    @property
    def trailing(self) -> bool:
        """True for bytes that reach to the end of the payload."""
        return self.count == "trailing"

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return _ELEMENT_BYTES[self.element]

    def elements(self, inputs: int, outputs: int) -> int:
        """Number of elements for a network of that many inputs and numbers of an action, 1 of a single value."""
        if self.count == "inputs":
            return inputs
        if self.count == "outputs":
            return outputs
        return 1 if self.count is None else cast(int, self.count)

    def byte_count(self, inputs: int, outputs: int = 0) -> int:
        """Bytes of this field in a payload, 0 for a trailing field."""
        if self.trailing:
            return 0
        return self.element_bytes * self.elements(inputs, outputs)

    @property
    def c_type(self) -> str:
        """C type of one element."""
        return _C_TYPES[self.element]

    @property
    def c_count(self) -> str:
        """Number of elements as a C expression, empty for a single value."""
        if self.count is None:
            return ""
        return {"inputs": "NRL_INPUTS", "outputs": "NRL_OUTPUTS"}.get(str(self.count), str(self.count))

    @property
    def c_short(self) -> str:
        """The name that the generated put and get functions use for the element's width: u8, u16, u32, i16, i32."""
        return "u8" if self.element == "char" else self.element


def c_size(fields: tuple[Field, ...]) -> str:
    """Bytes of some fields, without a trailing one, as a C expression."""
    fixed = sum(item.byte_count(0) for item in fields if item.count not in ("inputs", "outputs"))
    sized = [f"{item.element_bytes}u * {item.c_count}" for item in fields if item.count in ("inputs", "outputs")]
    return " + ".join([*([f"{fixed}u"] if fixed or not sized else []), *sized])


def c_layout(fields: tuple[Field, ...]) -> list[tuple[Field, str]]:
    """Each field with where it is: `payload` plus its offset, as a C expression."""
    offsets = [c_size(fields[:index]) for index in range(len(fields))]
    return [
        (
            item,
            "payload" if offset == "0u" else f"payload + {offset.replace('u', '') if offset.endswith('u') else offset}",
        )
        for item, offset in zip(fields, offsets, strict=True)
    ]


@dataclass(frozen=True)
class Message:
    """One message of the table."""

    name: str
    id: int
    message_class: MessageClass
    reply: str
    """Name of the reply that a request gets, empty for all others."""
    text: str
    fields: tuple[Field, ...]
    protected: bool = False
    """A request that a device with a key takes only after AUTHORIZE."""

    def payload_bytes(self, inputs: int, outputs: int = 0) -> int:
        """Bytes of the payload for a network of that many inputs and numbers of an action, without a trailing field."""
        return sum(item.byte_count(inputs, outputs) for item in self.fields)

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError where there is none."""
        return {item.name: item for item in self.fields}[name]

    @property
    def trailing(self) -> Field | None:
        """The trailing field, if it has one."""
        return self.fields[-1] if self.fields and self.fields[-1].trailing else None

    @property
    def lower(self) -> str:
        """The name as C functions and types carry it."""
        return self.name.lower()

    @property
    def c_bytes(self) -> str:
        """Bytes of the payload without a trailing field, as a C expression."""
        return c_size(self.fields)

    @property
    def c_largest_bytes(self) -> str:
        """Bytes of the largest payload that this firmware takes or sends, as a C expression."""
        suffix = "LARGEST_BYTES" if self.trailing else "BYTES"
        return f"NRL_{self.name}_{suffix}"


@dataclass(frozen=True)
class ErrorCode:
    """Why a device refuses a request."""

    name: str
    code: int
    text: str
    """One sentence; may contain {detail} and {request}."""


@dataclass(frozen=True)
class MessageTable:
    """The checked table."""

    protocol_min: int
    protocol_max: int
    header: tuple[Field, ...]
    messages: tuple[Message, ...]
    errors: tuple[ErrorCode, ...]

    @cached_property
    def by_name(self) -> dict[str, Message]:
        """The messages by name."""
        return {message.name: message for message in self.messages}

    @cached_property
    def canonical(self) -> str:
        """Everything that both sides must agree on, in one fixed form: texts, comments and order do not matter."""

        def shape(fields: tuple[Field, ...]) -> list[list[str | int]]:
            return [[item.name, item.type, item.maximum] for item in fields]

        content = {
            "protocol": [self.protocol_min, self.protocol_max],
            "header": shape(self.header),
            "messages": [
                [
                    *(message.id, message.name, message.message_class, message.reply, message.protected),
                    shape(message.fields),
                ]
                for message in sorted(self.messages, key=lambda message: message.id)
            ],
            "errors": sorted([error.code, error.name] for error in self.errors),
        }
        return json.dumps(content, separators=(",", ":"), sort_keys=True)

    @cached_property
    def table_hash(self) -> int:
        """CRC-32 of the canonical form: the start value of every frame's CRC but HELLO's."""
        return zlib.crc32(self.canonical.encode("ascii"))

    @property
    def header_bytes(self) -> int:
        """Bytes of a frame's header."""
        return sum(item.byte_count(0) for item in self.header)


def _field(entry: dict[str, Any], where: str) -> Field:
    unknown = set(entry) - {"name", "type", "text", "maximum"}
    name, kind = str(entry.get("name", "")), str(entry.get("type", ""))
    match = _TYPE.fullmatch(kind)
    if unknown or match is None or not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not entry.get("text"):
        raise ConfigurationError(f"message table: {where}: {entry} is no field; needed are name, type and text")
    written = match["count"]
    count: int | Literal["inputs", "outputs", "trailing"] | None
    if written is None:
        count = None
    elif written == "inputs" or written == "outputs":
        count = cast(Literal["inputs", "outputs"], written)
    elif written == "":
        count = "trailing"
    else:
        count = int(written)
    maximum = int(entry.get("maximum", 0))
    if (count == "trailing") != (maximum > 0) or (count == "trailing" and match["element"] != "u8"):
        raise ConfigurationError(f"message table: {where}.{name}: u8[] needs a maximum, and only u8[] has one")
    if match["element"] == "char" and not isinstance(count, int):
        raise ConfigurationError(f"message table: {where}.{name}: text needs a length, as in char[16]")
    if count == 0:
        raise ConfigurationError(f"message table: {where}.{name}: an array needs at least one element")
    return Field(name, kind, str(entry["text"]), match["element"], count, maximum)


def _fields(entries: list[dict[str, Any]], where: str) -> tuple[Field, ...]:
    fields = tuple(_field(entry, where) for entry in entries)
    if len({item.name for item in fields}) != len(fields):
        raise ConfigurationError(f"message table: {where}: a field name is used twice")
    if any(item.trailing for item in fields[:-1]):
        raise ConfigurationError(f"message table: {where}: only the last field may be u8[]")
    if any(item.count == "outputs" for item in fields[:-1]):
        raise ConfigurationError(f"message table: {where}: only the last field may be sized by the outputs")
    return fields


def parse_message_table(text: str) -> MessageTable:
    """Read and check a message table in TOML. Raises ConfigurationError that names the wrong entry."""
    data = tomllib.loads(text)
    messages = tuple(
        Message(
            name=str(entry["name"]),
            id=int(entry["id"]),
            message_class=entry["class"],
            reply=str(entry.get("reply", "")),
            text=str(entry["text"]),
            fields=_fields(entry["fields"], str(entry["name"])),
            protected=bool(entry.get("protected", False)),
        )
        for entry in data["message"]
    )
    errors = tuple(ErrorCode(str(entry["name"]), int(entry["code"]), str(entry["text"])) for entry in data["error"])
    table = MessageTable(
        int(data["protocol_min"]), int(data["protocol_max"]), _fields(data["header"], "header"), messages, errors
    )
    ranges = {
        "request": range(1, FIRST_LOSSY_ID),
        "lossy": range(FIRST_LOSSY_ID, FIRST_REPLY_ID),
        "reply": range(FIRST_REPLY_ID, LAST_ID + 1),
    }
    if len(table.by_name) != len(messages) or len({message.id for message in messages}) != len(messages):
        raise ConfigurationError("message table: a message name or id is used twice")
    if len({error.code for error in errors}) != len(errors) or len({error.name for error in errors}) != len(errors):
        raise ConfigurationError("message table: an error name or code is used twice")
    for message in messages:
        if message.message_class not in ranges or message.id not in ranges[message.message_class]:
            raise ConfigurationError(f"message table: {message.name}: class and id {message.id:#04x} do not fit")
        replied = table.by_name.get(message.reply)
        if (message.message_class == "request") != (replied is not None and replied.message_class == "reply"):
            raise ConfigurationError(
                f"message table: {message.name}: every request names its reply, and nothing else does"
            )
    return table


@cache
def load_message_table() -> MessageTable:
    """The message table of this installation."""
    return parse_message_table((templates_folder() / "messages.toml").read_text(encoding="utf-8"))


def render_messages_header() -> str:
    """The C header of the table: ids, error codes, a struct and a pack and unpack function for every message."""
    return render_template("link/nrl_messages.h.j2", messages_variables())


def messages_variables() -> dict[str, Any]:
    """What the template of that header needs."""
    return {
        "table": load_message_table(),
        "crc_bytes": CRC_BYTES,
        "largest_frame": LARGEST_FRAME,
        "plain_crc_messages": PLAIN_CRC_MESSAGES,
        "first_lossy_id": FIRST_LOSSY_ID,
        "layout": c_layout,
    }


_PAGE_START, _PAGE_END = "<!-- message table: start -->", "<!-- message table: end -->"


def render_message_table() -> str:
    """The message table as Markdown, for docs/protocol.md."""
    table = load_message_table()
    lines = [
        f"Protocol {table.protocol_min} to {table.protocol_max}, table hash `{table.table_hash:#010x}`, header of "
        f"{table.header_bytes} bytes: " + ", ".join(f"`{item.name}` {item.type}" for item in table.header) + ".",
    ]
    for message in table.messages:
        lines += ["", f"#### {message.name} ({message.id:#04x}, {message.message_class})", "", message.text]
        if message.reply:
            lines[-1] += f" Answered by {message.reply}."
        if message.protected:
            lines[-1] += " A device with a key takes it only after AUTHORIZE."
        if message.fields:
            lines += ["", "| field | type | meaning |", "|---|---|---|"]
        for item in message.fields:
            kind = f"{item.type}, at most {item.maximum}" if item.trailing else item.type
            lines.append(f"| `{item.name}` | {kind} | {item.text} |")
    lines += ["", "#### Error codes", "", "| code | name | sentence |", "|---|---|---|"]
    lines += [f"| {error.code} | {error.name} | {error.text} |" for error in table.errors]
    return "\n".join(lines)


def update_protocol_page(page: str) -> str:
    """The text of docs/protocol.md with its message table replaced by the current one."""
    before, _, rest = page.partition(_PAGE_START)
    _, _, after = rest.partition(_PAGE_END)
    return f"{before}{_PAGE_START}\n{render_message_table()}\n{_PAGE_END}{after}"


def write_protocol_page(path: Path) -> None:
    """Bring the message table in docs/protocol.md up to date."""
    path.write_text(update_protocol_page(path.read_text(encoding="utf-8")), encoding="utf-8")
