"""A device whose line, clock and generator are in the hands of a test: the generated C in process, through ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path, PurePosixPath
from typing import Any

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_host.link.frames import FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import MESSAGE_NAMES, MESSAGES, TABLE, Codec

CONFIGURATION = AgentConfiguration(3, (6, 5), 3)
HERE = Path(__file__).resolve().parent
LINE_BYTES = 65536
_TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")


def flat_sources(configuration: AgentConfiguration, **options: Any) -> dict[str, str]:
    """The generated files without main and port, side by side."""
    options = {"seed": 5, "entropy_mode": "seeded"} | options
    files = render_firmware(configuration, **options)
    return {
        PurePosixPath(path).name: text
        for path, text in files.items()
        if path != "src/main.c" and not path.startswith("src/port/")
    }


class Frames:
    """What came off the line, frame by frame, decoded."""

    def __init__(self, inputs: int) -> None:
        self.codec = Codec(inputs)
        self.counters = LinkCounters()
        self._decoder = FrameDecoder(self.counters)

    def feed(self, received: bytes) -> list[tuple[str, int, int, Any]]:
        """(message name, sequence, session, message) of every frame."""
        decoded = []
        for content in self._decoder.feed(received):
            name = MESSAGE_NAMES[content[0]]
            message = self.codec.by_name[name].unpack(content)
            decoded.append((name, content[1], int.from_bytes(content[2:4], "little"), message))
        return decoded


class FakeDevice:
    """The generated link and agent behind a fake port."""

    def __init__(self, configuration: AgentConfiguration = CONFIGURATION, **options: Any) -> None:
        sources = flat_sources(configuration, **options) | {
            "fake_port.c": (HERE / "fake_port.c").read_text(encoding="utf-8")
        }
        library = build_cached(sources, "link-under-test", shared=True, extra_flags=_TRAPS)
        self.library = ctypes.CDLL(str(library))
        self.configuration = configuration
        self.frames = Frames(configuration.inputs)
        self.codec = self.frames.codec
        self.session = 0
        self.sequence = 0

    def boot(self, session: int = 0x1234, *, raw: bool = False, entropy_works: bool = True) -> None:
        self.library.fake_boot(ctypes.c_uint16(session), ctypes.c_bool(raw), ctypes.c_bool(entropy_works))
        self.session = session
        self.sequence = 0

    def deliver(self, received: bytes) -> list[tuple[str, int, int, Any]]:
        """Let the line deliver bytes; returns the frames that the device sent."""
        self.library.fake_deliver(received, ctypes.c_size_t(len(received)))
        out = (ctypes.c_uint8 * LINE_BYTES)()
        self.library.fake_collect.restype = ctypes.c_size_t
        count = self.library.fake_collect(out)
        return self.frames.feed(bytes(out[:count]))

    def wait(self, milliseconds: int) -> None:
        self.library.fake_wait(ctypes.c_uint32(milliseconds))

    def set_write_room(self, room: int) -> None:
        self.library.fake_set_write_room(ctypes.c_size_t(room))

    def set_entropy(self, works: bool) -> None:
        self.library.fake_set_entropy(ctypes.c_bool(works))

    def content(self, name: str, *values: Any, sequence: int | None = None, session: int | None = None) -> bytes:
        """Header and payload of a request; by default with the next sequence number of this session."""
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) & 0xFF
        if session is None:
            session = 0 if name == "HELLO" else self.session
        return self.codec.by_name[name].pack(sequence, session, MESSAGES[name](*values))

    def frame(self, name: str, *values: Any, sequence: int | None = None, session: int | None = None) -> bytes:
        return encode_frame(self.content(name, *values, sequence=sequence, session=session))

    def ask(self, name: str, *values: Any) -> Any:
        """Send a request and return its one reply; anything else fails the test."""
        replies = self.deliver(self.frame(name, *values))
        assert len(replies) == 1, replies
        assert replies[0][1] == self.sequence
        assert replies[0][2] == self.session
        return replies[0][3]

    def hello(self) -> Any:
        return self.ask("HELLO", TABLE.protocol_min, TABLE.protocol_max, TABLE.table_hash)

    def step(self, terminated: bool = False, reward: int = 256) -> Any:
        return self.ask("STEP", (900, -300, 1200), reward, 1 if terminated else 0)

    def open_conversation(self) -> None:
        self.boot()
        self.hello()

    def state(self) -> tuple[Any, ...]:
        """What a fault on the line must never change."""
        return tuple(self.ask("STATUS"))
