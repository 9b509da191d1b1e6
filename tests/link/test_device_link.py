"""The device's side of the link, in process: sequence, sessions, faults on the line, telemetry, entropy failures."""

from __future__ import annotations

import zlib

import pytest
from cobs import cobs
from device_under_test import CONFIGURATION, LINE_BYTES, FakeDevice
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes, seed_state, step_draw_bytes, update_draw_bytes
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_host.link.frames import LARGEST_FRAME, encode_frame
from nrl_host.link.messages import ERROR_CODES, TABLE

STEP_VALUES = ((900, -300, 1200), 256, 0)


@pytest.fixture(scope="module")
def built() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def device(built: FakeDevice) -> FakeDevice:
    built.open_conversation()
    return built


def error_name(message: object) -> str:
    codes = {code: name for name, code in ERROR_CODES.items()}
    return codes[message.code]  # type: ignore[attr-defined]


def test_hello_says_what_the_device_is(device: FakeDevice) -> None:
    hello = device.hello()
    assert hello.agent_identity == CONFIGURATION.identity
    assert tuple(hello.layer_sizes[: hello.layers]) == CONFIGURATION.layer_sizes
    assert hello.board == "desktop"
    assert hello.table_hash == TABLE.table_hash
    assert (hello.parameter_bits, hello.learning_rate_exponent, hello.clip_exponent) == (16, 6, 1)
    assert hello.agent_state == 1
    assert hello.build_id != bytes(8)


def test_a_device_never_has_session_zero(built: FakeDevice) -> None:
    built.boot(session=0)
    built.session = 1
    assert built.hello().table_hash == TABLE.table_hash


def test_a_repeated_request_is_answered_again_and_executed_once(device: FakeDevice) -> None:
    frame = device.frame("STEP", *STEP_VALUES)
    first = device.deliver(frame)
    assert device.deliver(frame) == first
    assert device.deliver(frame + frame) == first + first
    assert device.ask("STATUS").steps == 1
    assert device.ask("LINK_STATUS").repeated == 3


def test_a_repeated_refusal_is_answered_again(device: FakeDevice) -> None:
    frame = device.frame("STEP", (0, 0, 0), 0, 1)
    first = device.deliver(frame)
    assert error_name(first[0][3]) == "NO_EPISODE"
    assert device.deliver(frame) == first


def test_the_same_sequence_number_with_other_content_is_no_repetition(device: FakeDevice) -> None:
    device.deliver(device.frame("STEP", *STEP_VALUES))
    replies = device.deliver(device.frame("STEP", (1, 2, 3), 0, 0, sequence=device.sequence))
    assert error_name(replies[0][3]) == "OUT_OF_ORDER"
    assert device.ask("STATUS").steps == 1


def test_sequence_numbers_wrap_around(device: FakeDevice) -> None:
    for _ in range(600):
        device.step()
    assert device.ask("STATUS").steps == 600


@pytest.mark.parametrize("ahead", [2, 3, 128, 255])
def test_out_of_order_is_refused_and_the_sequence_goes_on(device: FakeDevice, ahead: int) -> None:
    device.step()
    wrong = (device.sequence + ahead) & 0xFF
    [(name, sequence, _, message)] = device.deliver(device.frame("STEP", *STEP_VALUES, sequence=wrong))
    assert (name, sequence, error_name(message), message.detail) == ("ERROR", wrong, "OUT_OF_ORDER", device.sequence)
    device.step()
    assert device.ask("STATUS").steps == 2
    assert device.ask("LINK_STATUS").out_of_order == 1


def test_a_stale_session_is_refused(device: FakeDevice) -> None:
    device.step()
    [(name, _, session, message)] = device.deliver(device.frame("STEP", *STEP_VALUES, session=device.session ^ 1))
    assert (name, session, error_name(message), message.detail) == (
        "ERROR",
        device.session,
        "STALE_SESSION",
        device.session,
    )
    device.sequence -= 1
    assert device.ask("STATUS").steps == 1


def test_a_session_that_matches_by_chance_is_stale_before_hello(built: FakeDevice) -> None:
    built.boot()
    [(_, _, _, message)] = built.deliver(built.frame("STEP", *STEP_VALUES))
    assert error_name(message) == "STALE_SESSION"
    built.hello()
    assert built.ask("STATUS").steps == 0


def test_a_frame_whose_last_block_promises_more_than_comes_is_dropped(device: FakeDevice) -> None:
    """Every byte of it is right, the CRC too: what is missing can only have been lost."""
    frame = bytearray(device.frame("STEP", *STEP_VALUES))
    code = 0
    while code + frame[code] < len(frame) - 1:
        code += frame[code]
    frame[code] += 1
    assert device.deliver(bytes(frame)) == []
    device.sequence -= 1
    assert device.ask("LINK_STATUS").malformed == 1
    assert device.ask("STATUS").steps == 0


def test_raw_bytes_are_numbered_from_the_start_of_the_device(device: FakeDevice) -> None:
    assert [device.ask("RAW_READ", length).offset for length in (4, 10, 0, 1)] == [0, 4, 14, 14]
    device.hello()
    assert device.ask("RAW_READ", 1).offset == 15, "and not of the session"


def test_hello_starts_the_sequence_anew_and_leaves_the_agent_alone(device: FakeDevice) -> None:
    device.step()
    before = device.state()
    device.sequence = 200
    device.hello()
    assert device.state() == before


SAMPLES = {
    "HELLO": (1, 1, 0),
    "BEGIN": (0, (1, 2, 3, 4)),
    "STEP": STEP_VALUES,
    "STATUS": (),
    "LINK_STATUS": (),
    "SNAPSHOT_READ": (0, 10),
    "NOISE_READ": (0,),
    "NOISE_WRITE": (0, b""),
    "RAW_READ": (4,),
    "RESTORE_BEGIN": (1,),
    "RESTORE_WRITE": (0, b""),
    "RESTORE_COMMIT": (),
    "CHALLENGE": (),
    "AUTHORIZE": (1, bytes(16)),
    "STORE_STATUS": (),
    "STORE_SAVE": (),
    "STORE_CLEAR": (),
}
SHORTER = [name for name, values in SAMPLES.items() if values]
LONGER = [name for name in SAMPLES if name not in ("RESTORE_WRITE", "NOISE_WRITE")]


FOR_MEASURING = {"PROFILE_READ"}
OF_PLANTS = {"PLANT_HELLO", "PLANT_BOUNDS", "PLANT_RESET", "PLANT_STEP"}
"""Known only to firmware that was built to measure itself (tests/boards/test_profile.py)."""


def test_the_samples_are_all_requests() -> None:
    requests = {message.name for message in TABLE.messages if message.message_class == "request"}
    assert set(SAMPLES) == requests - FOR_MEASURING - OF_PLANTS


@pytest.mark.parametrize("name", sorted(FOR_MEASURING | {"PLANT_HELLO"}))
def test_what_was_not_built_in_is_unknown(device: FakeDevice, name: str) -> None:
    [(_, _, _, message)] = device.deliver(device.frame(name))
    assert error_name(message) == "UNKNOWN_REQUEST"


@pytest.mark.parametrize(("name", "change"), [(name, -1) for name in SHORTER] + [(name, 1) for name in LONGER])
def test_a_wrong_length_is_refused_with_the_length(device: FakeDevice, name: str, change: int) -> None:
    before = device.state()
    content = device.content(name, *SAMPLES[name])
    length = len(content) - 4 + change
    content = content[:change] if change < 0 else content + b"\x05"
    [(_, _, _, message)] = device.deliver(encode_frame(content))
    assert (error_name(message), message.detail) == ("WRONG_LENGTH", length)
    assert device.state() == before


def test_unknown_requests_are_answered_and_other_classes_are_not(device: FakeDevice) -> None:
    device.sequence += 1
    [(_, _, _, message)] = device.deliver(encode_frame(bytes([0x3E, device.sequence, 0x34, 0x12])))
    assert (error_name(message), message.request) == ("UNKNOWN_REQUEST", 0x3E)
    for kind in (0x40, 0x7F, 0x80, 0x83, 0xFF):
        assert device.deliver(encode_frame(bytes([kind, device.sequence + 1, 0x34, 0x12]))) == []
    assert device.ask("LINK_STATUS").unexpected == 5


@pytest.mark.parametrize("flags", [4, 0x80, 0xFF])
def test_unknown_flags_are_refused(device: FakeDevice, flags: int) -> None:
    [(_, _, _, message)] = device.deliver(device.frame("STEP", (0, 0, 0), 0, flags))
    assert (error_name(message), message.detail) == ("BAD_VALUE", flags)
    assert device.ask("STATUS").steps == 0


@pytest.mark.parametrize("mode", [3, 4, 255])
def test_begin_refuses_modes_it_has_not(device: FakeDevice, mode: int) -> None:
    before = device.state()
    [(_, _, _, message)] = device.deliver(device.frame("BEGIN", mode, (1, 2, 3, 4)))
    assert (error_name(message), message.detail) == ("MODE_UNAVAILABLE", mode)
    assert device.state() == before


def test_begin_refuses_the_state_that_never_changes(device: FakeDevice) -> None:
    before = device.state()
    [(_, _, _, message)] = device.deliver(device.frame("BEGIN", 0, (0, 0, 0, 0)))
    assert error_name(message) == "BAD_VALUE"
    assert device.state() == before


def test_begin_draws_the_weights_of_the_reference(device: FakeDevice) -> None:
    ready = device.ask("BEGIN", 0, seed_state(77))
    assert ready.weights_crc32 == ReferenceAgent(CONFIGURATION, EntropySettings(seed=77)).weights_crc32()


# Faults on the line


def test_half_a_frame_times_out(device: FakeDevice) -> None:
    frame = device.frame("STEP", *STEP_VALUES)
    assert device.deliver(frame[:7]) == []
    device.wait(150)
    assert device.deliver(frame[7:9]) == []
    device.wait(201)
    assert device.deliver(b"") == []
    [(name, _, _, _)] = device.deliver(frame)
    assert name == "ACTION"
    assert device.ask("LINK_STATUS").half_frames == 1


def test_a_slow_frame_is_taken(device: FakeDevice) -> None:
    frame = device.frame("STEP", *STEP_VALUES)
    replies = []
    for byte in frame:
        replies += device.deliver(bytes([byte]))
        device.wait(200)
    assert [reply[0] for reply in replies] == ["ACTION"]
    assert device.ask("LINK_STATUS").half_frames == 0


@pytest.mark.parametrize("length", [LARGEST_FRAME + 2, 400, 5000])
def test_overlong_is_dropped_and_counted_once(device: FakeDevice, length: int) -> None:
    before = device.state()
    assert device.deliver(bytes([0xFF, *([7] * length)])) == []
    assert device.deliver(b"\x00") == []
    assert device.state() == before
    assert device.ask("LINK_STATUS").overlong == 1


def test_frames_without_substance_are_malformed(device: FakeDevice) -> None:
    for content in (b"\x04", b"\x04\x01\x02\x03", b"abcdefg"):
        assert device.deliver(cobs.encode(content) + b"\0") == []
    assert device.deliver(b"\x09abc\x00") == []
    assert device.deliver(b"\x00\x00\x00") == []
    assert device.ask("LINK_STATUS").malformed == 4


def test_a_frame_of_another_table_is_dropped(device: FakeDevice) -> None:
    content = device.content("STEP", *STEP_VALUES)
    frame = content + zlib.crc32(content, TABLE.table_hash ^ 1).to_bytes(4, "little")
    assert device.deliver(cobs.encode(frame) + b"\0") == []
    plain = content + zlib.crc32(content).to_bytes(4, "little")
    assert device.deliver(cobs.encode(plain) + b"\0") == []
    device.sequence -= 1
    assert device.ask("LINK_STATUS").bad_crc == 2
    assert device.ask("STATUS").steps == 0


@st.composite
def damaged_frames(draw: st.DrawFn) -> tuple[str, list[int], int]:
    """How a good frame is spoilt: the kind of damage, where, and a number to do it with."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "swallow", "double part", "zero"]))
    places = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
    return kind, places, draw(st.integers(1, 255))


def damage(frame: bytes, kind: str, places: list[int], number: int) -> bytes:
    spoilt = bytearray(frame)
    for place in places:
        at = place % max(1, len(spoilt) - 1)
        if kind == "flip":
            spoilt[at] ^= number
        elif kind == "cut":
            spoilt = spoilt[:at] + b"\0"
        elif kind == "insert":
            spoilt.insert(at, number)
        elif kind == "swallow" and len(spoilt) > 1:
            del spoilt[at]
        elif kind == "double part":
            spoilt = spoilt[:at] + spoilt[at // 2 :]
        elif kind == "zero":
            spoilt[at] = 0
    return bytes(spoilt)


@given(
    attacks=st.lists(st.one_of(st.binary(max_size=600), damaged_frames(), st.just("repeat")), max_size=12),
    flags=st.sampled_from([0, 1]),
)
@settings(deadline=None, max_examples=300)
def test_no_fault_on_the_line_changes_the_agent(built: FakeDevice, attacks: list[object], flags: int) -> None:
    built.open_conversation()
    built.step()
    last = built.frame("STEP", *STEP_VALUES)
    answer = built.deliver(last)
    before = built.state()
    status_request = built.frame("STATUS", sequence=built.sequence)
    wanted = built.content("STEP", (5, 6, 7), 999, flags, sequence=(built.sequence + 1) & 0xFF)
    good = encode_frame(wanted)
    for attack in attacks:
        if attack == "repeat":
            replies = built.deliver(b"\0" + status_request)
            assert [reply[0] for reply in replies] == ["STATUS_REPLY"]
        elif isinstance(attack, bytes):
            assert built.deliver(attack) == []
        else:
            spoilt = damage(good, *attack)  # type: ignore[misc]
            if spoilt.strip(b"\0") != good.strip(b"\0"):
                # Ended, so that the next damage meets a fresh frame as well as a half one.
                built.deliver(spoilt + b"\0")
    assert answer[0][0] == "ACTION"
    built.deliver(b"\0")
    assert built.state() == before
    assert built.deliver(built.frame("STEP", (0, 0, 0), 0, 1))[0][3].action == 255


@given(data=st.binary(max_size=4000))
@settings(deadline=None, max_examples=100)
def test_garbage_of_any_kind_is_survived(built: FakeDevice, data: bytes) -> None:
    built.open_conversation()
    before = built.state()
    built.deliver(data[:LINE_BYTES])
    built.deliver(b"\0")
    assert built.state() == before


# Telemetry


def test_telemetry_follows_the_reply_that_ends_an_episode(device: FakeDevice) -> None:
    for _ in range(3):
        device.step()
    (action, telemetry) = device.deliver(device.frame("STEP", (0, 0, 0), 512, 1))
    assert (action[0], action[3].action, telemetry[0]) == ("ACTION", 255, "TELEMETRY")
    message = telemetry[3]
    assert (message.episode, message.episode_steps, message.dropped) == (1, 3, 0)
    assert message.episode_return == 2 * 256 + 512
    assert message.return_baseline == message.episode_return


def test_telemetry_without_room_is_dropped_and_counted(device: FakeDevice) -> None:
    coded = device.codec.by_name["TELEMETRY"].coded_bytes
    for room, count in ((0, 1), (coded - 1, 1), (coded, 2)):
        device.set_write_room(room)
        device.step()
        replies = device.deliver(device.frame("STEP", (0, 0, 0), 0, 1))
        assert len(replies) == count
    assert replies[1][3].dropped == 2
    assert device.ask("LINK_STATUS").telemetry_dropped == 2


def test_a_repeated_end_of_an_episode_repeats_no_telemetry(device: FakeDevice) -> None:
    device.step()
    frame = device.frame("STEP", (0, 0, 0), 0, 1)
    assert len(device.deliver(frame)) == 2
    assert [reply[0] for reply in device.deliver(frame)] == ["ACTION"]
    assert device.ask("STATUS").episodes == 1


# Entropy


def test_without_entropy_at_boot_the_link_still_answers(built: FakeDevice) -> None:
    built.boot(raw=True, entropy_works=False)
    hello = built.hello()
    assert (hello.agent_state, hello.entropy_mode, hello.entropy_health) == (0, 1, 2)
    for request in (("STEP", *STEP_VALUES), ("SNAPSHOT_READ", 0, 8)):
        [(_, _, _, message)] = built.deliver(built.frame(*request))
        assert error_name(message) == "NOT_READY"
    [(_, _, _, message)] = built.deliver(built.frame("BEGIN", 1, (0, 0, 0, 0)))
    assert (error_name(message), message.detail) == ("ENTROPY", 2)
    built.set_entropy(True)
    built.ask("BEGIN", 1, (0, 0, 0, 0))
    assert built.step().status == 0


def write_snapshot(device: FakeDevice, snapshot: bytes) -> None:
    device.ask("RESTORE_BEGIN", len(snapshot))
    for offset in range(0, len(snapshot), 200):
        device.ask("RESTORE_WRITE", offset, snapshot[offset : offset + 200])
    device.ask("RESTORE_COMMIT")


def test_a_restored_agent_acts_where_none_could_be_begun(built: FakeDevice) -> None:
    snapshot = ReferenceAgent(CONFIGURATION, EntropySettings(seed=1)).snapshot()
    built.boot(raw=True, entropy_works=False)
    assert built.hello().agent_state == 0
    write_snapshot(built, snapshot)
    assert built.ask("STATUS").agent_state == 1
    # It acts, and its noise is as dead as it was.
    assert built.step().status == 1 and built.ask("STATUS").agent_state == 2


def test_a_new_recording_ends_what_the_agent_was(device: FakeDevice) -> None:
    device.step()
    assert device.ask("STATUS").agent_state == 2
    assert device.ask("NOISE_WRITE", 0, b"").position == 0
    assert device.ask("STATUS").agent_state == 0
    [(_, _, _, message)] = device.deliver(device.frame("STEP", *STEP_VALUES))
    assert error_name(message) == "NOT_READY"
    device.ask("BEGIN", 0, tuple(seed_state(1)))
    assert device.ask("STATUS").agent_state == 1


def test_a_failed_draw_is_told_in_the_reply(built: FakeDevice) -> None:
    built.boot(raw=True)
    built.hello()
    assert built.step().status == 0
    built.set_entropy(False)
    assert built.step().status == 1
    status = built.ask("STATUS")
    assert (status.counters[5], status.entropy_health) == (1, 2)
    # A failure is final, so that a recording of the noise ends where the draws began to fail.
    built.set_entropy(True)
    assert built.step().status == 1
    built.ask("BEGIN", 1, (0, 0, 0, 0))
    assert built.step().status == 0


def test_noise_is_read_back_exactly_as_it_was_drawn(built: FakeDevice) -> None:
    """The fake generator counts: after the 128 bytes of the start-up test come 128, 129, ..."""
    built.boot(raw=True)
    built.hello()
    drawn = initial_draw_bytes(CONFIGURATION)
    position, read = 0, b""
    for call in range(400):
        # An episode's end is answered by ACTION and followed by TELEMETRY.
        [(_, _, _, action), *_] = built.deliver(built.frame("STEP", (900, -300, 1200), 256, int(call % 7 == 6)))
        waits = action.status == 2
        if call % 7 == 6:
            drawn += update_draw_bytes(CONFIGURATION)
        else:
            drawn += step_draw_bytes(CONFIGURATION)
        if waits or call == 399:
            while data := built.ask("NOISE_READ", position).data:
                read += data
                position += len(data)
            assert position == drawn
    assert read == bytes((128 + index) & 0xFF for index in range(drawn))
    assert position > 4 * 240, "several frames, and the log has gone round"
    # What the host has said it has is forgotten in time, and nothing is there before it was drawn.
    [(_, _, _, message)] = built.deliver(built.frame("NOISE_READ", (position - 100_000) & 0xFFFFFFFF))
    assert error_name(message) == "NOISE_LOST"
    [(_, _, _, message)] = built.deliver(built.frame("NOISE_READ", position + 1))
    assert error_name(message) == "NOISE_LOST"
    assert built.ask("NOISE_READ", position).data == b""


def test_a_host_that_does_not_read_the_noise_loses_it_and_hears_so(built: FakeDevice) -> None:
    built.boot(raw=True)
    built.hello()
    statuses = [built.step().status for _ in range(300)]
    assert statuses[0] == 0 and statuses[-1] == 2
    [(_, _, _, message)] = built.deliver(built.frame("NOISE_READ", 0))
    assert error_name(message) == "NOISE_LOST"


# Snapshots


def read_snapshot(device: FakeDevice, chunk: int) -> bytes:
    total = CONFIGURATION.snapshot_bytes
    return b"".join(
        device.ask("SNAPSHOT_READ", offset, min(chunk, total - offset)).data for offset in range(0, total, chunk)
    )


@pytest.mark.parametrize("chunk", [1, 7, 64, 240])
def test_snapshots_in_chunks_of_any_size(device: FakeDevice, chunk: int) -> None:
    for _ in range(5):
        device.step()
        device.deliver(device.frame("STEP", (0, 0, 0), 300, 1))
    snapshot = read_snapshot(device, chunk)
    reference = ReferenceAgent(CONFIGURATION, EntropySettings(seed=1))
    reference.restore(snapshot)
    assert reference.snapshot() == snapshot
    device.ask("BEGIN", 0, (1, 2, 3, 4))
    device.ask("RESTORE_BEGIN", len(snapshot))
    for offset in range(0, len(snapshot), chunk):
        device.ask("RESTORE_WRITE", offset, snapshot[offset : offset + chunk])
    assert device.ask("RESTORE_COMMIT").episodes == 5
    assert read_snapshot(device, 100) == snapshot


def test_a_damaged_snapshot_changes_nothing(device: FakeDevice) -> None:
    snapshot = bytearray(read_snapshot(device, 100))
    snapshot[80] ^= 1
    before = device.state()
    device.ask("RESTORE_BEGIN", len(snapshot))
    device.ask("RESTORE_WRITE", 0, bytes(snapshot[:100]))
    [(_, _, _, message)] = device.deliver(device.frame("RESTORE_WRITE", 99, bytes(10)))
    assert (error_name(message), message.detail) == ("SNAPSHOT_RANGE", 99)
    [(_, _, _, message)] = device.deliver(device.frame("STEP", *STEP_VALUES))
    assert error_name(message) == "RESTORE_OPEN"
    for offset in range(100, len(snapshot), 50):
        device.ask("RESTORE_WRITE", offset, bytes(snapshot[offset : offset + 50]))
    [(_, _, _, message)] = device.deliver(device.frame("RESTORE_COMMIT"))
    assert error_name(message) == "SNAPSHOT_REFUSED"
    assert device.state() == before
    assert device.step().action < CONFIGURATION.actions


def test_snapshot_refusals(device: FakeDevice) -> None:
    total = CONFIGURATION.snapshot_bytes
    cases = [
        ("SNAPSHOT_READ", (total - 3, 4), "SNAPSHOT_RANGE"),
        ("SNAPSHOT_READ", (0xFFFFFFFF, 2), "SNAPSHOT_RANGE"),
        ("SNAPSHOT_READ", (0, 241), "BAD_VALUE"),
        ("RESTORE_BEGIN", (total + 1,), "SNAPSHOT_REFUSED"),
        ("RESTORE_WRITE", (0, b"abc"), "SNAPSHOT_REFUSED"),
        ("RESTORE_COMMIT", (), "SNAPSHOT_REFUSED"),
    ]
    for name, values, wanted in cases:
        [(_, _, _, message)] = device.deliver(device.frame(name, *values))
        assert error_name(message) == wanted, name
    device.step()
    [(_, _, _, message)] = device.deliver(device.frame("SNAPSHOT_READ", 0, 8))
    assert error_name(message) == "EPISODE_OPEN"


def test_the_smallest_frame_buffers_do() -> None:
    small = FakeDevice(data_bytes=16)
    small.open_conversation()
    hello = small.hello()
    assert hello.largest_frame < LARGEST_FRAME
    # A host fills the largest frame, whatever message made it that large: header, offset and CRC take 4 bytes each.
    room = hello.largest_frame - 12
    assert room > 16
    assert small.ask("SNAPSHOT_READ", 0, room).data[:4] == b"NRLS"
    [(_, _, _, message)] = small.deliver(small.frame("SNAPSHOT_READ", 0, room + 1))
    assert error_name(message) == "BAD_VALUE"
    longest = small.frame("RESTORE_WRITE", 0, bytes([1] * 240))
    assert small.deliver(longest) == []
    small.sequence -= 1
    assert small.ask("LINK_STATUS").overlong == 1


@pytest.mark.parametrize("before", [1, 3, 1000])
def test_noise_of_an_earlier_agent_is_not_handed_out(device: FakeDevice, before: int) -> None:
    """Bytes before the first one are what the log held for the agent before: found by fuzzing."""
    device.ask("BEGIN", 1, (0, 0, 0, 0))
    drawn = len(device.ask("NOISE_READ", 0).data)
    assert drawn > 0
    device.ask("BEGIN", 1, (0, 0, 0, 0))
    [(_, _, _, message)] = device.deliver(device.frame("NOISE_READ", (1 << 32) - before))
    assert error_name(message) == "NOISE_LOST"
    assert len(device.ask("NOISE_READ", 0).data) == drawn
