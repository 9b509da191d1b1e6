"""Boot loaders that show themselves as a USB drive and take UF2 files (Microsoft's UF2 specification)."""

from __future__ import annotations

import contextlib
import os
import re
import string
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from nrl_edge.boards import Board
from nrl_edge.errors import DeviceError

INFORMATION = "INFO_UF2.TXT"
_WAIT_SECONDS = 30.0
_INTERVAL_SECONDS = 0.05
_CHUNK_BYTES = 1 << 16


def find_drives(board_id: str, folders: Iterable[Path] | None = None) -> list[Path]:
    """Mounted drives of boot loaders that call their board `board_id`; `folders` are those to look at, else all."""
    return [folder for folder in (mounted() if folders is None else folders) if _board_id(folder) == board_id]


def find_drive(board: Board, drive: Path | None = None) -> Path:
    """The drive of a board's boot loader. Raises DeviceError where there is none, more than one, or it is another's."""
    assert board.uf2 is not None and board.uf2.board_id is not None
    wanted = board.uf2.board_id
    if drive is not None:
        found = _board_id(drive)
        if found != wanted:
            what = f"is the drive of a {found}" if found else f"is no boot loader's drive: it has no {INFORMATION}"
            raise DeviceError(f"{drive} {what}; {board.name} shows itself as {wanted}")
        return drive
    drives = find_drives(wanted)
    if len(drives) == 1:
        return drives[0]
    if drives:
        raise DeviceError(
            f"{len(drives)} boards wait to be flashed: {', '.join(map(str, drives))}. Name one with --drive"
        )
    raise DeviceError(
        f"no drive of {board.name}'s boot loader is there. Hold the board's BOOTSEL button while you plug it in; where "
        f"the drive is not mounted by itself: udisksctl mount -b /dev/disk/by-label/{wanted}"
    )


def copy_to_drive(uf2: Path, drive: Path) -> None:
    """Copy a UF2 file to a boot loader's drive and wait until the drive goes, as it does when the image is complete.

    Raises DeviceError where it cannot be written, or the drive stays.
    """
    target = drive / uf2.name
    try:
        with target.open("wb") as file:
            data = uf2.read_bytes()
            for start in range(0, len(data), _CHUNK_BYTES):
                file.write(data[start : start + _CHUNK_BYTES])
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # A board that has all it needs restarts at once, and takes its drive away under the file that is being closed.
        if (drive / INFORMATION).exists():
            raise DeviceError(
                f"{target} could not be written: {error.strerror or error}. Unplug the board, hold its BOOTSEL button "
                "while you plug it in, and flash again"
            ) from error
    deadline = time.monotonic() + _WAIT_SECONDS
    while (drive / INFORMATION).exists():
        if time.monotonic() > deadline:
            raise DeviceError(
                f"the boot loader on {drive} still waits after {_WAIT_SECONDS:.0f} s: it took the file for another "
                "board's, or blocks were lost; flash again"
            )
        time.sleep(_INTERVAL_SECONDS)


def mounted() -> list[Path]:
    """Where drives are mounted on this machine."""
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").iterdir())
    return mount_points(Path("/proc/mounts").read_text(encoding="utf-8", errors="replace"))


def mount_points(table: str) -> list[Path]:
    """The folders of FAT file systems in a table of mounts, as Linux writes it."""
    points = []
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 3 and words[2] in ("vfat", "msdos"):
            # Blanks and the like stand there as \040.
            points.append(Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[1])))
    return points


def _board_id(folder: Path) -> str | None:
    text = ""
    with contextlib.suppress(OSError):
        text = (folder / INFORMATION).read_text(encoding="ascii", errors="replace")
    found = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else None
