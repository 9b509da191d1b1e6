"""What comes from a device is untrusted: decoders raise what they say, and a link ends in DeviceError."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest
from fuzzing import AGENTS
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import DeviceError
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.link.frames import FRAME_OVERHEAD, SMALLEST_FRAME, FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import MESSAGE_NAMES, MESSAGES, TABLE, Codec
from nrl_host.noise_capture import capture_noise

CONFIGURATION = AGENTS["edge"][0]
INPUTS = CONFIGURATION.inputs
CODEC = Codec(INPUTS)
SESSION = 0x1234
LARGEST_CONTENT = 250

contents = st.builds(
    lambda kind, rest: bytes([kind]) + rest,
    st.one_of(st.sampled_from(sorted(MESSAGE_NAMES)), st.integers(0, 255)),
    st.binary(min_size=3, max_size=LARGEST_CONTENT - 1),
)


@st.composite
def whole_contents(draw: st.DrawFn) -> bytes:
    """Header and payload of any message in its right length, any bytes in it."""
    message = draw(st.sampled_from(TABLE.messages))
    trailing = draw(st.integers(0, message.trailing.maximum)) if message.trailing else 0
    length = 3 + message.payload_bytes(INPUTS) + trailing
    return bytes([message.id]) + draw(st.binary(min_size=length, max_size=length))


@st.composite
def damaged_streams(draw: st.DrawFn) -> bytes:
    """Valid frames in a row, of which bits are flipped, bytes lost, doubled and put in between."""
    stream = bytearray(b"".join(encode_frame(each) for each in draw(st.lists(whole_contents(), max_size=5))))
    for kind, place, byte in draw(
        st.lists(
            st.tuples(st.sampled_from(["flip", "lose", "insert", "cut"]), st.integers(0), st.integers(0, 255)),
            max_size=6,
        )
    ):
        at = place % (len(stream) + 1)
        if kind == "flip" and at < len(stream):
            stream[at] ^= 1 << byte % 8
        elif kind == "lose":
            del stream[at : at + 1 + byte % 4]
        elif kind == "insert":
            stream.insert(at, byte)
        elif kind == "cut":
            del stream[at:]
    return bytes(stream)


@given(st.one_of(st.binary(max_size=1200), damaged_streams()), st.lists(st.integers(0, 1200), max_size=4))
@settings(max_examples=400)
def test_any_stream_of_bytes_is_cut_into_good_frames_or_counted(stream: bytes, cuts: list[int]) -> None:
    counters = LinkCounters()
    decoder = FrameDecoder(counters)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    found = [frame for start, end in itertools.pairwise(places) for frame in decoder.feed(stream[start:end])]
    pieces = [piece for piece in stream.split(b"\0")[:-1] if piece]
    assert counters.frames_in == len(found)
    # What is too long is counted as soon as it is, before its end has come.
    lost = counters.bad_crc + counters.overlong + counters.malformed
    assert len(pieces) <= len(found) + lost <= len(pieces) + 1
    assert len(decoder.half_frame) <= LARGEST_CONTENT + SMALLEST_FRAME
    for content in found:
        assert SMALLEST_FRAME - 4 <= len(content) <= LARGEST_CONTENT
        # A frame has one code, so the very bytes have been in the stream.
        assert encode_frame(content) in stream


@given(st.one_of(contents, whole_contents()))
@settings(max_examples=600)
def test_a_message_that_is_decoded_encodes_to_the_same_bytes(content: bytes) -> None:
    codec = CODEC.by_id.get(content[0])
    if codec is None:
        return
    try:
        message = codec.unpack(content)
    except ValueError:
        return
    assert codec.pack(content[1], int.from_bytes(content[2:4], "little"), message) == content


@given(st.binary(min_size=16, max_size=16))
def test_text_of_a_device_is_printable_or_refused(board: bytes) -> None:
    """An escape sequence in a board's name would otherwise reach the terminal."""
    codec = CODEC.by_name["HELLO_REPLY"]
    start = 4 + 6 + 8
    content = bytes([codec.id]).ljust(4 + codec.payload_bytes, b"\0")
    content = content[:start] + board + content[start + 16 :]
    try:
        message = codec.unpack(content)
    except ValueError as error:
        assert "board" in str(error)
        return
    assert message.board.isprintable()
    assert message.board.isascii()


# A device that is none: every reply is in the test's hands


class HostileDevice:
    """A port that answers HELLO as a device does, and every later request with what `answer` makes of it."""

    def __init__(self, answer: Any, hello: dict[str, Any] | None = None) -> None:
        self._answer = answer
        self._hello = hello or {}
        self._decoder = FrameDecoder(LinkCounters())
        self._out = bytearray()

    def write(self, data: bytes) -> None:
        for request in self._decoder.feed(data):
            if request[0] == CODEC.by_name["HELLO"].id:
                self._out += encode_frame(CODEC.by_name["HELLO_REPLY"].pack(request[1], SESSION, self.hello()))
            else:
                for reply in self._answer(request):
                    self._out += encode_frame(reply)

    def hello(self) -> Any:
        values = {
            "protocol_min": TABLE.protocol_min,
            "protocol_max": TABLE.protocol_max,
            "table_hash": TABLE.table_hash,
            "build_id": bytes(8),
            "board": "desktop",
            "layer_sizes": bytes(CONFIGURATION.layer_sizes).ljust(5, b"\0"),
            "agent_identity": CONFIGURATION.identity,
            "largest_frame": 254,
        }
        values |= self._hello
        return MESSAGES["HELLO_REPLY"](*(values.get(name, 0) for name in MESSAGES["HELLO_REPLY"]._fields))

    @property
    def in_waiting(self) -> int:
        return len(self._out)

    def read(self, size: int) -> bytes:
        taken = bytes(self._out[:size])
        del self._out[:size]
        return taken

    def close(self) -> None:
        pass


def open_link(monkeypatch: pytest.MonkeyPatch, answer: Any, hello: dict[str, Any] | None = None) -> Link:
    monkeypatch.setattr("nrl_host.link.link.open_port", lambda *_, **__: HostileDevice(answer, hello))
    return Link("hostile", timeout=0.02, attempts=2, open_timeout=0.1)


def reply_of(name: str, request: bytes, payload: bytes) -> bytes:
    return bytes([CODEC.by_name[name].id, request[1]]) + SESSION.to_bytes(2, "little") + payload


def ready(request: bytes) -> list[bytes]:
    return [reply_of("READY", request, bytes(CODEC.by_name["READY"].payload_bytes))]


def step_answered_by(name: str, payload: bytes) -> Any:
    def answer(request: bytes) -> list[bytes]:
        if request[0] == CODEC.by_name["BEGIN"].id:
            return ready(request)
        return [reply_of(name, request, payload)]

    return answer


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("ACTION", b"\x01", "ACTION cannot be read"),
        ("ACTION", b"\x01\x00\x00", "ACTION cannot be read"),
        ("ACTION", bytes([CONFIGURATION.actions, 0]), f"chose action {CONFIGURATION.actions}"),
        ("ACTION", b"\xfe\x00", "chose action 254"),
        ("ERROR", b"\x05", "ERROR cannot be read"),
        ("ERROR", b"\xc8\x03\x00\x00\x00\x00", "unknown error code 200"),
    ],
)
def test_a_wrong_reply_to_a_step_is_a_device_error(
    monkeypatch: pytest.MonkeyPatch, name: str, payload: bytes, says: str
) -> None:
    with open_link(monkeypatch, step_answered_by(name, payload)) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings())
        with pytest.raises(DeviceError, match=says):
            agent.step(np.zeros(INPUTS, np.int16), 0, False, False)


def test_a_device_that_has_noise_without_end_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: bytes) -> list[bytes]:
        if request[0] == CODEC.by_name["BEGIN"].id:
            return ready(request)
        return [reply_of("NOISE_DATA", request, request[4:8] + bytes(240))]

    with open_link(monkeypatch, answer) as link, pytest.raises(DeviceError, match="no agent of this experiment"):
        LinkAgent(link, CONFIGURATION, EntropySettings(mode="raw"))


def test_noise_from_another_place_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: bytes) -> list[bytes]:
        if request[0] == CODEC.by_name["BEGIN"].id:
            return ready(request)
        return [reply_of("NOISE_DATA", request, b"\x07\0\0\0" + bytes(4))]

    with open_link(monkeypatch, answer) as link, pytest.raises(DeviceError, match="got 4 bytes at 7"):
        LinkAgent(link, CONFIGURATION, EntropySettings(mode="raw"))


@pytest.mark.parametrize("count", [0, 5, 17])
def test_a_capture_of_another_length_is_a_device_error(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """One that gives no bytes would otherwise be asked for ever."""

    def answer(request: bytes) -> list[bytes]:
        return [reply_of("RAW_DATA", request, bytes(4 + count))]

    with open_link(monkeypatch, answer) as link, pytest.raises(DeviceError, match=f"16 raw bytes, got {count}"):
        capture_noise(link, 16)


@pytest.mark.parametrize("largest", [0, 8, 11])
def test_a_device_with_too_small_a_frame_is_a_device_error(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    hello = {"largest_frame": largest}
    with open_link(monkeypatch, step_answered_by("DONE", b""), hello) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(), begin=False)
        with pytest.raises(DeviceError, match="largest frame"):
            agent.snapshot()
        with pytest.raises(DeviceError, match="largest frame"):
            agent.restore(bytes(100))


@given(
    st.lists(st.one_of(whole_contents(), contents), min_size=1, max_size=3),
    st.sampled_from(["step", "snapshot", "restore", "status", "noise", "link_counters"]),
    st.booleans(),
)
@settings(max_examples=300)
def test_no_device_brings_a_traceback(replies: list[bytes], call: str, to_this_request: bool) -> None:
    """Whole frames of any content in answer to any call: it ends, with a result or with DeviceError."""

    def answer(request: bytes) -> list[bytes]:
        # Every reply ends in one that fits the request by number at least, so that no time is spent on waiting.
        last = bytes([CODEC.by_name["ERROR"].id, request[1]]) + bytes(2) + bytes([1, request[0], 0, 0, 0, 0])
        return [bytes([each[0], request[1] if to_this_request else each[1], *each[2:]]) for each in (*replies, last)]

    with pytest.MonkeyPatch.context() as patch, open_link(patch, answer) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(mode="raw"), begin=False)
        calls: dict[str, Any] = {
            "step": lambda: agent.step(np.zeros(INPUTS, np.int16), 0, False, False),
            "snapshot": agent.snapshot,
            "restore": lambda: agent.restore(bytes(CONFIGURATION.snapshot_bytes)),
            "status": agent.status,
            "noise": agent.take_noise,
            "link_counters": agent.link_counters,
        }
        with contextlib.suppress(DeviceError):
            calls[call]()


@given(st.binary(min_size=16 + 8, max_size=200))
@settings(max_examples=100)
def test_any_greeting_opens_the_link_or_is_a_device_error(payload: bytes) -> None:
    """The right table hash, and whatever else: text, sizes, states."""
    codec = CODEC.by_name["HELLO_REPLY"]
    payload = payload.ljust(codec.payload_bytes, b"\xff")[: codec.payload_bytes]
    start = codec.payload_bytes
    right = payload[:2] + TABLE.table_hash.to_bytes(4, "little") + payload[6:start]

    class Greeting(HostileDevice):
        def write(self, data: bytes) -> None:
            for request in self._decoder.feed(data):
                self._out += encode_frame(bytes([codec.id, *request[1:4]]) + right)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nrl_host.link.link.open_port", lambda *_, **__: Greeting(None))
        with (
            contextlib.suppress(DeviceError),
            Link("hostile", timeout=0.02, attempts=1, open_timeout=0.05) as link,
        ):
            LinkAgent(link, CONFIGURATION, EntropySettings(), begin=False)


def test_frames_have_the_overhead_that_the_page_says() -> None:
    content = b"\x03" + bytes(20)
    assert len(encode_frame(content)) == len(content) + 4 + FRAME_OVERHEAD
