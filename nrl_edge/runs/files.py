"""Writing files that are whole or absent, whenever the power goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from nrl_edge.errors import RunError


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` into a file so that a reader sees the old content or the new, never half. Raises RunError."""
    write_with_atomically(path, lambda file: file.write(data))


def write_with_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """The same for content that `write` puts into an open file."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error}. The disk may be full or write-protected") from error


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable, where the system can (Windows cannot open folders)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
