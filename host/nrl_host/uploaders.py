"""The programs that write an image to a board: their command lines, and what their complaints mean."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nrl_edge.boards import Board, UploadTool
from nrl_edge.errors import ConfigurationError, DeviceError, MissingToolError

_SHOWN_LINES = 8
_SECONDS = 300.0
"""A megabyte over 115200 baud takes less."""

PORT_GROUP_ADVICE = (
    "your account may not use it: `sudo usermod -aG dialout $USER`, then log out and in again (`nrl-edge doctor` looks)"
)
_UDEV_ADVICE = "your account may not use the USB device: it needs a udev rule (`nrl-edge doctor` tells how)"
_BUSY_ADVICE = "another program has it open: close serial monitors and debuggers"


@dataclass(frozen=True)
class Program:
    """One program that flashes."""

    name: str
    package: str
    """Debian's package."""
    suffix: str
    """Which file beside the image it takes."""
    needs_port: bool
    """Whether it writes over the serial port that the agent is talked to over."""
    arguments: Callable[[str, str], list[str]]
    """What comes behind the board's own arguments, of image and port."""
    symptoms: tuple[tuple[str, str], ...]
    """(what it says, as a regular expression; what that means and what to do), the more telling first."""


_SERIAL_SYMPTOMS = (
    (r"[Pp]ermission denied|Access is denied", f"the port cannot be opened; {PORT_GROUP_ADVICE}"),
    (r"[Rr]esource busy|[Rr]esource temporarily unavailable", f"the port is busy; {_BUSY_ADVICE}"),
    (
        r"No such file or directory|cannot find the file",
        "there is no such port: `nrl-edge ports` lists those there are",
    ),
    (r"verification (error|mismatch)|content mismatch", "what was read back is not what was written: flash again"),
    (
        r"not in sync|not responding|unable to open programmer|timeout",
        "no boot loader answered: is this the board's port, and is it this board? Press its reset button as the upload "
        "begins where it does not restart by itself",
    ),
)

PROGRAMS: dict[UploadTool, Program] = {
    "avrdude": Program(
        "avrdude",
        "avrdude",
        ".hex",
        True,
        lambda image, port: ["-P", port, "-U", f"flash:w:{image}:i"],
        _SERIAL_SYMPTOMS,
    ),
    "openocd": Program(
        "openocd",
        "openocd",
        ".hex",
        False,
        # Braces keep the blanks of a path together in OpenOCD's language.
        lambda image, port: ["-c", f"program {{{image}}} verify reset exit"],
        (
            (r"LIBUSB_ERROR_ACCESS|insufficient permissions|[Pp]ermission denied", _UDEV_ADVICE),
            (r"LIBUSB_ERROR_BUSY|[Rr]esource busy", f"the debug probe is busy; {_BUSY_ADVICE}"),
            (
                r"unable to find a matching CMSIS-DAP|No J-Link device found|[Oo]pen failed|no device found",
                "no debug probe was found: plug it in with a cable that carries data; one that is there but not "
                "allowed looks the same, then it needs a udev rule (`nrl-edge doctor` tells how)",
            ),
            (r"\*\* Verify Failed|contents differ|checksum mismatch", "what was read back is not what was written"),
            (
                r"Error connecting DP|Could not find MEM-AP|[Tt]arget not examined|UNEXPECTED idcode|init mode failed",
                "the probe found no chip, or another one than this board has: is the board powered, is it this board?",
            ),
        ),
    ),
    "dfu-util": Program(
        "dfu-util",
        "dfu-util",
        ".bin",
        False,
        lambda image, port: ["-D", image],
        (
            (r"LIBUSB_ERROR_ACCESS|insufficient permissions|Cannot open DFU device", _UDEV_ADVICE),
            (
                r"No DFU capable USB device",
                "no boot loader was found: connect BOOT0 (B0) to 3.3 V and press reset, then flash again",
            ),
        ),
    ),
}


def program_of(board: Board) -> Program | None:
    """The program that flashes a board from this machine; None where it takes UF2 files on a drive.

    Raises ConfigurationError where neither does.
    """
    if board.upload is None:
        raise ConfigurationError(
            f"nothing on this machine flashes board {board.id!r}: "
            + (
                "it is a machine of an emulator; run its firmware with `nrl-edge sim EXPERIMENT --target BOARD`"
                if board.platformio is None
                else "PlatformIO does, with --toolchain platformio"
            )
        )
    return PROGRAMS.get(board.upload.tool)


def upload_command(board: Board, image: Path, port: str | None) -> list[str]:
    """The command line that flashes an image in ELF form, of which the forms that tools want lie beside it.

    Raises ConfigurationError where the program needs a serial port and has none, or one that it cannot use.
    """
    program = program_of(board)
    assert program is not None and board.upload is not None
    if program.needs_port and port is None:
        raise ConfigurationError(f"{board.name} is flashed over its serial port: name it with --port")
    file = image.with_suffix(program.suffix)
    return [
        program.name,
        *board.upload.arguments,
        *program.arguments(str(file), "" if port is None else _port_name(port)),
    ]


def run_upload(program: Program, command: Sequence[str]) -> None:
    """Run a command that flashes. Raises MissingToolError without the program, DeviceError where it fails, in words."""
    if shutil.which(command[0]) is None:
        raise MissingToolError(
            f"{command[0]} is not installed, which flashes this board; install it, on Debian and Ubuntu with: "
            f"apt-get install {program.package}"
        )
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"{command[0]} did not end within {_SECONDS:.0f} s; unplug the board and try again"
        ) from error
    if finished.returncode != 0:
        raise DeviceError(failure_text(command[0], finished.stdout + finished.stderr, program.symptoms))


def failure_text(name: str, output: str, symptoms: Sequence[tuple[str, str]]) -> str:
    """What a program's last words mean, and the words themselves."""
    lines = [line for line in output.splitlines() if line.strip()]
    meaning = next((meaning for pattern, meaning in symptoms if re.search(pattern, output)), "")
    said = "\n".join(lines[-_SHOWN_LINES:])
    return f"{name} could not flash the board" + (f": {meaning}" if meaning else "") + f"\n{said}"


def all_symptoms() -> tuple[tuple[str, str], ...]:
    """The symptoms of every program, for uploads that PlatformIO runs."""
    return tuple(symptom for program in PROGRAMS.values() for symptom in program.symptoms)


def _port_name(port: str) -> str:
    """What avrdude calls a port: it knows TCP, but none of pyserial's other kinds of url."""
    scheme, separator, place = port.partition("://")
    if not separator:
        return port
    if scheme == "socket":
        return f"net:{place}"
    raise ConfigurationError(
        f"port {port}: a board is flashed over a serial port such as /dev/ttyACM0, or socket://HOST:PORT"
    )
