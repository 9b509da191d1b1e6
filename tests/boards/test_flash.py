"""nrl-edge flash without a board: what is written, what is refused, and what the programs' complaints mean."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from board_helpers import EXPERIMENT, cartpole, run_on
from elftools.elf.elffile import ELFFile
from tools import require_board, require_tool

from nrl_edge.boards import UploadTool, find_board, load_boards
from nrl_edge.codegen.project import write_project
from nrl_edge.errors import ConfigurationError, DeviceError, MissingToolError
from nrl_edge.experiment import parse_experiment, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.build import build_experiment
from nrl_host.build.board_build import BoardBuild
from nrl_host.flash import flash
from nrl_host.flash.source import build_id_of, prepare_source
from nrl_host.flash.uf2_drive import INFORMATION, copy_to_drive, find_drive, find_drives, mount_points
from nrl_host.flash.verify import check_port
from nrl_host.link import close_port, open_port
from nrl_host.targets import make_target
from nrl_host.targets.desktop import DesktopTarget
from nrl_host.uploaders import PROGRAMS, failure_text, run_upload, upload_command

FLASHED = [board for board in load_boards() if board.upload is not None]
INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BoardBuild]:
    """Images of three kinds of board."""
    builds = {}
    for board_id in ("uno", "microbit", "pico"):
        require_board(board_id)
        folder = tmp_path_factory.mktemp(board_id)
        builds[board_id] = build_experiment(cartpole(), board_id, folder=folder, toolchain="direct")
    return builds


# Commands


def test_the_commands_of_the_boards(tmp_path: Path) -> None:
    image = tmp_path / "a b" / "firmware.elf"
    commands = {
        board.id: upload_command(board, image, "/dev/ttyACM0")
        for board in FLASHED
        if board.upload and board.uf2 is None
    }
    assert commands["uno"] == [
        *("avrdude", "-p", "atmega328p", "-c", "arduino", "-b", "115200", "-D"),
        *("-P", "/dev/ttyACM0", "-U", f"flash:w:{image.with_suffix('.hex')}:i"),
    ]
    assert commands["microbit"][-1] == f"program {{{image.with_suffix('.hex')}}} verify reset exit"
    assert commands["feather_f405"][-1] == str(image.with_suffix(".bin"))
    assert {command[0] for command in commands.values()} <= {"avrdude", "openocd", "dfu-util"}
    assert "net:127.0.0.1:4000" in upload_command(find_board("uno"), image, "socket://127.0.0.1:4000")


@pytest.mark.parametrize(
    ("board_id", "port", "says"),
    [
        ("uno", None, "name it with --port"),
        ("uno", "loop://", "a serial port such as"),
        ("mps2_an386", None, "nrl-edge sim"),
        ("desktop", None, "nothing on this machine"),
    ],
)
def test_what_cannot_be_flashed_is_a_usage_error(board_id: str, port: str | None, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        upload_command(find_board(board_id), Path("firmware.elf"), port)


@pytest.mark.slow
def test_a_dry_run_says_what_it_would_do(built: dict[str, BoardBuild]) -> None:
    done = flash(built["microbit"].image, "microbit", dry_run=True)
    assert (done.outcome, done.verified, done.build_id) == ("dry run", False, built["microbit"].build_id)
    assert done.command.startswith("openocd -f interface/cmsis-dap.cfg -f target/nrf51.cfg -c 'program {")
    assert "firmware.uf2 to the drive" in flash(built["pico"].image, "pico", dry_run=True).command


def test_a_dry_run_with_platformio_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXPERIMENT.format(hidden=8, episodes=1, kind="int16", preset="edge") + '[board]\nid = "microbit"\n'
    experiment = parse_experiment(text)
    write_project(experiment, resolve_agent(experiment), tmp_path)
    # What PlatformIO would build is built here; the command is what counts.
    require_board("microbit")
    built = build_experiment(experiment, toolchain="direct", folder=tmp_path / "built")
    monkeypatch.setattr(sys.modules["nrl_host.flash.source"], "build_project", lambda *_, **__: built.image)
    done = flash(tmp_path, toolchain="platformio", dry_run=True)
    assert done.command.endswith(f"--project-dir {tmp_path} --environment microbit --target upload")
    path = tmp_path / "my agent.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys.modules["nrl_host.flash.source"], "build_experiment", lambda *_, **__: built)
    generate, upload = flash(path, toolchain="platformio", dry_run=True).command.split(" && ")
    assert generate == f"nrl-edge generate '{path}' --output {tmp_path / 'firmware'}"
    assert upload.endswith(f"--project-dir {tmp_path / 'firmware'} --environment microbit --target upload")


# Images


def test_the_build_id_is_found_in_an_image(built: dict[str, BoardBuild]) -> None:
    for build in built.values():
        assert build_id_of(build.image, build.board) == build.build_id


def test_what_is_no_image_of_the_board_is_refused(built: dict[str, BoardBuild], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no image for Arduino Uno: it is for ARM"):
        prepare_source(built["microbit"].image, "uno")
    with pytest.raises(ConfigurationError, match="no image for BBC micro:bit v1: it is for ARM, at 0x10000000"):
        prepare_source(built["pico"].image, "microbit")
    with pytest.raises(ConfigurationError, match="--board"):
        prepare_source(built["uno"].image, None)
    with pytest.raises(ConfigurationError, match="name the ELF file"):
        prepare_source(built["uno"].image.with_suffix(".hex"), "uno")
    with pytest.raises(ConfigurationError, match="no generated project"):
        prepare_source(tmp_path, None)
    with pytest.raises(ConfigurationError, match="no microcontroller"):
        build_id_of(built["uno"].image, find_board("desktop"))
    strange = tmp_path / "strange.elf"
    strange.write_bytes(built["uno"].image.read_bytes().replace(b"nrl_build_id", b"nrl_other_id"))
    with pytest.raises(ConfigurationError, match="no firmware that nrl-edge built"):
        prepare_source(strange, "uno")
    strange.write_bytes(b"\x7fELF and no more")
    with pytest.raises(ConfigurationError, match="no ELF image"):
        prepare_source(strange, "uno")


def hex_bytes(path: Path) -> dict[int, int]:
    """The bytes of an Intel HEX file by their address, checked record by record."""
    memory, base = {}, 0
    for line in path.read_text(encoding="ascii").split():
        record = bytes.fromhex(line.removeprefix(":"))
        assert sum(record) % 256 == 0 and record[0] == len(record) - 5
        address, kind, data = int.from_bytes(record[1:3]), record[3], record[4:-1]
        if kind == 0:
            memory |= {base + address + i: byte for i, byte in enumerate(data)}
        elif kind in (2, 4):
            base = int.from_bytes(data) << (4 if kind == 2 else 16)
    return memory


def test_hex_bin_and_elf_hold_the_same(built: dict[str, BoardBuild]) -> None:
    for build in built.values():
        expected: dict[int, int] = {}
        with build.image.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                expected |= {segment["p_paddr"] + i: byte for i, byte in enumerate(segment.data())}
        assert hex_bytes(build.image.with_suffix(".hex")) == expected
        data = build.image.with_suffix(".bin").read_bytes()
        first = min(expected)
        assert {address: data[address - first] for address in expected} == expected


def test_the_uf2_file_passes_a_reader_that_is_not_ours(built: dict[str, BoardBuild], tmp_path: Path) -> None:
    """uf2conv, of the format's authors: start address, family, and every byte."""
    image, back = built["pico"].image, tmp_path / "back.bin"
    command = [sys.executable, "-m", "adafruit_uf2.uf2conv", "--family", "RP2040", "--convert", "--output", str(back)]
    done = subprocess.run(
        [*command, str(image.with_suffix(".uf2"))],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"USER": "nobody"},
    )
    assert "start address: 0x10000000" in done.stdout
    assert "Family ID is RP2040" in done.stdout
    binary = image.with_suffix(".bin").read_bytes()
    assert back.read_bytes() == binary + bytes(-len(binary) % 256)


@pytest.mark.slow
def test_the_hex_file_of_the_microbit_boots_in_qemu(tmp_path: Path) -> None:
    """Not the ELF file, which other tests run: the Intel HEX that a debug probe is given."""
    require_board("microbit")
    experiment = cartpole(episodes=3)
    build = build_experiment(experiment, "microbit", folder=tmp_path, toolchain="direct")
    image = build.image.with_suffix(".hex")
    build.image.unlink()
    with make_target("microbit", resolve_agent(experiment), seed=experiment.entropy.seed, program=image) as target:
        summary = run_on(target, experiment)
    reference = simulate(experiment, "reference")
    assert (summary.weights_crc32, summary.counters) == (reference.weights_crc32, reference.counters)


# Boards that answer


def test_a_board_that_runs_the_build_already_is_left_alone(
    built: dict[str, BoardBuild], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board is QEMU's, and nothing flashes that; what is around the upload is what counts."""
    uploads: list[Sequence[str]] = []
    monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "run_upload", lambda _, command: uploads.append(command))
    image = built["microbit"].image
    with make_target("microbit", resolve_agent(cartpole()), program=image) as target:
        for options, outcome in (({}, "unchanged"), ({"force": True}, "flashed")):
            done = flash(image, "microbit", port=target.url, **options)
            assert (done.outcome, done.verified, done.build_id) == (outcome, True, built["microbit"].build_id)
            assert done.as_dict()["port"] == target.url
        assert len(uploads) == 1
        done = flash(image, "microbit", port=target.url, verify=False)
        assert (done.outcome, done.verified, len(uploads)) == ("flashed", False, 2)
        # The build of a micro:bit v2 is another board's, and no upload makes this one run it.
        other = built["microbit"].image.parent / "other"
        experiment = parse_experiment(EXPERIMENT.format(hidden=7, episodes=1, kind="int16", preset="edge"))
        changed = build_experiment(experiment, "microbit", folder=other, toolchain="direct")
        with pytest.raises(DeviceError, match=f"runs build {built['microbit'].build_id} .* and not {changed.build_id}"):
            flash(changed.image, "microbit", port=target.url)


def test_a_board_without_a_port_is_flashed_but_not_called_verified(
    built: dict[str, BoardBuild], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "run_upload", lambda *_: None)
    monkeypatch.setattr(sys.modules["nrl_host.flash.verify"], "list_ports", lambda *_: [])
    monkeypatch.setattr(sys.modules["nrl_host.flash.verify"], "_PORT_SECONDS", 0.0)
    with pytest.raises(DeviceError, match=r"was written .* no serial port of it was found.*--no-verify"):
        flash(built["microbit"].image, "microbit")
    with pytest.raises(ConfigurationError, match="--port"):
        flash(built["uno"].image, "uno")


# Ports


def test_a_port_that_is_not_there_or_in_use_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"there is no port .*nrl-edge ports"):
        check_port(str(tmp_path / "ttyACM7"), 115200)
    with DesktopTarget(resolve_agent(cartpole()), transport="pty") as device:
        check_port(device.url, 115200)
        holder = open_port(device.url)
        try:
            with pytest.raises(DeviceError, match="in use by another program"):
                check_port(device.url, 115200)
        finally:
            close_port(holder)


def test_a_port_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **_: object) -> None:
        raise DeviceError(f"cannot open {url}: [Errno 13] could not open port {url}: [Errno 13] Permission denied")

    monkeypatch.setattr(sys.modules["nrl_host.flash.verify"], "open_port", refuse)
    with pytest.raises(DeviceError, match="usermod -aG dialout"):
        check_port("/dev/ttyACM0", 115200)


# Programs


@pytest.mark.parametrize("tool", ["avrdude", "openocd", "dfu-util"])
def test_a_missing_program_is_named(tool: UploadTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=f"apt-get install {tool}"):
        run_upload(PROGRAMS[tool], [tool])


@pytest.mark.parametrize(
    ("board_id", "says"),
    [
        ("microbit", "no debug probe was found"),
        ("stm32f4_disco", "no debug probe was found"),
        ("nrf52840dk", "no debug probe was found"),
        ("feather_f405", "no boot loader was found"),
        ("uno", "there is no such port"),
    ],
)
def test_the_real_programs_find_no_board_here_and_we_say_so(board_id: str, says: str, tmp_path: Path) -> None:
    board = find_board(board_id)
    assert board.upload is not None
    program = PROGRAMS[board.upload.tool]
    require_tool(program.name, f"apt-get install {program.package}")
    for suffix in (".hex", ".bin"):
        (tmp_path / f"firmware{suffix}").write_bytes(b":00000001FF\n")
    with pytest.raises(DeviceError, match=says) as caught:
        run_upload(program, upload_command(board, tmp_path / "firmware.elf", str(tmp_path / "ttyACM7")))
    assert str(caught.value).startswith(f"{program.name} could not flash the board: ")


@pytest.mark.parametrize(
    ("tool", "said", "means"),
    [
        ("avrdude", 'ser_open(): can\'t open device "/dev/ttyACM0": Permission denied', "dialout"),
        ("avrdude", "avrdude OS error: cannot open port /dev/ttyACM0: Device or resource busy", "serial monitors"),
        ("avrdude", "stk500_getsync() attempt 10 of 10: not in sync: resp=0x00", "no boot loader answered"),
        ("avrdude", "avrdude error: verification mismatch", "flash again"),
        ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "udev rule"),
        ("openocd", "** Verify Failed **", "read back"),
        ("openocd", "Error: Error connecting DP: cannot read IDR", "is the board powered"),
        ("dfu-util", "Cannot open DFU device 0483:df11 found on devnum 9 (LIBUSB_ERROR_ACCESS)", "udev rule"),
    ],
)
def test_what_programs_complain_of_is_said_in_words(tool: UploadTool, said: str, means: str) -> None:
    text = failure_text(tool, f"{tool} 1.0\n{said}\n", PROGRAMS[tool].symptoms)
    assert means in text.splitlines()[0] and said in text


# Drives of UF2 boot loaders


class BootLoader(threading.Thread):
    """Plays a boot loader: takes blocks from a file as it grows, and takes its drive away when it has them all."""

    def __init__(self, drive: Path, file: str) -> None:
        super().__init__(daemon=True)
        self.drive, self.file = drive, drive / file
        self.flash: dict[int, bytes] = {}
        drive.mkdir()
        (drive / INFORMATION).write_text(INFO, encoding="ascii", newline="")

    def run(self) -> None:
        total = None
        while total is None or len(self.flash) < total:
            data = self.file.read_bytes() if self.file.exists() else b""
            for at in range(0, len(data) - 511, 512):
                magic, second, _, address, size, _, total, family = struct.unpack_from("<8I", data, at)
                assert (magic, second, family) == (0x0A324655, 0x9E5D5157, 0xE48BFF56)
                self.flash[address] = data[at + 32 : at + 32 + size]
        (self.drive / INFORMATION).unlink()


def test_a_uf2_file_is_copied_and_the_drive_waited_for(built: dict[str, BoardBuild], tmp_path: Path) -> None:
    drive = tmp_path / "RPI-RP2"
    boot_loader = BootLoader(drive, "firmware.uf2")
    assert find_drives("RPI-RP2", [tmp_path, drive]) == [drive]
    boot_loader.start()
    done = flash(built["pico"].image, "pico", drive=drive, verify=False)
    boot_loader.join(10)
    assert done.outcome == "flashed" and not boot_loader.is_alive()
    binary = built["pico"].image.with_suffix(".bin").read_bytes()
    assert b"".join(boot_loader.flash[address] for address in sorted(boot_loader.flash))[: len(binary)] == binary
    assert min(boot_loader.flash) == 0x10000000


def test_drives_that_are_none_or_too_many_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pico = find_board("pico")
    module = sys.modules["nrl_host.flash.uf2_drive"]
    monkeypatch.setattr(module, "mounted", lambda: [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(DeviceError, match="BOOTSEL"):
        find_drive(pico)
    for name in ("a", "b"):
        BootLoader(tmp_path / name, "firmware.uf2")
    with pytest.raises(DeviceError, match="2 boards wait"):
        find_drive(pico)
    with pytest.raises(DeviceError, match="no boot loader's drive"):
        find_drive(pico, tmp_path)
    (tmp_path / "a" / INFORMATION).write_text(INFO.replace("RPI-RP2", "RP2350"), encoding="ascii")
    with pytest.raises(DeviceError, match="drive of a RP2350; Raspberry Pi Pico shows itself as RPI-RP2"):
        find_drive(pico, tmp_path / "a")
    assert find_drive(pico) == tmp_path / "b"
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.0)
    (tmp_path / "firmware.uf2").write_bytes(b"not for this board")
    with pytest.raises(DeviceError, match="still waits"):
        copy_to_drive(tmp_path / "firmware.uf2", tmp_path / "b")


def test_mount_points_with_blanks_are_read() -> None:
    table = "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /media/ada/RPI\\040RP2 vfat rw 0 0\n"
    assert mount_points(table) == [Path("/media/ada/RPI RP2")]
