"""The doctor on machines that are made up: file trees, ports and tools as real ones would show them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nrl_edge.boards import load_boards
from nrl_edge.errors import ConfigurationError
from nrl_host.cli import doctor as doctor_verb
from nrl_host.cli import main
from nrl_host.doctor import Check, Machine, diagnose
from nrl_host.link.ports import PortInformation

MICROBIT = PortInformation("/dev/ttyACM0", "BBC micro:bit CMSIS-DAP", (0x0D28, 0x0204), "9900")
CH340 = PortInformation("/dev/ttyUSB0", "USB Serial", (0x1A86, 0x7523), None)
OTHER = PortInformation("/dev/ttyS0", "n/a", None, None)
TOOLS = (
    *("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "avr-gcc", "qemu-system-arm", "qemu-system-riscv32"),
    *("avrdude", "dfu-util", "openocd", "apt-get"),
)


def put(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def version_of(command: Sequence[str], text: str = "") -> str | None:
    return f"{command[0]} 12.2\n"


@pytest.fixture
def healthy(tmp_path: Path) -> Machine:
    """A Linux machine with every tool, and nothing plugged in."""
    put(tmp_path, "usr/include/simavr/sim_avr.h")
    put(tmp_path, "usr/share/arduino/hardware/arduino/avr/boards.txt")
    put(tmp_path, "etc/group", "root:x:0:\ndialout:x:20:ada\n")
    put(tmp_path, "etc/udev/rules.d/99-platformio-udev.rules")
    put(tmp_path, "proc/1/comm", "systemd\n")
    return Machine(
        root=tmp_path,
        platform="linux",
        python=(3, 12, 1),
        ports=list,
        can_open=lambda device: True,
        groups=lambda: frozenset({"ada", "dialout"}),
        user=lambda: "ada",
        is_administrator=False,
        which=lambda name: f"/usr/bin/{name}" if name in TOOLS else None,
        run=version_of,
        c_compiler=lambda: ("cc",),
    )


def examine(machine: Machine, board: str | None = None) -> dict[str, Check]:
    checks = list(diagnose(board, machine))
    assert len({check.name for check in checks}) == len(checks)
    # A finding that can be mended says how, and only such a one does.
    assert all(bool(check.remedy) == (check.status in ("missing", "problem")) for check in checks)
    return {check.name: check for check in checks}


def ailing(checks: Iterable[Check]) -> list[str]:
    return [check.name for check in checks if check.ails]


def lacking(*names: str) -> Callable[[str], str | None]:
    return lambda name: None if name in names or name not in TOOLS else f"/usr/bin/{name}"


def test_a_healthy_machine_lacks_nothing(healthy: Machine) -> None:
    checks = examine(healthy)
    assert [check for check in checks.values() if check.status != "ok"] == []
    assert checks["arm-none-eabi-gcc"].detail == "arm-none-eabi-gcc 12.2"
    assert "microbit" in checks["arm-none-eabi-gcc"].boards and "uno" not in checks["arm-none-eabi-gcc"].boards


def test_every_tool_that_a_board_needs_is_looked_at(healthy: Machine) -> None:
    nothing = replace(healthy, which=lambda name: None, root=healthy.root / "nowhere")
    for board in load_boards():
        missing = set(ailing(diagnose(board.id, nothing)))
        expected = {f"{board.toolchain}-gcc"} if board.is_built_here else set()
        emulator = board.emulator.split()[0] if board.emulator else ""
        expected |= {f"Arduino core {board.arduino.core}"} if board.arduino else set()
        expected |= {"simavr": {"libsimavr"}, "unicorn": set(), "": set()}.get(emulator, {emulator})
        if board.upload is not None and board.upload.tool != "uf2":
            expected.add(board.upload.tool)
        assert missing == expected, board.id


def test_what_a_board_needs_counts_only_where_it_is_named(healthy: Machine) -> None:
    machine = replace(healthy, which=lacking("avr-gcc"))
    assert ailing(examine(machine).values()) == []
    check = examine(machine, "uno")["avr-gcc"]
    assert check.ails and check.remedy == "sudo apt-get install gcc-avr binutils-avr avr-libc"
    assert ailing(examine(machine, "microbit").values()) == []
    with pytest.raises(ConfigurationError, match='unknown board "una"; did you mean uno'):
        list(diagnose("una", machine))


def test_what_everybody_needs(healthy: Machine) -> None:
    checks = examine(replace(healthy, python=(3, 10, 9), c_compiler=lambda: None))
    assert ailing(checks.values()) == ["Python", "C compiler"]
    assert "nrl-edge[compiler]" in checks["C compiler"].remedy


def test_a_compiler_without_its_c_library(healthy: Machine) -> None:
    def no_library(command: Sequence[str], text: str = "") -> str | None:
        return None if "avr/io.h" in text else version_of(command)

    check = examine(replace(healthy, run=no_library), "uno")["avr-gcc"]
    assert check.ails and "avr-libc" in check.detail and check.remedy == "sudo apt-get install avr-libc"


def test_without_apt_the_packages_are_still_named(healthy: Machine) -> None:
    remedy = examine(replace(healthy, which=lacking("avr-gcc", "apt-get")))["avr-gcc"].remedy
    assert "gcc-avr" in remedy and "docs/platforms.md" in remedy and "sudo" not in remedy


def test_a_port_that_one_may_not_open(healthy: Machine) -> None:
    machine = replace(
        healthy, ports=lambda: [OTHER, MICROBIT], can_open=lambda device: False, groups=lambda: frozenset({"ada"})
    )
    put(machine.root, "etc/group", "dialout:x:20:bob\n")
    checks = examine(machine)
    # The port without a board's USB id is nobody's business.
    assert ailing(checks.values()) == ["port /dev/ttyACM0"]
    assert checks["port /dev/ttyACM0"].remedy.startswith("sudo usermod -aG dialout ada")
    assert checks["port /dev/ttyACM0"].boards == ("microbit", "microbit_v2")
    assert checks["permission for serial ports"].status == "problem"
    # In the group by now, in a session that began before.
    put(machine.root, "etc/group", "dialout:x:20:bob,ada\n")
    assert examine(machine)["port /dev/ttyACM0"].remedy.startswith("newgrp dialout")
    # Arch calls the group so.
    put(machine.root, "etc/group", "uucp:x:14:\n")
    assert "usermod -aG uucp ada" in examine(machine)["port /dev/ttyACM0"].remedy


def test_modem_manager_grabs_ports(healthy: Machine) -> None:
    put(healthy.root, "proc/812/comm", "ModemManager\n")
    assert examine(healthy)["ModemManager"].status == "ok"  # the rules keep it away
    (healthy.root / "etc/udev/rules.d/99-platformio-udev.rules").unlink()
    quiet = examine(healthy)
    assert quiet["ModemManager"].status == "problem" and ailing(quiet.values()) == []
    plugged = examine(replace(healthy, ports=lambda: [MICROBIT]))
    assert ailing(plugged.values()) == ["ModemManager"]
    assert plugged["ModemManager"].remedy == "sudo systemctl disable --now ModemManager"
    assert "/etc/udev/rules.d/" in plugged["udev rules"].remedy and "udevadm control" in plugged["udev rules"].remedy


def test_brltty_takes_adapters_away(healthy: Machine) -> None:
    rules = "usr/lib/udev/rules.d/85-brltty.rules"
    put(healthy.root, rules, '# ENV{PRODUCT}=="1a86/7523/*"\n')
    assert "brltty" not in examine(healthy)
    put(healthy.root, rules, 'ENV{PRODUCT}=="1a86/7523/*", ENV{BRLTTY_BRAILLE_DRIVER}="bm"\n')
    assert examine(healthy)["brltty"].remedy == "sudo apt-get remove brltty"
    assert "brltty" not in examine(replace(healthy, ports=lambda: [CH340]))


def test_latency_timers(healthy: Machine) -> None:
    for name, text in (("ttyUSB0", "16\n"), ("ttyUSB1", "1\n"), ("ttyUSB2", "fast\n")):
        put(healthy.root, f"sys/bus/usb-serial/devices/{name}/latency_timer", text)
    checks = examine(healthy)
    assert [checks[f"latency timer of ttyUSB{n}"].status for n in range(3)] == ["problem", "ok", "unknown"]
    slow = checks["latency timer of ttyUSB0"]
    assert slow.remedy == "echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer"
    assert "16 ms" in slow.detail and ailing(checks.values()) == []


def test_a_board_that_no_driver_took(healthy: Machine) -> None:
    for name, text in (("idVendor", "0d28\n"), ("idProduct", "0204\n"), ("serial", "9900\n"), ("product", "micro:bit")):
        put(healthy.root, f"sys/bus/usb/devices/1-2/{name}", text)
    put(healthy.root, "sys/bus/usb/devices/usb1/idVendor", "1d6b\n")
    checks = examine(healthy)
    assert ailing(checks.values()) == ["USB device 1-2"]
    assert "modprobe" in checks["USB device 1-2"].remedy and "micro:bit 0d28:0204" in checks["USB device 1-2"].detail
    assert "USB device 1-2" not in examine(replace(healthy, ports=lambda: [MICROBIT]))


def test_other_systems_say_what_was_not_looked_at(healthy: Machine) -> None:
    for platform in ("darwin", "win32"):
        machine = replace(healthy, platform=platform, ports=lambda: [replace(MICROBIT, device="COM3")])
        checks = examine(machine)
        assert checks["serial port set-up"].status == "unknown"
        assert "udev rules" not in checks and checks["port COM3"].status == "ok"


@pytest.mark.parametrize("ill", [False, True])
def test_the_verb(
    ill: bool, healthy: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = replace(healthy, which=lacking("qemu-system-arm") if ill else lacking())
    for rules in machine.root.rglob("99-platformio-udev.rules"):
        rules.unlink()
    monkeypatch.setattr(doctor_verb, "Machine", lambda: machine)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["nrl-edge", "doctor", "--board", "microbit", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = call("--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == int(ill) and lines[-1]["healthy"] is not ill
    assert [line["name"] for line in lines[:-1]] == [check.name for check in diagnose("microbit", machine)]
    code, out = call()
    assert code == int(ill)
    assert ("mend it with: sudo apt-get install qemu-system-arm" in out) is ill
    shown = {line.split(":")[0].split("  ")[-1].strip(): line for line in out.splitlines()}
    # Of all boards that it is for, the one that was asked about is named.
    assert shown["qemu-system-arm"].startswith("missing, needed  " if ill else "ok  ")
    assert shown["qemu-system-arm"].endswith("(for microbit)")
    # It can be built for and emulated without.
    assert shown["udev rules"].startswith("missing, optional  ") and shown["udev rules"].endswith("(for microbit)")
    code, out = call("--quiet")
    assert (code, len(out.splitlines())) == (int(ill), 1)
