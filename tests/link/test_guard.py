"""A device with a key takes what changes its agent only from a host that has it, too."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_under_test import FakeDevice
from hypothesis import given
from hypothesis import strategies as st
from tools import require_board

from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import PLAIN, FirmwareOptions, firmware_options, read_link_key, write_link_key
from nrl_edge.codegen.render import render_folder
from nrl_edge.errors import ConfigurationError, DeviceError
from nrl_edge.experiment import parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_host.device import LinkAgent
from nrl_host.link import Link, RequestRefusedError, SessionLostError
from nrl_host.link.faults import faulty_url, parse_line_faults
from nrl_host.link.messages import MESSAGES, TABLE
from nrl_host.targets import make_target
from nrl_host.targets.desktop import DesktopTarget

CONFIGURATION = AgentConfiguration(2, (4,), 2)
KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
SEEDED = EntropySettings(seed=3)
PROTECTED = FirmwareOptions(save_every=2, link_key=KEY)


@pytest.fixture(scope="module")
def tag_in_c() -> Callable[[bytes, list[bytes]], bytes]:
    sources = render_folder("hash", {})
    library = ctypes.CDLL(str(build_cached(sources, "blake2s-under-test", shared=True)))

    def tag(key: bytes, parts: list[bytes]) -> bytes:
        state = ctypes.create_string_buffer(256)
        result = ctypes.create_string_buffer(16)
        library.nrl_blake2s_start(state, key)
        for part in parts:
            library.nrl_blake2s_add(state, part, len(part))
        library.nrl_blake2s_finish(state, result)
        return result.raw

    return tag


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=150), max_size=4))
def test_tags_are_those_of_blake2s(
    tag_in_c: Callable[[bytes, list[bytes]], bytes], key: bytes, parts: list[bytes]
) -> None:
    assert tag_in_c(key, parts) == hashlib.blake2s(b"".join(parts), key=key, digest_size=16).digest()


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 129, 300])
def test_tags_at_the_ends_of_blocks(tag_in_c: Callable[[bytes, list[bytes]], bytes], length: int) -> None:
    data = bytes(i % 251 for i in range(length))
    assert tag_in_c(KEY, [data]) == hashlib.blake2s(data, key=KEY, digest_size=16).digest()


@pytest.mark.parametrize(
    "board", ["desktop", pytest.param("microbit", marks=pytest.mark.slow), pytest.param("uno", marks=pytest.mark.slow)]
)
def test_with_the_key_everything_works_and_without_it_only_steps_do(board: str) -> None:
    require_board(board)
    with make_target(board, CONFIGURATION, options=PROTECTED) as target:
        with Link(target.url, key=KEY) as link:
            agent = LinkAgent(link, CONFIGURATION, SEEDED)
            snapshot = agent.snapshot()
            agent.step(np.zeros(2, np.int16), 0, False, False)
            agent.step(np.zeros(2, np.int16), 100, True, False)
            agent.restore(snapshot)
            assert agent.snapshot() == snapshot
            agent.store_save()
        with Link(target.url) as link:
            assert link.hello.asks_for_key == 1
            agent = LinkAgent(link, CONFIGURATION, SEEDED, begin=False)
            for change in (agent.begin, agent.store_clear, lambda: agent.restore(snapshot)):
                with pytest.raises(DeviceError, match="only from a host that has its key"):
                    change()
            agent.step(np.zeros(2, np.int16), 0, False, False)
        with Link(target.url, key=OTHER_KEY) as link:
            agent = LinkAgent(link, CONFIGURATION, SEEDED, begin=False)
            for change in (agent.begin, agent.store_clear, lambda: agent.restore(snapshot)):
                with pytest.raises(RequestRefusedError) as refused:
                    change()
                assert refused.value.code_name == "PROTECTED"
            assert agent.status().agent_state == 2  # the episode is still open: nothing has changed


def test_every_request_that_changes_the_agent_is_protected() -> None:
    harmless = {"HELLO", "STATUS", "LINK_STATUS", "SNAPSHOT_READ", "NOISE_READ", "RAW_READ", "STORE_STATUS", "STEP"}
    harmless |= {"CHALLENGE", "AUTHORIZE", "PROFILE_READ"}
    # A plant's firmware has no agent.
    harmless |= {"PLANT_HELLO", "PLANT_BOUNDS", "PLANT_RESET", "PLANT_STEP"}
    requests = {message.name for message in TABLE.messages if message.message_class == "request"}
    assert {message.name for message in TABLE.messages if message.protected} == requests - harmless


def bare(link: Link, message: Any) -> str:
    """Send a request as somebody would who knows the protocol and not the key; how it was refused, or "done"."""
    codec = link.codec_of(type(message).__name__)
    content = codec.pack(link._next_sequence(), link.session, message)
    reply = link.codec_of(codec.message.reply)
    try:
        link._exchange(content, reply.id, reply.coded_bytes)
    except RequestRefusedError as error:
        return error.code_name
    return "done"


def test_a_tag_is_good_for_one_request_only_and_for_no_other() -> None:
    clear, save = MESSAGES["STORE_CLEAR"](), MESSAGES["STORE_SAVE"]()
    with DesktopTarget(CONFIGURATION, options=PROTECTED) as target, Link(target.url, key=KEY) as link:
        nonce = link.request(MESSAGES["CHALLENGE"]()).nonce

        def tag(counter: int, message: Any, with_nonce: bytes = nonce) -> bytes:
            content = link.codec_of(type(message).__name__).pack(0, 0, message)
            signed = with_nonce + counter.to_bytes(4, "little") + content[:1] + content[4:]
            return hashlib.blake2s(signed, key=KEY, digest_size=16).digest()

        def authorize(counter: int, tag: bytes) -> str:
            return bare(link, MESSAGES["AUTHORIZE"](counter, tag))

        good = tag(5, save)
        assert (authorize(5, good), bare(link, save), bare(link, save)) == ("done", "done", "PROTECTED")
        # Recorded and sent again: the counter has passed it.
        assert (authorize(5, good), bare(link, save)) == ("BAD_VALUE", "PROTECTED")
        # For another request; the tag is then used up.
        assert (authorize(6, tag(6, save)), bare(link, clear), bare(link, save)) == ("done", "PROTECTED", "PROTECTED")
        # One bit wrong, under another counter, of another session.
        wrong = bytes([tag(7, clear)[0] ^ 1]) + tag(7, clear)[1:]
        assert (authorize(7, wrong), bare(link, clear)) == ("done", "PROTECTED")
        assert (authorize(8, tag(9, clear)), bare(link, clear)) == ("done", "PROTECTED")
        assert (authorize(10, tag(10, clear, bytes(16))), bare(link, clear)) == ("done", "PROTECTED")
        assert (authorize(11, tag(11, clear)), bare(link, clear)) == ("done", "done")
        # Requests that are not protected do not use a tag up.
        assert (authorize(12, tag(12, save)), bare(link, MESSAGES["STATUS"]())) == ("done", "done")
        assert bare(link, save) == "done"
        # A bit wrong in any byte of it.
        for counter in range(13, 29):
            wrong = bytearray(tag(counter, clear))
            wrong[counter - 13] ^= 0x10
            assert (authorize(counter, bytes(wrong)), bare(link, clear)) == ("done", "PROTECTED"), counter - 13
        target.restart()
        with Link(target.url, key=KEY) as again:
            assert again.request(MESSAGES["CHALLENGE"]()).nonce != nonce


def test_the_session_makes_the_nonce_another_one_where_there_is_no_generator() -> None:
    device = FakeDevice(options=FirmwareOptions(link_key=KEY))

    def nonce(session: int, entropy_works: bool) -> bytes:
        device.boot(session, entropy_works=entropy_works)
        device.hello()
        return bytes(device.ask("CHALLENGE").nonce)

    assert nonce(0x1234, False) == bytes([0x34, 0x12]) + bytes(14)
    assert nonce(0x1235, False) != nonce(0x1234, False)
    # The fake generator counts 0, 1, 2, ...: both together.
    assert nonce(0x1234, True) == bytes([0x34, 1 ^ 0x12]) + bytes(range(2, 16))


def test_a_host_asks_for_the_nonce_anew_when_the_device_has_restarted() -> None:
    with (
        DesktopTarget(CONFIGURATION, options=PROTECTED) as target,
        Link(target.url, key=KEY, reconnect_timeout=5.0, locate=lambda: target.url) as link,
    ):
        agent = LinkAgent(link, CONFIGURATION, SEEDED)
        target.restart()
        with pytest.raises(SessionLostError):
            agent.status()
        link.greet()
        agent.begin()
        assert agent.status().agent_state == 1


def test_a_key_changes_nothing_that_is_learned_over_a_bad_line() -> None:
    faults = parse_line_faults("drop=0.1,flip=0.05,duplicate=0.05,reorder=0.05,seed=7")
    with (
        DesktopTarget(CONFIGURATION, options=PROTECTED) as target,
        Link(faulty_url(target.url, faults), key=KEY) as link,
    ):
        agent = LinkAgent(link, CONFIGURATION, SEEDED)
        snapshot = agent.snapshot()
        for _ in range(30):
            agent.restore(snapshot)
        assert agent.snapshot() == snapshot


def test_a_device_without_a_key_asks_for_none() -> None:
    with DesktopTarget(CONFIGURATION) as target, Link(target.url, key=KEY) as link:
        LinkAgent(link, CONFIGURATION, SEEDED)
        assert link.hello.asks_for_key == 0
        with pytest.raises(RequestRefusedError, match="has no key"):
            link.request(MESSAGES["CHALLENGE"]())
    assert "include/nrl_key.h" not in render_firmware(CONFIGURATION, seed=1, entropy_mode="seeded")


def test_a_new_key_is_its_owners_and_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "board.key"
    write_link_key(file)
    assert file.stat().st_mode & 0o077 == 0
    assert len(read_link_key(file)) == 32
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_link_key(file)
    assert file.read_bytes() == before
    experiment = parse_experiment('[task]\nid = "CartPole-v1"\n[link]\nkey_file = "board.key"\n', folder=tmp_path)
    assert firmware_options(experiment) == FirmwareOptions(link_key=read_link_key(file))
    assert parse_experiment(experiment.to_toml(), folder=tmp_path) == experiment
    assert firmware_options(parse_experiment('[task]\nid = "CartPole-v1"\n')) == PLAIN


@pytest.mark.parametrize("content", ["", "xyz", "00" * 31, "00" * 33, "é" * 64])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "board.key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="nrl-edge key"):
        read_link_key(file)
    with pytest.raises(ConfigurationError, match="nrl-edge key"):
        read_link_key(tmp_path / "nothing.key")


def test_the_key_is_not_shown_where_options_are() -> None:
    assert "0f10" not in repr(PROTECTED) and "link_key" not in repr(PROTECTED)
