"""The plant's firmware with a clock of the test's own: deadlines, held actions, the safety stop, refused requests."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nrl_edge.codegen.render import render_folder
from nrl_edge.export import render_plant
from nrl_edge.native.compiler import build_cached
from nrl_edge.tasks.fixed_cartpole import has_fallen, reset_state, step_state
from nrl_host.link.frames import FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import ERROR_NAMES, MESSAGES, TABLE, Codec
from nrl_host.plant import STOPPED, TERMINATED, TRUNCATED

HERE = Path(__file__).resolve().parent


@cache
def plant_library() -> ctypes.CDLL:
    files = {Path(path).name: text for path, text in render_plant("desktop").items() if "/port/" not in path}
    files = {name: text for name, text in files.items() if not name.startswith("nrl_desktop") and name != "main.c"}
    files["plant_port.c"] = (HERE / "plant_port.c").read_text()
    assert "nrl_server.c" in files and render_folder("plant", {"inputs": 4, "actions": 2})
    flags = ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-fsanitize-undefined-trap-on-error")
    library = ctypes.CDLL(str(build_cached(files, "plant", shared=True, extra_flags=("-O1", "-g", *flags))))
    library.test_talk.restype = ctypes.c_size_t
    library.test_talk.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p)
    library.test_now.restype = ctypes.c_uint32
    return library


class Host:
    """The host's side of a conversation, a request at a time."""

    def __init__(self, time_limit: int = 0, start_ms: int = 1000) -> None:
        self.library = plant_library()
        self.library.test_start(time_limit, ctypes.c_uint32(start_ms))
        self.codec = Codec(4)
        self.sequence = 0
        self.decoder = FrameDecoder(LinkCounters())
        self.hello = self.ask(MESSAGES["HELLO"](TABLE.protocol_min, TABLE.protocol_max, TABLE.table_hash))

    def raw(self, frame: bytes) -> list[bytes]:
        answer = ctypes.create_string_buffer(4096)
        length = self.library.test_talk(frame, len(frame), answer)
        return self.decoder.feed(answer.raw[:length])

    def ask(self, message: Any) -> Any:
        self.sequence = (self.sequence + 1) & 0xFF
        content = self.codec.of(message).pack(self.sequence, 7, message)
        (reply,) = self.raw(b"\0" + encode_frame(content))
        return self.codec.by_id[reply[0]].unpack(reply)

    def refused(self, message: Any) -> str:
        error = self.ask(message)
        assert type(error).__name__ == "ERROR"
        return ERROR_NAMES[error.code]

    def reset(self, seed: int = 3, period_ms: int = 0, timeout_ms: int = 0) -> Any:
        return self.ask(MESSAGES["PLANT_RESET"](seed, period_ms, timeout_ms))

    def step(self, action: int) -> Any:
        return self.ask(MESSAGES["PLANT_STEP"](action))

    def wait(self, milliseconds: int) -> None:
        self.library.test_pass(milliseconds)


def run(seed: int, actions: list[int]) -> tuple[int, ...]:
    state = reset_state(seed)
    for action in actions:
        state = step_state(state, action)
    return (*state, 0, 0, 0, 0)


def test_it_says_what_it_is() -> None:
    host = Host(time_limit=9)
    assert (host.hello.agent_identity, tuple(host.hello.layer_sizes[:2]), host.hello.board) == (0, (4, 2), "desktop")
    plant = host.ask(MESSAGES["PLANT_HELLO"]())
    assert plant == ("a plant of tests", 4, 2, 1, 24, 8, 9)
    assert [host.ask(MESSAGES["PLANT_BOUNDS"](k)) for k in range(4)] == [(-k, k) for k in range(1, 5)]
    assert host.refused(MESSAGES["PLANT_BOUNDS"](4)) == "BAD_VALUE"
    assert host.refused(MESSAGES["STATUS"]()) == "UNKNOWN_REQUEST"
    assert host.ask(MESSAGES["LINK_STATUS"]()).frames_in == 9


def test_in_lock_step_time_passes_with_actions_only() -> None:
    host = Host()
    assert host.refused(MESSAGES["PLANT_STEP"](0)) == "PLANT_OVER"
    assert host.reset(3).observation == run(3, [])
    actions = [1, 0, 1, 1, 0]
    for count in range(1, 6):
        host.wait(400)
        state = host.step(actions[count - 1])
        assert (state.observation, state.reward, state.flags) == (run(3, actions[:count]), 256, 0)
        assert (state.step, state.missed) == (count, 0)
    assert host.refused(MESSAGES["PLANT_STEP"](2)) == "BAD_VALUE"
    # A refused action has moved nothing.
    assert host.step(0).observation == run(3, [*actions, 0])
    assert host.reset(4).observation == run(4, [])


@pytest.mark.parametrize("start_ms", [1000, 2**32 - 50])
def test_in_real_time_an_action_in_time_is_used_when_its_step_is_due(start_ms: int) -> None:
    """Also where the clock wraps around."""
    host = Host(start_ms=start_ms)
    begun = host.reset(3, period_ms=20).time_ms
    for count in range(1, 6):
        host.wait(5)
        state = host.step(count % 2)
        assert (state.step, state.missed, state.flags) == (count, 0, 0)
        assert (state.time_ms - begun) % 2**32 == 20 * count
    assert state.observation == run(3, [1, 0, 1, 0, 1])


def test_a_late_action_finds_that_the_one_before_was_held_and_counted() -> None:
    host = Host()
    host.reset(3, period_ms=20)
    host.step(1)
    # The next step is due 20 ms later, and the two after it as well: all of them go by with the last action.
    host.wait(65)
    state = host.step(0)
    assert (state.step, state.missed) == (5, 3)
    assert state.reward == 4 * 256
    assert state.observation == run(3, [1, 1, 1, 1, 0])
    # In time again: nothing more is missed, and the plant's periods are where they were.
    state = host.step(0)
    assert (state.step, state.missed) == (6, 3)


def test_a_silent_host_makes_the_plant_stop_and_say_so() -> None:
    host = Host()
    host.reset(3, period_ms=20, timeout_ms=100)
    host.step(1)
    host.wait(60)
    assert host.step(0).flags == 0
    host.wait(200)
    assert plant_library().test_stops() == 1
    state = host.step(1)
    assert state.flags == STOPPED
    steps = state.step
    host.wait(500)
    # It stays where it is, is stopped once, and goes on after a reset only.
    assert plant_library().test_stops() == 1
    assert host.refused(MESSAGES["PLANT_STEP"](1)) == "PLANT_OVER"
    assert host.ask(MESSAGES["LINK_STATUS"]()).frames_in > 0
    assert steps < 20
    assert host.reset(3, period_ms=20, timeout_ms=100).flags == 0
    assert host.step(1).step == 1


def test_in_lock_step_too_a_silent_host_stops_it_where_one_asked_for_that() -> None:
    host = Host()
    host.reset(3, timeout_ms=100)
    host.wait(99)
    assert host.step(1).flags == 0
    host.wait(102)
    assert host.step(1).flags == STOPPED and plant_library().test_stops() == 1
    host.reset(3)
    host.wait(5000)
    assert host.step(1).flags == 0


def test_an_episode_that_ends_while_the_host_is_silent_is_told_once() -> None:
    host = Host()
    host.reset(3, period_ms=20)
    host.step(1)
    host.wait(2000)
    state = host.step(0)
    fallen = reset_state(3)
    steps = 0
    while not has_fallen(fallen):
        fallen, steps = step_state(fallen, 1), steps + 1
    assert (state.flags, state.step, state.missed) == (TERMINATED, steps, steps - 1)
    assert state.observation == (*fallen, 0, 0, 0, 0)
    assert host.refused(MESSAGES["PLANT_STEP"](0)) == "PLANT_OVER"


def test_the_time_limit_truncates() -> None:
    host = Host(time_limit=3)
    host.reset(3)
    assert [host.step(k % 2).flags for k in range(3)] == [0, 0, TRUNCATED]


def test_a_repeated_request_is_answered_from_memory_and_moves_nothing() -> None:
    host = Host()
    host.reset(3)
    content = host.codec.by_name["PLANT_STEP"].pack(host.sequence + 1, 7, MESSAGES["PLANT_STEP"](1))
    frame = encode_frame(content)
    first, second, third = (host.raw(frame)[0] for _ in range(3))
    assert first == second == third
    host.sequence += 1
    assert host.step(0).observation == run(3, [1, 0])
    # Of another session, out of order, or damaged: not executed.
    for wrong in (
        encode_frame(host.codec.by_name["PLANT_STEP"].pack(host.sequence + 1, 8, MESSAGES["PLANT_STEP"](1))),
        encode_frame(host.codec.by_name["PLANT_STEP"].pack(host.sequence + 5, 7, MESSAGES["PLANT_STEP"](1))),
        frame[:-3] + bytes([frame[-3] ^ 1]) + frame[-2:],
        encode_frame(host.codec.by_name["PLANT_STEP"].pack(host.sequence + 1, 7, MESSAGES["PLANT_STEP"](1))[:-1]),
    ):
        host.raw(wrong)
    host.sequence += 1  # the one that was too short was in order, and refused
    assert host.step(0).observation == run(3, [1, 0, 0])
    counters = host.ask(MESSAGES["LINK_STATUS"]())
    assert (counters.repeated, counters.stale_session, counters.out_of_order, counters.bad_crc) == (2, 1, 1, 1)
