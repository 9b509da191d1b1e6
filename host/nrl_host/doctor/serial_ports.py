"""Serial ports: which are there, who may open them, who else grabs them, and what makes them slow."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from nrl_edge.boards import Board
from nrl_host.board_ports import boards_of, usb_id_text
from nrl_host.doctor.check import Check, Machine
from nrl_host.link.ports import FAST_LATENCY_MS, PortInformation

_SERIAL_GROUPS = ("dialout", "uucp")
"""Groups that may open serial ports: of Debian, Ubuntu and Fedora, and of Arch."""
_RULES = "99-platformio-udev.rules"
_RULES_FOLDERS = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/run/udev/rules.d")
_RULES_URL = "https://raw.githubusercontent.com/platformio/platformio-core/develop/platformio/assets/system/" + _RULES
_CH340 = (0x1A86, 0x7523)
_RELOAD = "sudo udevadm control --reload-rules && sudo udevadm trigger"


def port_checks(machine: Machine, boards: Sequence[Board]) -> Iterator[Check]:
    """Every serial port that is there, then what stands in the way of opening them."""
    ports = machine.ports()
    ours = [port for port in ports if boards_of(port, boards)]
    if not ports:
        yield Check("serial ports", "ok", False, "none is there; a board that is plugged in shows one")
    for port in ports:
        yield _port_check(machine, port, boards)
    if not machine.is_linux:
        detail = "permissions, udev, ModemManager and latency timers are looked at on Linux only (docs/platforms.md)"
        yield Check("serial port set-up", "unknown", False, detail)
        return
    yield from _boards_without_port(machine, ports, boards)
    yield _group_check(machine, ours)
    yield _rules_check(machine, boards)
    yield _modem_manager_check(machine, bool(ours))
    yield from _brltty_check(machine, ports)
    yield from _latency_checks(machine)


def _port_check(machine: Machine, port: PortInformation, boards: Sequence[Board]) -> Check:
    candidates = boards_of(port, boards)
    name = f"port {port.device}"
    usb = f" {usb_id_text(port.usb_id)}" if port.usb_id else ""
    what = f"{port.description}{usb}" if port.usb_id else "on no USB device"
    if not candidates:
        return Check(name, "ok", False, f"{what}: no board of the catalogue, and never opened")
    which = f"{what}: may be {' or '.join(candidates)}"
    if machine.can_open(port.device):
        return Check(name, "ok", True, which, "", candidates)
    detail = f"{which}; you may not open it"
    return Check(name, "problem", True, detail, _join_group(machine), candidates)


def _group(machine: Machine) -> tuple[str, list[str]] | None:
    """The group that serial ports belong to here, and its members."""
    for line in machine.text("/etc/group").splitlines():
        fields = line.split(":")
        if fields[0] in _SERIAL_GROUPS and len(fields) >= 4:
            return fields[0], fields[3].split(",")
    return None


def _join_group(machine: Machine) -> str:
    found = _group(machine)
    group = found[0] if found else _SERIAL_GROUPS[0]
    if found is not None and machine.user() in found[1] and group not in machine.groups():
        return f"newgrp {group}   (you are in the group already: or log out and in again)"
    return f"sudo usermod -aG {group} {machine.user()}   (then log out and in again)"


def _group_check(machine: Machine, ours: Sequence[PortInformation]) -> Check:
    name = "permission for serial ports"
    found = _group(machine)
    group = found[0] if found else _SERIAL_GROUPS[0]
    if machine.is_administrator:
        return Check(name, "ok", False, "you are root, who may open every port")
    if group in machine.groups():
        return Check(name, "ok", False, f"you are in the group {group}")
    if ours and all(machine.can_open(port.device) for port in ours):
        return Check(name, "ok", False, f"you are not in the group {group}, and may open what is plugged in")
    detail = f"you are not in the group {group}, to which serial ports belong"
    return Check(name, "problem", False, detail, _join_group(machine))


def _rules_file(machine: Machine) -> Path | None:
    places = [machine.path(folder) / _RULES for folder in _RULES_FOLDERS]
    return next((place for place in places if place.is_file()), None)


def _install_rules() -> str:
    """PlatformIO's rules from its Python package where that is installed, so that no network is needed."""
    spec = importlib.util.find_spec("platformio")
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / "assets" / "system" / _RULES
        if file.is_file():
            return f"sudo cp {file} /etc/udev/rules.d/ && {_RELOAD}"
    return f"curl -fsSL {_RULES_URL} | sudo tee /etc/udev/rules.d/{_RULES} >/dev/null && {_RELOAD}"


def _rules_check(machine: Machine, boards: Sequence[Board]) -> Check:
    users = [board.id for board in boards if board.platformio is not None]
    found = _rules_file(machine)
    if found is not None:
        return Check("udev rules", "ok", False, f"/{found.relative_to(machine.root)}", "", users)
    detail = "PlatformIO's udev rules are not installed; debug probes (CMSIS-DAP, ST-Link, J-Link) need them"
    return Check("udev rules", "missing", False, detail, _install_rules(), users)


def _runs(machine: Machine, program: str) -> bool:
    return any(machine.text(path) == program for path in machine.path("/proc").glob("[0-9]*/comm"))


def _modem_manager_check(machine: Machine, board_is_there: bool) -> Check:
    name = "ModemManager"
    if not _runs(machine, "ModemManager"):
        return Check(name, "ok", False, "does not run")
    if _rules_file(machine) is not None:
        return Check(name, "ok", False, "runs, and the udev rules tell it to leave boards alone")
    detail = "runs, and probes every new serial port for a modem for some seconds: what a board is sent gets lost"
    # It is in the way now, where a board is there.
    return Check(name, "problem", board_is_there, detail, "sudo systemctl disable --now ModemManager")


def _brltty_check(machine: Machine, ports: Sequence[PortInformation]) -> Iterator[Check]:
    """brltty takes CH340 adapters for braille displays (Ubuntu 22.04): their port vanishes right after it came."""
    id_text = f"{_CH340[0]:x}/{_CH340[1]:x}"
    for folder in _RULES_FOLDERS:
        for file in machine.path(folder).glob("*brltty*.rules"):
            lines = [line for line in machine.text(file).splitlines() if not line.lstrip().startswith("#")]
            if any(id_text in line for line in lines):
                there = any(port.usb_id == _CH340 for port in ports)
                detail = f"takes CH340 adapters ({usb_id_text(_CH340)}) for braille displays, and their ports vanish"
                if not there:
                    yield Check("brltty", "problem", False, detail, "sudo apt-get remove brltty")
                return


def _latency_checks(machine: Machine) -> Iterator[Check]:
    folder = "/sys/bus/usb-serial/devices"
    for path in sorted(machine.path(folder).glob("*/latency_timer")):
        device, name = path.parent.name, f"latency timer of {path.parent.name}"
        text = machine.text(path)
        if not text.isdigit():
            yield Check(name, "unknown", False, "cannot be read")
        elif int(text) <= FAST_LATENCY_MS:
            yield Check(name, "ok", False, f"{text} ms")
        else:
            detail = f"{text} ms: the adapter holds every reply back for so long; {FAST_LATENCY_MS} ms is right"
            remedy = f"echo {FAST_LATENCY_MS} | sudo tee {folder}/{device}/latency_timer"
            yield Check(name, "problem", False, detail, remedy)


def _boards_without_port(
    machine: Machine, ports: Sequence[PortInformation], boards: Sequence[Board]
) -> Iterator[Check]:
    """Devices on the USB bus with a board's id that no serial driver has taken."""
    with_port = {(port.usb_id, port.serial_number) for port in ports}
    seen = {port.usb_id for port in ports}
    for folder in sorted(machine.path("/sys/bus/usb/devices").glob("*")):
        try:
            usb_id = int(machine.text(folder / "idVendor"), 16), int(machine.text(folder / "idProduct"), 16)
        except ValueError:
            continue
        serial_number = machine.text(folder / "serial") or None
        candidates = boards_of(usb_id, boards)
        known = (usb_id, serial_number) in with_port if serial_number else usb_id in seen
        if not candidates or known:
            continue
        product = machine.text(folder / "product") or "a device"
        detail = f"{product} {usb_id_text(usb_id)} is on the USB bus, and no driver has made a serial port of it"
        remedy = "sudo modprobe -a cdc_acm ch341 cp210x ftdi_sio, then plug it in again"
        yield Check(f"USB device {folder.name}", "problem", True, detail, remedy, candidates)
