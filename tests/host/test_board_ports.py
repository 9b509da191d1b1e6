"""Boards behind ports: listed by USB id, confirmed by their firmware, never guessed, never opened unasked."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nrl_edge.boards import load_boards
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host import board_ports
from nrl_host.board_ports import find_boards, watch_boards
from nrl_host.link import open_port
from nrl_host.link.ports import PortInformation
from nrl_host.targets.desktop import DesktopTarget

AGENT = AgentConfiguration(4, (8,), 2)
SHARED = (0x0D28, 0x0204)  # micro:bit v1 and v2
OWN = (0x0483, 0x374E)  # the probe of the NUCLEO-G474RE


def port(device: str, usb_id: tuple[int, int] | None = SHARED, serial_number: str | None = "A") -> PortInformation:
    return PortInformation(device, "a port", usb_id, serial_number)


@pytest.fixture(scope="module")
def firmware() -> Iterator[str]:
    """A pseudo terminal with firmware behind it."""
    with DesktopTarget(AGENT, seed=3, transport="pty") as target:
        yield target.url


@pytest.fixture
def silent_terminal() -> Iterator[str]:
    """A pseudo terminal that nobody answers at."""
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_firmware_says_which_board_it_is(firmware: str) -> None:
    (found,) = find_boards(ports=[port(firmware)])
    assert found.candidates == ("microbit", "microbit_v2")
    # Not what the USB id suggests: what the firmware says.
    assert (found.state, found.board, found.agent, found.episodes) == ("confirmed", "desktop", AGENT.description, 0)


def test_what_does_not_answer_is_not_guessed(silent_terminal: str) -> None:
    (shared,) = find_boards(ports=[port(silent_terminal)], timeout=0.2)
    assert (shared.state, shared.board) == ("silent", None)
    assert shared.candidates == ("microbit", "microbit_v2") and "nothing answered" in shared.detail
    (own,) = find_boards(ports=[port(silent_terminal, OWN)], timeout=0.2)
    assert (own.state, own.board) == ("silent", "nucleo_g474re")


def test_unlisted_ports_are_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Recorded:
        def __init__(self, url: str, **options: object) -> None:
            opened.append(url)
            raise board_ports.PortUnavailableError("gone")

    monkeypatch.setattr(board_ports, "Link", Recorded)
    ports = [port("/dev/a", None), port("/dev/b", (0x1234, 0x5678)), port("/dev/c")]
    found = find_boards(ports=ports)
    assert [each.state for each in found] == ["unlisted", "unlisted", "unavailable"]
    assert set(opened) == {"/dev/c"}
    opened.clear()
    assert [each.state for each in find_boards(ports=ports, confirm=False)] == ["unlisted", "unlisted", "not opened"]
    assert opened == []


def test_a_port_in_use_is_left_alone(firmware: str) -> None:
    holder = open_port(firmware)
    try:
        (found,) = find_boards(ports=[port(firmware)])
        assert (found.state, found.board) == ("unavailable", None) and "exclusively lock" in found.detail
    finally:
        holder.close()


def test_a_rate_is_tried_once_for_all_boards_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    class Silent:
        def __init__(self, url: str, *, baud: int, reset_on_open: bool, open_timeout: float) -> None:
            assert not reset_on_open
            tried.append(baud)
            raise board_ports.DeviceError("nothing answered")

    monkeypatch.setattr(board_ports, "Link", Silent)
    boards = load_boards()
    find_boards(ports=[port("/dev/a")], boards=boards)
    assert tried == [115200]
    tried.clear()
    changed = [
        replace(board, uart=replace(board.uart, baud=9600)) if board.id == "microbit" and board.uart else board
        for board in boards
    ]
    find_boards(ports=[port("/dev/a")], boards=changed)
    assert tried == [9600, 115200]


def test_watching_follows_plug_and_unplug() -> None:
    a, b = port("/dev/a"), port("/dev/b", serial_number="B")
    looks = [[a], [a], [a, b], [b], []]
    left = iter(looks)
    waits = iter([False] * (len(looks) - 1) + [True])
    events = list(watch_boards(lambda: next(waits), confirm=False, find_ports=lambda: next(left)))
    assert [(event.event, event.board_port.port.device) for event in events] == [
        ("plugged", "/dev/a"),
        ("plugged", "/dev/b"),
        ("unplugged", "/dev/a"),
        ("unplugged", "/dev/b"),
    ]


def test_a_board_that_is_changed_for_another_under_the_same_name_is_seen() -> None:
    first, second = port("/dev/a"), port("/dev/a", OWN, "P")
    looks = iter([[first], [second]])
    waits = iter([False, True])
    events = list(watch_boards(lambda: next(waits), confirm=False, find_ports=lambda: next(looks)))
    assert [(event.event, event.board_port.candidates) for event in events] == [
        ("plugged", ("microbit", "microbit_v2")),
        ("unplugged", ("microbit", "microbit_v2")),
        ("plugged", ("nucleo_g474re",)),
    ]
