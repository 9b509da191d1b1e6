"""The board catalogue: one TOML file a board, data only."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from nrl_edge.errors import ConfigurationError
from nrl_edge.resources import boards_folder
from nrl_edge.strict_toml import Table, did_you_mean, parse_toml, read_text, show

Evidence = Literal["compiled", "emulated"]
EVIDENCE: tuple[Evidence, ...] = ("compiled", "emulated")
"""What has really been run for a board, never more: its firmware was compiled, or has also run in an emulator."""

_ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_MAX_MEMORY_BYTES = 1 << 32


@dataclass(frozen=True)
class Memory:
    """Memory of a microcontroller, in bytes."""

    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class EntropySource:
    """What a board's `raw` entropy mode reads."""

    description: str
    """The generator in words: block, conditioning, known traps."""
    bits_per_second: int | None = None
    """Rate of the generator as its vendor or driver states it; None where it is not limited or not known."""
    reference: str | None = None
    """Where description and rate are stated."""


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
    isa: str
    flags: tuple[str, ...]
    """Compiler flags of its builds."""
    evidence: Evidence
    memory: Memory | None
    """None for a process, which has as much as it wants."""
    entropy_source: EntropySource | None
    """None where a board has no hardware generator: `raw` entropy is then not to be had."""
    emulator: str | None
    """The program that runs its firmware without the board; None where there is none."""


def _keys(section: type[Any]) -> list[str]:
    return [field.name for field in fields(section)]


def parse_board(text: str, file: str) -> Board:
    """The board of a TOML text. Raises ConfigurationError that names file, key, value and what is allowed."""
    table = Table(parse_toml(text, file), file, "", _keys(Board))
    board_id = table.text("id")
    if not _ID.fullmatch(board_id) or board_id != Path(file).stem:
        table.fail(
            "id", f"lower-case letters, digits and single underscores, the same as the file's name {Path(file).stem!r}"
        )
    memory = None
    if table.has("memory"):
        section = table.table("memory", _keys(Memory))
        memory = Memory(
            section.integer("flash_bytes", 1, _MAX_MEMORY_BYTES), section.integer("ram_bytes", 1, _MAX_MEMORY_BYTES)
        )
    entropy_source = None
    if table.has("entropy_source"):
        section = table.table("entropy_source", _keys(EntropySource))
        entropy_source = EntropySource(
            section.text("description"),
            section.integer("bits_per_second", 1, 1 << 40) if section.has("bits_per_second") else None,
            section.text("reference") if section.has("reference") else None,
        )
    board = Board(
        id=board_id,
        name=table.text("name"),
        port_family=table.text("port_family"),
        mcu=table.text("mcu"),
        core=table.text("core"),
        isa=table.text("isa"),
        flags=table.strings("flags"),
        evidence=table.choice("evidence", EVIDENCE),
        memory=memory,
        entropy_source=entropy_source,
        emulator=table.text("emulator") if table.has("emulator") else None,
    )
    if board.evidence == "emulated" and board.emulator is None:
        table.fail("evidence", 'a board that was emulated names its emulator; add `emulator = ...` or say "compiled"')
    return board


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
