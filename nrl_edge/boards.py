"""The board catalogue: one TOML file a board, data only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nrl_edge.errors import ConfigurationError
from nrl_edge.resources import boards_folder
from nrl_edge.strict_toml import INT64_MAX, INT64_MIN, Table, did_you_mean, parse_toml, read_text, show

Evidence = Literal["generated", "compiled", "emulated"]
EVIDENCE: tuple[Evidence, ...] = ("generated", "compiled", "emulated")
"""What has really been run for a board, never more: its sources were generated, and no image of them was linked; an
image was linked; that image has also run in an emulator."""

ToolchainName = Literal["arm-none-eabi", "avr", "riscv64-unknown-elf"]
TOOLCHAINS: tuple[ToolchainName, ...] = ("arm-none-eabi", "avr", "riscv64-unknown-elf")
"""Prefixes of the cross compilers that boards are built with."""

_ISA_TOOLCHAINS: dict[str, ToolchainName | None] = {
    "armv6-m": "arm-none-eabi",
    "armv7-m": "arm-none-eabi",
    "armv7e-m": "arm-none-eabi",
    "armv8-m.main": "arm-none-eabi",
    "armv8.1-m.main": "arm-none-eabi",
    "avr": "avr",
    "rv32imc": "riscv64-unknown-elf",
    "native": None,
}
ISAS = tuple(_ISA_TOOLCHAINS)
"""Instruction sets that there is a compiler for."""

UploadTool = Literal["avrdude", "openocd", "dfu-util", "uf2"]
UPLOAD_TOOLS: tuple[UploadTool, ...] = ("avrdude", "openocd", "dfu-util", "uf2")
"""What writes an image to a board: programs, and `uf2`, a boot loader that shows itself as a USB drive."""

_ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_PORT_FAMILY = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_PORT_KEY = re.compile(r"[a-z][a-z0-9_]*")
_USB_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_MAX_MEMORY_BYTES = 1 << 32
_LEAST_MIN_ENTROPY = 0.05
"""Bits a bit. Below 0.03 a cut-off leaves the 8 bits in which nrl_health.c counts equal bytes: they never alarm."""


@dataclass(frozen=True)
class Memory:
    """Memory of a microcontroller that its firmware may use."""

    flash_bytes: int
    ram_bytes: int
    flash_origin: int = 0
    """Address of the first byte that a program may have: behind a boot loader where the board keeps one."""
    ram_origin: int = 0
    """Address of the first byte of RAM."""


@dataclass(frozen=True)
class Clock:
    """The clock of the core."""

    hz: int
    """After start-up, cycles a second."""


@dataclass(frozen=True)
class Uart:
    """The serial line to the host."""

    baud: int
    """Bits a second."""
    description: str
    """Which peripheral and pins, and what is between them and the host."""
    usb_ids: tuple[str, ...] = ()
    """USB ids that the board, or the adapter on it, shows the host: "vvvv:pppp", lower-case hexadecimal."""


@dataclass(frozen=True)
class Nonvolatile:
    """Memory that keeps its content without power, for weights."""

    kind: str
    """What it is: "flash", "EEPROM"."""
    page_bytes: int
    """Bytes that are erased at once; 1 where single bytes are written."""
    endurance_cycles: int
    """Times that a page may be erased and written, as the vendor states it."""
    reference: str
    """Where that and the times below are stated."""
    store_bytes: int = 0
    """The most that the weight store may take, the last bytes of flash or the first of an EEPROM; 0: the board's port
    cannot write it."""
    word_bytes: int = 4
    """Smallest write."""
    erase_milliseconds: float = 0.0
    """Longest erase of a page; 0 where single bytes are written."""
    write_microseconds: float = 0.0
    """Longest write of a word."""


@dataclass(frozen=True)
class EntropySource:
    """What a board's `raw` entropy mode reads."""

    description: str
    """The generator in words: conditioning, known traps."""
    min_entropy: float = 0.9
    """Bits of min-entropy that a raw bit is taken to hold: what the health tests' cut-offs follow from."""
    bits_per_second: int | None = None
    """Rate of the generator as its vendor or driver states it; None where it is not limited or not known."""
    reference: str | None = None
    """Where description and rate are stated."""
    conditioned: bool = False
    """Its raw bits are too biased or correlated to be drawn as they are: they are hashed, two of them to one."""
    block: str | None = None
    """The vendor's name of the block and its address; None where it is no block of a chip."""


@dataclass(frozen=True)
class Uf2:
    """How an image is laid out for a boot loader that takes UF2 files."""

    family_id: int
    """The chip's number in the UF2 specification."""
    board_id: str | None = None
    """What the boot loader's drive says of itself in INFO_UF2.TXT, as "Board-ID"."""


@dataclass(frozen=True)
class Upload:
    """What writes an image to the board from this machine, without PlatformIO."""

    tool: UploadTool
    arguments: tuple[str, ...] = ()
    """Of the program, for this board; image and port come behind them."""


@dataclass(frozen=True)
class PlatformIO:
    """What PlatformIO calls the board."""

    platform: str
    board: str
    upload_protocol: str | None = None
    framework: str | None = None
    """None: the firmware stands on registers alone."""


@dataclass(frozen=True)
class ArduinoCore:
    """An Arduino core that the system has, for building without PlatformIO."""

    core: str
    """Vendor and architecture, such as "arduino:avr"."""
    variant: str
    """Which of its sets of pins."""
    defines: tuple[str, ...]
    """Macros that name the board and the core's version."""
    package: str
    """Debian package that has it."""


@dataclass(frozen=True)
class Board:
    """One place where firmware runs."""

    id: str
    """What experiments name: lower-case letters, digits and single underscores; also the name of the board's file."""
    name: str
    """The name for people."""
    port_family: str
    """Folder of its port below `firmware_templates/port/`."""
    mcu: str
    core: str
    """The core's name, such as "Cortex-M0", "AVR", "RV32IMC"."""
    isa: str
    """One of ISAS."""
    flags: tuple[str, ...]
    """Compiler flags of its builds, for compiling and for linking."""
    evidence: Evidence
    memory: Memory | None = None
    """None for a process, which has as much as it wants."""
    entropy_source: EntropySource | None = None
    """None where a board has no hardware generator: `raw` entropy is then not to be had."""
    emulator: str | None = None
    """The program that runs its firmware without the board, with its machine; None where there is none."""
    toolchain: ToolchainName | None = None
    """Prefix of its cross compiler; None: the host's compiler."""
    clock: Clock | None = None
    uart: Uart | None = None
    nonvolatile: Nonvolatile | None = None
    platformio: PlatformIO | None = None
    arduino: ArduinoCore | None = None
    """None where the firmware stands on no Arduino core, or on one that only PlatformIO has."""
    uf2: Uf2 | None = None
    """None where the board's boot loader does not take UF2 files."""
    upload: Upload | None = None
    """None where only PlatformIO's upload writes an image to it, or nothing does."""
    port: Mapping[str, int | str] = field(default_factory=dict)
    """What only the templates of its port family read: register bases and the like."""

    @property
    def framework(self) -> str | None:
        """What its firmware stands on besides registers, such as "arduino"; None: nothing."""
        return self.platformio.framework if self.platformio else None

    @property
    def is_built_here(self) -> bool:
        """Whether this project links its image: with a compiler alone, or with an Arduino core of the system."""
        return self.toolchain is not None and (self.framework is None or self.arduino is not None)


def _keys(section: type[Any]) -> list[str]:
    return [field.name for field in fields(section)]


def _memory(section: Table) -> Memory:
    memory = Memory(
        section.integer("flash_bytes", 1, _MAX_MEMORY_BYTES),
        section.integer("ram_bytes", 1, _MAX_MEMORY_BYTES),
        section.integer("flash_origin", 0, _MAX_MEMORY_BYTES - 1, 0),
        section.integer("ram_origin", 0, _MAX_MEMORY_BYTES - 1, 0),
    )
    for name, origin, size in (
        ("flash", memory.flash_origin, memory.flash_bytes),
        ("ram", memory.ram_origin, memory.ram_bytes),
    ):
        if origin + size > _MAX_MEMORY_BYTES:
            section.fail(f"{name}_bytes", f"{name}_origin + {name}_bytes has to stay within 32 bits of address")
    return memory


def _uart(section: Table) -> Uart:
    uart = Uart(section.integer("baud", 300, 12_000_000), section.text("description"), section.strings("usb_ids"))
    for usb_id in uart.usb_ids:
        if not _USB_ID.fullmatch(usb_id):
            section.fail("usb_ids", f'{show(usb_id)}: vendor and product as in "0d28:0204" are needed, in lower case')
    return uart


def _optional_text(section: Table, key: str) -> str | None:
    return section.text(key) if section.has(key) else None


def _port(table: Table) -> dict[str, int | str]:
    values = table.value("port") if table.has("port") else {}
    if not isinstance(values, dict):
        table.fail("port", "[port] has to be a table (a section of its own)")
    for key, value in values.items():
        if not _PORT_KEY.fullmatch(key):
            table.fail("port", f"key {show(key)}: lower-case letters, digits and underscores, a letter first")
        known = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
        if not known or (isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX):
            table.fail("port", f"{key} = {show(value)}: whole numbers and strings are allowed")
    return dict(values)


def parse_board(text: str, file: str) -> Board:
    """The board of a TOML text. Raises ConfigurationError that names file, key, value and what is allowed."""
    table = Table(parse_toml(text, file), file, "", _keys(Board))
    board_id = table.text("id")
    if not _ID.fullmatch(board_id) or board_id != Path(file).stem:
        table.fail(
            "id", f"lower-case letters, digits and single underscores, the same as the file's name {Path(file).stem!r}"
        )
    port_family = table.text("port_family")
    if not _PORT_FAMILY.fullmatch(port_family):
        table.fail("port_family", "the name of a folder below firmware_templates/port is needed")

    def section(key: str, kind: type[Any]) -> Table | None:
        return table.table(key, _keys(kind)) if table.has(key) else None

    memory, clock, uart = section("memory", Memory), section("clock", Clock), section("uart", Uart)
    nonvolatile, source = section("nonvolatile", Nonvolatile), section("entropy_source", EntropySource)
    platformio, arduino = section("platformio", PlatformIO), section("arduino", ArduinoCore)
    uf2, upload = section("uf2", Uf2), section("upload", Upload)
    board = Board(
        id=board_id,
        name=table.text("name"),
        port_family=port_family,
        mcu=table.text("mcu"),
        core=table.text("core"),
        isa=table.choice("isa", ISAS),
        flags=table.strings("flags"),
        evidence=table.choice("evidence", EVIDENCE),
        memory=_memory(memory) if memory else None,
        entropy_source=EntropySource(
            source.text("description"),
            source.number("min_entropy", above=0.0, default=EntropySource.min_entropy),
            source.integer("bits_per_second", 1, 1 << 40) if source.has("bits_per_second") else None,
            _optional_text(source, "reference"),
            source.has("conditioned") and source.boolean("conditioned"),
            _optional_text(source, "block"),
        )
        if source
        else None,
        emulator=_optional_text(table, "emulator"),
        toolchain=table.choice("toolchain", TOOLCHAINS) if table.has("toolchain") else None,
        clock=Clock(clock.integer("hz", 1, 10_000_000_000)) if clock else None,
        uart=_uart(uart) if uart else None,
        nonvolatile=Nonvolatile(
            nonvolatile.text("kind"),
            nonvolatile.integer("page_bytes", 1, _MAX_MEMORY_BYTES),
            nonvolatile.integer("endurance_cycles", 1, 1 << 40),
            nonvolatile.text("reference"),
            nonvolatile.integer("store_bytes", 0, _MAX_MEMORY_BYTES, 0),
            nonvolatile.integer("word_bytes", 1, 32, Nonvolatile.word_bytes),
            nonvolatile.number("erase_milliseconds", above=0.0) if nonvolatile.has("erase_milliseconds") else 0.0,
            nonvolatile.number("write_microseconds", above=0.0) if nonvolatile.has("write_microseconds") else 0.0,
        )
        if nonvolatile
        else None,
        platformio=PlatformIO(
            platformio.text("platform"),
            platformio.text("board"),
            _optional_text(platformio, "upload_protocol"),
            _optional_text(platformio, "framework"),
        )
        if platformio
        else None,
        arduino=ArduinoCore(
            arduino.text("core"), arduino.text("variant"), arduino.strings("defines"), arduino.text("package")
        )
        if arduino
        else None,
        uf2=Uf2(uf2.integer("family_id", 0, (1 << 32) - 1), _optional_text(uf2, "board_id")) if uf2 else None,
        upload=Upload(upload.choice("tool", UPLOAD_TOOLS), upload.strings("arguments")) if upload else None,
        port=_port(table),
    )
    _check(board, table)
    return board


def _check(board: Board, table: Table) -> None:
    """What one key cannot tell alone."""
    if board.evidence == "emulated" and board.emulator is None:
        table.fail("evidence", 'a board that was emulated names its emulator; add `emulator = ...` or say "compiled"')
    if board.evidence != "generated" and board.framework is not None and board.arduino is None:
        table.fail("evidence", f'no image of framework "{board.framework}" is linked here without a section [arduino]')
    if board.arduino is not None and board.framework != "arduino":
        table.fail("arduino", 'it says where framework = "arduino" of [platformio] comes from, which is missing')
    expected = _ISA_TOOLCHAINS[board.isa]
    if board.toolchain != expected:
        needed = f'code of isa "{board.isa}" comes from ' + (
            f'toolchain = "{expected}"' if expected else "the host's compiler; leave toolchain out"
        )
        table.fail("toolchain", needed)
    source = board.entropy_source
    if source is not None and not _LEAST_MIN_ENTROPY <= source.min_entropy <= 1.0:
        table.table("entropy_source", _keys(EntropySource)).fail(
            "min_entropy", f"{_LEAST_MIN_ENTROPY:g} to 1 bits a bit are allowed"
        )
    if board.nonvolatile is not None and 32 % board.nonvolatile.word_bytes:
        table.table("nonvolatile", _keys(Nonvolatile)).fail("word_bytes", "1, 2, 4, 8, 16 and 32 are allowed")
    if board.upload is not None and board.upload.tool == "uf2" and (board.uf2 is None or board.uf2.board_id is None):
        table.fail("upload", 'tool = "uf2" needs board_id under [uf2], which tells the drive of the boot loader')
    if board.toolchain is not None:
        for key, value in (("memory", board.memory), ("clock", board.clock), ("uart", board.uart)):
            if value is None:
                table.fail(key, f"a microcontroller needs a [{key}] section")


@cache
def _load(folder: Path) -> tuple[Board, ...]:
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ConfigurationError(f"{folder}: no board files; the installation is incomplete, install nrl-edge again")
    return tuple(parse_board(read_text(path, "board file"), str(path)) for path in paths)


def load_boards(folder: Path | None = None) -> list[Board]:
    """All boards of the catalogue (or of another folder of board files), by id. Raises ConfigurationError."""
    return list(_load(boards_folder() if folder is None else folder))


def find_board(board_id: str) -> Board:
    """The board of an id. Raises ConfigurationError, which lists the ids, where the catalogue has none of that name."""
    boards = {board.id: board for board in load_boards()}
    if board_id not in boards:
        raise ConfigurationError(
            f"unknown board {show(board_id)}{did_you_mean(board_id, boards)} "
            f"Known boards are {', '.join(sorted(boards))} (`nrl-edge boards` tells more)"
        )
    return boards[board_id]
