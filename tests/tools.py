"""The one policy for tests that need a program of the system: skip without it, unless every tool is required."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from nrl_edge.boards import Board, find_board

COMPILER_PACKAGES = {
    "arm-none-eabi": "gcc-arm-none-eabi binutils-arm-none-eabi",
    "avr": "gcc-avr avr-libc",
    "riscv64-unknown-elf": "gcc-riscv64-unknown-elf",
}
EMULATOR_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
NODE_MODULES = Path(os.environ.get("NRL_EDGE_NODE_MODULES", Path(sys.prefix) / "npm" / "node_modules"))
ARDUINO_CORES = Path("/usr/share/arduino/hardware")
SIMAVR_HEADER = Path("/usr/include/simavr/sim_avr.h")


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


def require_npm(package: str) -> Path:
    """The folder of an npm package that the Makefile installs, by the same policy."""
    return require_file(NODE_MODULES / package, "make npm-packages (which needs nodejs and npm)")


def require_board(board_id: str) -> Board:
    """A board whose compiler and emulator are installed; the test is skipped (or fails) where they are not."""
    board = find_board(board_id)
    if board.toolchain is not None:
        require_tool(f"{board.toolchain}-gcc", f"apt-get install {COMPILER_PACKAGES[board.toolchain]}")
    if board.arduino is not None:
        require_file(ARDUINO_CORES / board.arduino.core.replace(":", "/"), f"apt-get install {board.arduino.package}")
    if board.emulator is not None:
        program = board.emulator.split()[0]
        if program == "unicorn":
            pytest.importorskip("unicorn", reason="unicorn is not installed: pip install 'nrl-edge[unicorn]'")
            return board
        if program == "simavr":
            require_file(SIMAVR_HEADER, "apt-get install libsimavr-dev libelf-dev")
            return board
        require_tool(program, f"apt-get install {EMULATOR_PACKAGES[program]}")
    return board
