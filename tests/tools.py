"""The one policy for tests that need a program of the system: skip without it, unless every tool is required."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def require_tool(name: str, install_hint: str) -> str:
    """Path of a program. Without it the test is skipped, or fails where NRL_EDGE_REQUIRE_TOOLS is 1."""
    path = shutil.which(name)
    if path is not None:
        return path
    message = f"{name} is not installed: {install_hint}"
    if os.environ.get("NRL_EDGE_REQUIRE_TOOLS") == "1":
        pytest.fail(message)
    pytest.skip(message)


def require_file(path: Path, install_hint: str) -> Path:
    """A file of the system, such as a library's header, by the same policy."""
    if path.exists():
        return path
    message = f"{path} is not installed: {install_hint}"
    if os.environ.get("NRL_EDGE_REQUIRE_TOOLS") == "1":
        pytest.fail(message)
    pytest.skip(message)
