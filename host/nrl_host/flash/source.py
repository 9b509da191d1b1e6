"""What is to be flashed: an experiment that is built first, a generated project, or an image that is there already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.project import MARKER
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_host.build import BuildToolchain, build_experiment
from nrl_host.build.board_build import write_flash_files
from nrl_host.build.platformio import build_project

BUILD_ID_SYMBOL = "nrl_build_id"
"""The variable of the firmware (nrl_build.c) that holds what HELLO tells."""
_BUILD_ID_BYTES = 8


@dataclass(frozen=True)
class Source:
    """An image for a board, with the forms of it that tools flash beside it."""

    board: Board
    image: Path
    """The ELF file."""
    build_id: str
    """Hexadecimal, as HELLO tells it."""


def prepare_source(source: Path, board_id: str | None, toolchain: BuildToolchain = "system") -> Source:
    """Build or take what is to be flashed.

    Raises ConfigurationError where `source` is nothing that can be flashed to the board, and what builds raise.
    """
    if source.is_dir():
        board = find_board(board_id or _board_of_project(source))
        image = build_project(source, toolchain="platformio" if toolchain == "platformio" else "system")
        if toolchain != "platformio":
            write_flash_files(image, board)
        return Source(board, image, build_id_of(image, board))
    if _is_elf(source):
        if board_id is None:
            raise ConfigurationError(f"{source} is an image: say for which board with --board")
        board = find_board(board_id)
        build_id = build_id_of(source, board)
        write_flash_files(source, board)
        return Source(board, source, build_id)
    if source.suffix in (".hex", ".bin", ".uf2"):
        raise ConfigurationError(f"{source}: name the ELF file that it was made from, which says what it is")
    built = build_experiment(load_experiment(source), board_id, toolchain=toolchain)
    return Source(built.board, built.image, built.build_id)


def build_id_of(image: Path, board: Board) -> str:
    """The build id in an ELF image, in hexadecimal.

    Raises ConfigurationError where it is no firmware of this project, or lies where the board has no flash.
    """
    try:
        with image.open("rb") as file:
            elf = ELFFile(file)
            _check_place(elf, image, board)
            table = elf.get_section_by_name(".symtab")
            symbols = table.get_symbol_by_name(BUILD_ID_SYMBOL) if isinstance(table, SymbolTableSection) else None
            if symbols:
                address = symbols[0]["st_value"]
                section = elf.get_section(symbols[0]["st_shndx"])
                start = address - section["sh_addr"]
                return bytes(section.data()[start : start + _BUILD_ID_BYTES]).hex()
    except (ELFError, OSError) as error:
        raise ConfigurationError(f"{image} is no ELF image that can be read: {error}") from error
    raise ConfigurationError(
        f"{image} is no firmware that nrl-edge built: it has no {BUILD_ID_SYMBOL}, by which a board is known to run it"
    )


def _check_place(elf: ELFFile, image: Path, board: Board) -> None:
    memory = board.memory
    if memory is None or board.toolchain is None:
        raise ConfigurationError(f"board {board.id!r} is no microcontroller: there is nothing to flash")
    machines = {"arm-none-eabi": "EM_ARM", "riscv64-unknown-elf": "EM_RISCV", "avr": "EM_AVR"}
    places = [(each["p_paddr"], each["p_filesz"]) for each in elf.iter_segments("PT_LOAD") if each["p_filesz"]]
    # An AVR's EEPROM has addresses of its own, far behind flash.
    inside = all(
        memory.flash_origin <= start and start + size <= memory.flash_origin + memory.flash_bytes
        for start, size in places
        if board.toolchain != "avr" or start < 0x800000
    )
    # The boot loader of a framework puts parts elsewhere.
    inside = inside or board.framework is not None
    if elf["e_machine"] != machines[board.toolchain] or not inside:
        raise ConfigurationError(
            f"{image} is no image for {board.name}: it is for {elf['e_machine'].removeprefix('EM_')}, at "
            f"{', '.join(f'0x{start:08x}' for start, _ in places)}"
        )


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _board_of_project(folder: Path) -> str:
    try:
        return str(json.loads((folder / MARKER).read_text(encoding="utf-8"))["board"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder} is no generated project ({error}): name an experiment file, or what nrl-edge generate wrote"
        ) from error
