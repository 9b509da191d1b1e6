"""A port that is read and written directly keeps what pyserial promises."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import tty
from collections.abc import Iterator
from typing import Any

import pytest
import serial

from nrl_host.link import close_port, open_port
from nrl_host.link.direct_port import DirectPort

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere ports are pyserial's own")


class OtherEnd:
    """The far end of a port, whatever it is."""

    def __init__(self, file: int, owner: socket.socket | None = None) -> None:
        self.file = file
        self._owner = owner

    def close(self) -> None:
        if self._owner is not None:
            self._owner.close()
        else:
            os.close(self.file)


@pytest.fixture(params=["pty", "socket"])
def both_ends(request: pytest.FixtureRequest) -> Iterator[tuple[Any, OtherEnd]]:
    """(open port, its other end)."""
    if request.param == "pty":
        master, slave = os.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        port = open_port(os.ttyname(slave), timeout=0.05)
        os.close(slave)
        other = OtherEnd(master)
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = open_port(f"socket://127.0.0.1:{listener.getsockname()[1]}", timeout=0.05)
            peer, _ = listener.accept()
        other = OtherEnd(peer.fileno(), peer)
    yield port, other
    close_port(port)
    with contextlib.suppress(OSError):
        other.close()


def test_devices_and_sockets_are_direct_and_others_are_not(both_ends: tuple[Any, OtherEnd]) -> None:
    assert isinstance(both_ends[0], DirectPort)
    loop = open_port("loop://")
    assert not isinstance(loop, DirectPort)
    close_port(loop)


def test_bytes_go_both_ways_and_a_read_waits_for_all(both_ends: tuple[Any, OtherEnd]) -> None:
    port, other = both_ends
    port.timeout = 20.0
    assert port.write(b"\x00\x11\xff") == 3
    assert os.read(other.file, 64) == b"\x00\x11\xff"
    os.write(other.file, b"abc")
    late = threading.Timer(0.02, os.write, (other.file, b"def"))
    late.start()
    assert port.read(5) == b"abcde"
    late.join()
    assert port.read(1) == b"f"


def test_a_read_gives_what_there_is_when_its_time_is_over(both_ends: tuple[Any, OtherEnd]) -> None:
    port, other = both_ends
    assert port.read(4) == b""
    os.write(other.file, b"ab")
    assert port.read(4) == b"ab"
    assert port.timeout == 0.05
    port.timeout = 0.01
    assert port.timeout == 0.01, "settings are the port's own"
    assert port.read(1) == b""


def test_more_than_the_system_takes_at_once_is_still_sent_whole(both_ends: tuple[Any, OtherEnd]) -> None:
    port, other = both_ends
    sent = bytes(range(256)) * 8192
    received = bytearray()

    def drain() -> None:
        while len(received) < len(sent):
            received.extend(os.read(other.file, 65536))

    reader = threading.Thread(target=drain)
    reader.start()
    assert port.write(sent) == len(sent)
    reader.join(30.0)
    assert bytes(received) == sent


def test_a_port_whose_other_end_is_gone_fails(both_ends: tuple[Any, OtherEnd]) -> None:
    port, other = both_ends
    other.close()
    with pytest.raises((serial.SerialException, OSError)):
        for _ in range(3):
            port.read(1)
            port.write(b"x")


def test_a_closed_port_touches_no_other_file(both_ends: tuple[Any, OtherEnd]) -> None:
    port, _ = both_ends
    close_port(port)
    # Whoever opens next gets the number that the port's file had.
    reading, writing = os.pipe()
    try:
        with pytest.raises((serial.SerialException, OSError)):
            port.write(b"not for the pipe")
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 64)
    finally:
        os.close(reading)
        os.close(writing)
