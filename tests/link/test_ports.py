"""Finding the board among the serial ports, without opening any."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nrl_edge.errors import DeviceError
from nrl_host.link import ports

MICROBIT = (0x0D28, 0x0204)
PICO = (0x2E8A, 0x000A)


def port(device: str, usb_id: tuple[int, int] | None, serial_number: str | None = None) -> Any:
    vid, pid = usb_id or (None, None)
    return SimpleNamespace(device=device, description="a port", vid=vid, pid=pid, serial_number=serial_number)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    there: list[Any] = [
        port("/dev/ttyS0", None),
        port("/dev/ttyACM1", MICROBIT, "B"),
        port("/dev/ttyACM0", MICROBIT, "A"),
        port("/dev/ttyACM2", PICO, "P"),
    ]
    monkeypatch.setattr(ports.serial_list_ports, "comports", lambda: list(there))
    return there


@pytest.mark.usefixtures("machine")
def test_ports_are_listed_by_name_and_filtered_by_usb_id() -> None:
    assert [found.device for found in ports.list_ports()] == [
        "/dev/ttyACM0",
        "/dev/ttyACM1",
        "/dev/ttyACM2",
        "/dev/ttyS0",
    ]
    assert [found.device for found in ports.list_ports([PICO])] == ["/dev/ttyACM2"]
    assert ports.list_ports([]) == []


@pytest.mark.usefixtures("machine")
def test_one_candidate_is_the_board() -> None:
    assert ports.find_port([PICO]).device == "/dev/ttyACM2"
    assert ports.find_port([MICROBIT], serial_number="B").device == "/dev/ttyACM1"


@pytest.mark.usefixtures("machine")
def test_more_than_one_candidate_is_listed() -> None:
    with pytest.raises(DeviceError, match=r"2 ports could be .*ttyACM0.*0d28:0204.*serial number A.*ttyACM1.*--port"):
        ports.find_port([MICROBIT])


def test_no_candidate_lists_what_is_there(machine: list[Any]) -> None:
    with pytest.raises(DeviceError, match=r"no port with .*There are: .*ttyACM0"):
        ports.find_port([(1, 2)])
    with pytest.raises(DeviceError, match="serial number Z"):
        ports.find_port([PICO], serial_number="Z")
    machine.clear()
    with pytest.raises(DeviceError, match="no serial port at all"):
        ports.find_port([PICO])


def test_a_board_is_found_again_under_another_name(machine: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    machine[3:] = []
    waits: list[float] = []

    def come_back(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            machine.append(port("/dev/ttyACM7", PICO, "P"))

    monkeypatch.setattr(ports.time, "sleep", come_back)
    assert ports.wait_for_port([PICO], "P", timeout=60).device == "/dev/ttyACM7"
    assert len(waits) == 3
    with pytest.raises(DeviceError, match="serial number Q"):
        ports.wait_for_port([PICO], "Q", timeout=0)


def test_a_slow_adapter_is_told_how_to_be_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_LATENCY_FOLDER", tmp_path)
    assert ports.latency_timer_ms("/dev/ttyUSB0") is None
    assert ports.latency_hint("/dev/ttyUSB0") is None
    timer = tmp_path / "ttyUSB0" / "latency_timer"
    timer.parent.mkdir()
    timer.write_text("16\n")
    assert ports.latency_timer_ms("/dev/ttyUSB0") == 16
    hint = ports.latency_hint("/dev/ttyUSB0")
    assert hint is not None and "up to 16 ms" in hint and str(timer) in hint
    timer.write_text("1\n")
    assert ports.latency_hint("/dev/ttyUSB0") is None


def test_an_adapter_is_found_again_under_another_name(machine: list[Any]) -> None:
    locate = ports.usb_locator("/dev/ttyACM1")
    assert locate is not None and locate() == "/dev/ttyACM1"
    gone = machine.pop(1)
    with pytest.raises(DeviceError, match="serial number B"):
        locate()
    # Another board of the same kind is there; it is not taken for it.
    machine.append(port("/dev/ttyACM7", MICROBIT, "B"))
    assert locate() == "/dev/ttyACM7"
    assert gone.device != "/dev/ttyACM7"


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("device", ["/dev/ttyS0", "/dev/ttyUSB9", "socket://127.0.0.1:4000"])
def test_what_is_no_usb_adapter_keeps_its_name(device: str) -> None:
    assert ports.usb_locator(device) is None
