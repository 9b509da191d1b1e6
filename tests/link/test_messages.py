"""The message table, and its two codecs against each other: Python's and the generated C's."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_under_test import CONFIGURATION, FakeDevice, flat_sources
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.codegen.messages import (
    Field,
    Message,
    load_message_table,
    parse_message_table,
    render_message_table,
    update_protocol_page,
)
from nrl_edge.errors import ConfigurationError
from nrl_edge.native.compiler import build_cached
from nrl_edge.resources import templates_folder
from nrl_host.link.frames import LARGEST_FRAME, FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import MESSAGES, TABLE, Codec

TEXT = (templates_folder() / "messages.toml").read_text(encoding="utf-8")
# With continuous actions ACTION carries their numbers; everything else is the same.
CONTINUOUS = replace(CONFIGURATION, policy="gaussian")
INPUTS, OUTPUTS = CONTINUOUS.inputs, CONTINUOUS.actions
NUMBERS = (0,) * OUTPUTS
CODEC = Codec(INPUTS, OUTPUTS)
RANGES = {
    "u8": (0, 255),
    "u16": (0, 65535),
    "u32": (0, 2**32 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
}
PROTOCOL_PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


# The table


def test_the_hash_is_of_what_both_sides_must_agree_on() -> None:
    base = load_message_table().table_hash
    assert parse_message_table(TEXT).table_hash == base
    assert parse_message_table("# a comment\n" + TEXT.replace("the action, or 255", "Action; 255")).table_hash == base
    for old, new in (
        ('name = "reward", type = "i32"', 'name = "reward", type = "u32"'),
        ('name = "reward", type = "i32"', 'name = "rewards", type = "i32"'),
        ("id = 0x09", "id = 0x1A"),
        ("maximum = 240", "maximum = 239"),
        ("protocol_max = 1", "protocol_max = 2"),
        ("code = 13", "code = 23"),
    ):
        assert old in TEXT
        assert parse_message_table(TEXT.replace(old, new)).table_hash != base, new


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('type = "i32"', 'type = "i64"', "is no field"),
        ('name = "reward"', 'name = "Reward"', "is no field"),
        ('"u8[]", maximum = 240', '"u8[]"', "needs a maximum"),
        ('name = "flags", type = "u8"', 'name = "flags", type = "u8", maximum = 3', "needs a maximum"),
        ('"char[16]"', '"char"', "text needs a length"),
        ("id = 0x09", "id = 0x08", "used twice"),
        ("id = 0x09", "id = 0x49", "do not fit"),
        ('reply = "READY"', 'reply = "STEP"', "names its reply"),
        ('name = "flags"', 'name = "reward"', "used twice"),
        ("code = 13", "code = 12", "used twice"),
        ('"u32[6]"', '"u32[0]"', "at least one"),
    ],
)
def test_a_wrong_table_is_refused(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigurationError, match=says):
        parse_message_table(TEXT.replace(old, new))


def test_a_trailing_field_comes_last() -> None:
    wrong = TEXT.replace('{ name = "reward", type = "i32"', '{ name = "reward", type = "u8[]", maximum = 4')
    with pytest.raises(ConfigurationError, match="only the last"):
        parse_message_table(wrong)


def test_the_protocol_page_shows_this_table() -> None:
    page = PROTOCOL_PAGE.read_text(encoding="utf-8")
    assert update_protocol_page(page) == page, (
        'bring it up to date: python -c "from pathlib import Path; from nrl_edge.codegen.messages import '
        "write_protocol_page; write_protocol_page(Path('docs/protocol.md'))\""
    )
    for message in TABLE.messages:
        assert message.name in render_message_table()


# Both codecs


def values_of(item: Field) -> st.SearchStrategy[Any]:
    if item.trailing:
        return st.binary(max_size=item.maximum)
    if item.element == "char":
        characters = st.characters(min_codepoint=32, max_codepoint=126)
        return st.text(characters, max_size=int(item.count or 0))
    count = {"inputs": INPUTS, "outputs": OUTPUTS}.get(str(item.count), item.count)
    single = st.integers(*RANGES[item.element])
    if count is None:
        return single
    assert isinstance(count, int)
    if item.element == "u8":
        return st.binary(min_size=count, max_size=count)
    return st.tuples(*[single] * count)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, Any]:
    message = draw(st.sampled_from(TABLE.messages))
    return message, MESSAGES[message.name](*(draw(values_of(item)) for item in message.fields))


def wrapper_source() -> str:
    """C that turns a payload into plain numbers, field by field, and numbers into a payload."""
    lines = ['#include "nrl_messages.h"', ""]
    for message in TABLE.messages:
        if not message.fields:
            continue
        name = message.lower
        lines += [
            f"int numbers_{name}(const uint8_t *payload, size_t length, int64_t *numbers)",
            "{",
            f"    nrl_{name}_t message;",
            "    int count = 0;",
            f"    if (!nrl_unpack_{name}(payload, length, &message)) {{",
            "        return -1;",
            "    }",
        ]
        for item in message.fields:
            if item.trailing or item.c_count:
                end = f"message.{item.name}_length" if item.trailing else item.c_count
                cast = "(uint8_t)" if item.element == "char" else ""
                lines.append(f"    for (size_t i = 0; i < {end}; ++i) numbers[count++] = {cast}message.{item.name}[i];")
            else:
                lines.append(f"    numbers[count++] = message.{item.name};")
        lines += [
            "    return count;",
            "}",
            "",
            f"size_t payload_{name}(const int64_t *numbers, size_t trailing, uint8_t *payload, size_t room)",
            "{",
            f"    nrl_{name}_t message;",
            "    uint8_t data[256];",
            "    (void)trailing; (void)data;",
        ]
        for item in message.fields:
            if item.trailing:
                lines += [
                    "    for (size_t i = 0; i < trailing; ++i) data[i] = (uint8_t)*numbers++;",
                    f"    message.{item.name} = data;",
                    f"    message.{item.name}_length = trailing;",
                ]
            elif item.c_count:
                lines.append(
                    f"    for (size_t i = 0; i < {item.c_count}; ++i) "
                    f"message.{item.name}[i] = ({item.c_type})*numbers++;"
                )
            else:
                lines.append(f"    message.{item.name} = ({item.c_type})*numbers++;")
        lines += [f"    return nrl_pack_{name}(payload, room, &message);", "}", ""]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def codec_library() -> ctypes.CDLL:
    headers = {name: text for name, text in flat_sources(CONTINUOUS).items() if name.endswith(".h")}
    flags = ("-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
    return ctypes.CDLL(
        str(
            build_cached({**headers, "wrapper.c": wrapper_source()}, "codec-under-test", shared=True, extra_flags=flags)
        )
    )


def numbers_of(message: Message, values: Any) -> list[int]:
    numbers: list[int] = []
    for item, value in zip(message.fields, values, strict=True):
        if item.element == "char":
            numbers += value.encode("ascii").ljust(int(item.count or 0), b"\0")
        elif isinstance(value, int):
            numbers.append(value)
        else:
            numbers += value
    return numbers


@given(messages())
@settings(deadline=None, max_examples=400)
def test_python_and_c_agree_on_every_message(codec_library: ctypes.CDLL, drawn: tuple[Message, Any]) -> None:
    message, values = drawn
    codec = CODEC.by_name[message.name]
    content = codec.pack(7, 513, values)
    assert codec.unpack(content) == values
    assert content[:4] == bytes([message.id, 7, 1, 2])
    if not message.fields:
        return
    payload = content[4:]
    found = (ctypes.c_int64 * 512)()
    count = getattr(codec_library, f"numbers_{message.lower}")(payload, ctypes.c_size_t(len(payload)), found)
    numbers = numbers_of(message, values)
    assert list(found[: max(count, 0)]) == numbers

    made = (ctypes.c_uint8 * 512)()
    pack = getattr(codec_library, f"payload_{message.lower}")
    pack.restype = ctypes.c_size_t
    trailing = len(values[-1]) if message.trailing else 0
    arguments = ((ctypes.c_int64 * 512)(*numbers), ctypes.c_size_t(trailing), made)
    assert pack(*arguments, ctypes.c_size_t(len(payload))) == len(payload)
    assert bytes(made[: len(payload)]) == payload
    if payload:
        assert pack(*arguments, ctypes.c_size_t(len(payload) - 1)) == 0


@pytest.mark.parametrize("message", [m for m in TABLE.messages if m.fields], ids=lambda m: m.name)
def test_both_codecs_take_the_right_lengths_only(codec_library: ctypes.CDLL, message: Message) -> None:
    smallest = message.payload_bytes(INPUTS, OUTPUTS)
    largest = smallest + (message.trailing.maximum if message.trailing else 0)
    found = (ctypes.c_int64 * 1024)()
    for length in range(largest + 20):
        taken = smallest <= length <= largest
        count = getattr(codec_library, f"numbers_{message.lower}")(bytes(length), ctypes.c_size_t(length), found)
        assert (count >= 0) == taken, length
        try:
            CODEC.by_name[message.name].unpack(bytes(4 + length))
        except ValueError:
            assert not taken
        else:
            assert taken


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ACTION", (256, 0, NUMBERS)),
        ("ACTION", (-1, 0, NUMBERS)),
        ("ACTION", (0, 0, NUMBERS[1:])),
        ("ACTION", (0, 0, (*NUMBERS[1:], 32768))),
        ("STEP", ((1, 2), 0, 0)),
        ("STEP", ((1, 2, 40000), 0, 0)),
        ("RESTORE_WRITE", (0, bytes(241))),
        ("BEGIN", (0, (1, 2, 3))),
        ("HELLO_REPLY", (1, 1, 0, bytes(7), "", 0, 0, bytes(5), *[0] * 14, 0, 0, 0)),
        ("HELLO_REPLY", (1, 1, 0, bytes(8), "a" * 17, 0, 0, bytes(5), *[0] * 14, 0, 0, 0)),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        CODEC.by_name[name].pack(0, 0, MESSAGES[name](*values))


# Frames


@given(
    st.sampled_from([0x01, 0x03, 0x81, 0xFF]),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.one_of(st.binary(max_size=244), st.integers(236, 244).map(lambda n: bytes([1] * n))),
)
@settings(deadline=None)
def test_c_and_python_make_the_same_frames(
    device_library: ctypes.CDLL, kind: int, sequence: int, session: int, payload: bytes
) -> None:
    frame = (ctypes.c_uint8 * 300)()
    device_library.fake_seal.restype = ctypes.c_size_t
    length = device_library.fake_seal(
        frame,
        ctypes.c_uint8(kind),
        ctypes.c_uint8(sequence),
        ctypes.c_uint16(session),
        payload,
        ctypes.c_size_t(len(payload)),
    )
    content = bytes([kind, sequence]) + session.to_bytes(2, "little") + payload
    assert bytes(frame[:length]) == encode_frame(content)
    assert length == len(content) + 4 + 2


@pytest.fixture(scope="module")
def device_library() -> ctypes.CDLL:
    return FakeDevice().library


def c_receive(library: ctypes.CDLL, stream: bytes) -> tuple[list[bytes], dict[str, int]]:
    events = (ctypes.c_uint8 * max(1, len(stream)))()
    contents = (ctypes.c_uint8 * max(1, len(stream)))()
    lengths = (ctypes.c_uint16 * max(1, len(stream)))()
    library.fake_receive.restype = ctypes.c_size_t
    count = library.fake_receive(stream, ctypes.c_size_t(len(stream)), events, contents, lengths)
    frames, at = [], 0
    for length in lengths[:count]:
        frames.append(bytes(contents[at : at + length]))
        at += length
    numbers = list(events[: len(stream)])
    return frames, {"bad_crc": numbers.count(2), "overlong": numbers.count(3), "malformed": numbers.count(4)}


frame_pieces = st.one_of(
    st.builds(
        lambda kind, rest: encode_frame(bytes([kind]) + rest), st.integers(1, 255), st.binary(min_size=3, max_size=200)
    ),
    st.binary(max_size=40),
    st.just(b"\0"),
    st.integers(230, 270).map(lambda n: bytes([0xFF] + [9] * n)),
)


@given(st.lists(frame_pieces, max_size=10), st.lists(st.integers(0, 2000), max_size=6))
@settings(deadline=None, max_examples=300)
def test_c_and_python_find_the_same_frames(device_library: ctypes.CDLL, pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    counters = LinkCounters()
    decoder = FrameDecoder(counters)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    python_frames = [frame for start, end in itertools.pairwise(places) for frame in decoder.feed(stream[start:end])]
    c_frames, _ = c_receive(device_library, stream)
    assert python_frames == c_frames
    assert counters.frames_in == len(c_frames)


@given(st.lists(st.binary(min_size=4, max_size=200), max_size=5), st.binary(max_size=100).filter(lambda b: 0 not in b))
@settings(deadline=None)
def test_after_any_damage_the_next_frame_is_found(
    device_library: ctypes.CDLL, contents: list[bytes], noise: bytes
) -> None:
    usable = [bytes([content[0] or 3]) + content[1:] for content in contents]
    stream = noise + b"\0" + b"".join(encode_frame(content) for content in usable)
    assert c_receive(device_library, stream)[0][-len(usable) or LARGEST_FRAME :] == usable
    assert FrameDecoder(LinkCounters()).feed(stream)[-len(usable) or LARGEST_FRAME :] == usable


def test_what_was_wrong_is_counted_on_both_sides(device_library: ctypes.CDLL) -> None:
    good = encode_frame(b"\x03\x01\x02\x03payload")
    bad_crc = bytearray(good)
    bad_crc[8] ^= 0x10
    stream = good + bytes(bad_crc) + bytes([0xFF] + [9] * 300 + [0]) + b"\x09abc\0" + b"\x03ab\0" + b"\0" + good
    frames, counted = c_receive(device_library, stream)
    assert len(frames) == 2
    assert counted == {"bad_crc": 1, "overlong": 1, "malformed": 2}
    for chunk in (1, 7, len(stream)):
        counters = LinkCounters()
        decoder = FrameDecoder(counters)
        found = [frame for at in range(0, len(stream), chunk) for frame in decoder.feed(stream[at : at + chunk])]
        assert found == frames
        assert counted == {name: counters.as_dict()[name] for name in counted}


def test_a_block_that_ends_early_is_malformed_even_where_the_crc_would_pass(device_library: ctypes.CDLL) -> None:
    frame = bytearray(encode_frame(b"\x03\x01\x02\x03payload"))
    at = 0
    while at + frame[at] < len(frame) - 1:
        at += frame[at]
    frame[at] += 1
    counters = LinkCounters()
    assert FrameDecoder(counters).feed(bytes(frame)) == []
    assert c_receive(device_library, bytes(frame)) == ([], {"bad_crc": 0, "overlong": 0, "malformed": 1})
    assert counters.malformed == 1


def test_a_half_frame_can_be_dropped() -> None:
    counters = LinkCounters()
    decoder = FrameDecoder(counters)
    good = encode_frame(b"\x03\x01\x02\x03payload")
    assert decoder.feed(good[:5]) == []
    decoder.drop_half_frame()
    decoder.drop_half_frame()
    assert len(decoder.feed(good)) == 1
    assert counters.half_frames == 1
