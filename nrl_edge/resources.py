"""Finds the firmware templates and the board files, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def templates_folder() -> Path:
    """Folder of the firmware templates (`core/`, `link/`, `port/`, `project/`, `messages.toml`)."""
    return _folder("firmware_templates")


def boards_folder() -> Path:
    """Folder of the board files, one TOML file a board."""
    return _folder("boards")
