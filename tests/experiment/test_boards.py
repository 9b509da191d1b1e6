from __future__ import annotations

from pathlib import Path

import pytest

from nrl_edge.boards import find_board, load_boards, parse_board
from nrl_edge.codegen.noise import noise_settings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.resources import templates_folder

BOARD = """
id = "pico_2"
name = "Pico 2"
port_family = "rp2"
mcu = "RP2350"
core = "Cortex-M33"
isa = "armv8-m.main"
flags = ["-mcpu=cortex-m33"]
evidence = "emulated"
emulator = "unicorn"
toolchain = "arm-none-eabi"
[memory]
flash_origin = 0x10000000
flash_bytes = 4194304
ram_origin = 0x20000000
ram_bytes = 532480
[clock]
hz = 12000000
[uart]
baud = 115200
description = "UART0 on GP0 and GP1"
usb_ids = ["2e8a:000c"]
[nonvolatile]
kind = "flash"
page_bytes = 4096
endurance_cycles = 100000
reference = "W25Q32 data sheet"
[platformio]
platform = "raspberrypi"
board = "rpipico2"
upload_protocol = "cmsis-dap"
[port]
uart_base = 0x40070000
clock_source = "xosc"
[entropy_source]
block = "TRNG 0x400F0000"
description = "TRNG"
bits_per_second = 96000
reference = "embassy-rp trng.rs"
"""


def test_the_catalogue_loads_and_every_board_has_a_port() -> None:
    boards = load_boards()
    assert [board.id for board in boards] == sorted({board.id for board in boards})
    for board in boards:
        assert (templates_folder() / "port" / board.port_family).is_dir()
    desktop = find_board("desktop")
    assert (desktop.evidence, desktop.memory) == ("compiled", None)
    assert desktop.entropy_source is not None


def test_a_full_board() -> None:
    board = parse_board(BOARD, "boards/pico_2.toml")
    assert board.memory is not None and board.entropy_source is not None
    assert (board.memory.ram_bytes, board.entropy_source.bits_per_second) == (532_480, 96_000)
    assert (board.memory.flash_origin, board.memory.ram_origin) == (0x1000_0000, 0x2000_0000)
    assert board.flags == ("-mcpu=cortex-m33",)
    assert board.toolchain == "arm-none-eabi"
    assert board.clock is not None and board.clock.hz == 12_000_000
    assert board.uart is not None and (board.uart.baud, board.uart.usb_ids) == (115_200, ("2e8a:000c",))
    assert board.nonvolatile is not None and board.nonvolatile.endurance_cycles == 100_000
    assert board.platformio is not None and board.platformio.framework is None
    assert board.port == {"uart_base": 0x4007_0000, "clock_source": "xosc"}
    assert board.entropy_source.block == "TRNG 0x400F0000"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('id = "pico_2"', 'id = "Pico 2"', ["id = ", "Pico 2", "lower-case"]),
        ('id = "pico_2"', 'id = "pico"', ["id = ", "pico_2", "file's name"]),
        ('name = "Pico 2"', "", ["name is missing"]),
        ('name = "Pico 2"', 'nam = "Pico 2"', ["nam = ", "did you mean name"]),
        ('mcu = "RP2350"', "mcu = 2350", ["mcu = 2350", "string"]),
        ('["-mcpu=cortex-m33"]', '"-mcpu=cortex-m33"', ["flags = ", "array of strings"]),
        ('"emulated"', '"measured"', ["evidence", "measured", "generated", "compiled", "emulated"]),
        ('emulator = "unicorn"', "", ["evidence", "emulator"]),
        ('upload_protocol = "cmsis-dap"', 'framework = "arduino"', ["evidence", 'framework "arduino"', "[arduino]"]),
        (
            "[port]",
            '[arduino]\ncore = "a:b"\nvariant = "c"\ndefines = []\npackage = "d"\n[port]',
            ["arduino", "framework", "[platformio]"],
        ),
        ("flash_bytes = 4194304", "flash_bytes = 0", ["memory.flash_bytes = 0", "whole number"]),
        ("ram_bytes = 532480", "", ["memory.ram_bytes is missing"]),
        ("[memory]", "[memories]", ["memories", "did you mean memory"]),
        ('isa = "armv8-m.main"', 'isa = "armv8-m"', ["isa = ", "did you mean armv7-m", "rv32imc"]),
        ('port_family = "rp2"', 'port_family = "../rp2"', ["port_family", "folder"]),
        ('toolchain = "arm-none-eabi"', 'toolchain = "avr"', ["toolchain", "armv8-m.main", "arm-none-eabi"]),
        ('toolchain = "arm-none-eabi"', "", ["toolchain is missing", "arm-none-eabi"]),
        ("flash_origin = 0x10000000", "flash_origin = 0xFFFFFFFF", ["memory.flash_bytes", "32 bits"]),
        ("hz = 12000000", 'hz = "12 MHz"', ["clock.hz", "whole number"]),
        ('"2e8a:000c"', '"2E8A:C"', ["uart.usb_ids", "2E8A:C", "0d28:0204"]),
        ("baud = 115200", "", ["uart.baud is missing"]),
        ("endurance_cycles = 100000", "", ["nonvolatile.endurance_cycles is missing"]),
        ('board = "rpipico2"', "", ["platformio.board is missing"]),
        ("uart_base = 0x40070000", "uart_base = 4.5", ["port", "uart_base = 4.5", "whole numbers and strings"]),
        ("uart_base = 0x40070000", "Base = 4", ["port", "Base", "lower-case"]),
        ("[clock]\nhz = 12000000", "", ["clock is missing", "microcontroller"]),
        ("bits_per_second = 96000", "bits_per_second = 9.6", ["entropy_source.bits_per_second = 9.6"]),
        ("bits_per_second = 96000", "min_entropy = 0.02", ["entropy_source.min_entropy = 0.02", "0.05 to 1"]),
        ("bits_per_second = 96000", "min_entropy = 1.01", ["entropy_source.min_entropy = 1.01", "0.05 to 1"]),
    ],
)
def test_broken_board_files(old: str, new: str, parts: list[str]) -> None:
    assert old in BOARD
    with pytest.raises(ConfigurationError) as caught:
        parse_board(BOARD.replace(old, new), "boards/pico_2.toml")
    for part in ["boards/pico_2.toml", *parts]:
        assert part in str(caught.value)


def test_the_cutoffs_of_every_board_file_are_within_what_the_firmware_counts_in() -> None:
    """Counts stop one above the hard cut-off: of equal bytes in 8 bits, of equal bits in 16 (nrl_health.h)."""
    board = parse_board(BOARD.replace("bits_per_second = 96000", "min_entropy = 0.05"), "boards/pico_2.toml")
    settings = noise_settings(AgentConfiguration(4, (8,), 2), board)
    assert settings.soft.byte_repetition < settings.hard.byte_repetition < 255
    assert settings.soft.repetition < settings.hard.repetition < 65535


def test_unknown_boards_and_empty_catalogues(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown board \"dekstop\"; did you mean desktop\?.*desktop"):
        find_board("dekstop")
    with pytest.raises(ConfigurationError, match="no board files"):
        load_boards(tmp_path)
