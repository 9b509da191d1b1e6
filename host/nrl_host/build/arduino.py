"""Builds firmware with an Arduino core that the system has, as the Arduino tools do it (platform.txt of that core)."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from nrl_edge.boards import ArduinoCore, Board
from nrl_edge.codegen.flags import framework_flags
from nrl_edge.codegen.render import write_files
from nrl_edge.errors import MissingToolError, RunError
from nrl_edge.native.compiler import CCompiler, cache_folder

HARDWARE_FOLDERS = (Path("/usr/share/arduino/hardware"),)
"""Where Linux distributions keep Arduino cores: VENDOR/ARCHITECTURE below it."""

_COMMON = ("-g", "-Os", "-ffunction-sections", "-fdata-sections", "-flto", "-fno-fat-lto-objects")
_C = ("-std=gnu11",)
# DECIMAL_DIG is in the <float.h> of C++11, but not in that of GCC 5, which Debian's gcc-avr is.
_CPP = ("-std=gnu++11", "-fpermissive", "-fno-exceptions", "-fno-threadsafe-statics", "-DDECIMAL_DIG=__DECIMAL_DIG__")
_LINK = ("-Os", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections")
_SHOWN_LINES = 12


def find_arduino_core(board: Board) -> Path:
    """The folder of the Arduino core of a board.

    Raises MissingToolError where the system has none: with the package that has it, or with what builds it instead.
    """
    arduino = board.arduino
    if arduino is None:
        raise MissingToolError(
            f"firmware of board {board.id!r} stands on the Arduino core of its vendor, which no package of the system "
            "has; PlatformIO fetches it: write the project with `nrl-edge generate EXPERIMENT --output DIR` (the "
            f'experiment names the board: [board] id = "{board.id}"), then build and upload it with: '
            f"pip install platformio && pio run --project-dir DIR --environment {board.id} --target upload"
        )
    vendor, _, architecture = arduino.core.partition(":")
    for hardware in HARDWARE_FOLDERS:
        core = hardware / vendor / architecture
        if (core / "cores" / "arduino" / "Arduino.h").is_file():
            return core
    raise MissingToolError(
        f"the Arduino core {arduino.core}, which the firmware of board {board.id!r} stands on, is not installed; "
        f"install it, on Debian and Ubuntu with: apt-get install {arduino.package}"
    )


def build_arduino_image(
    files: Mapping[str, str],
    board: Board,
    compiler: CCompiler,
    *,
    folder: Path | None = None,
    extra_flags: Sequence[str] = (),
) -> Path:
    """Compile {path: text} of a firmware together with the board's Arduino core; returns the ELF file.

    With `folder`, sources and image are put there; without, the image comes from the user's cache of builds. Raises
    MissingToolError without the core, RunError with the first lines of the compiler's messages where it fails.
    """
    core = find_arduino_core(board)
    arduino = board.arduino
    assert arduino is not None and board.clock is not None
    flags = [
        *(*board.flags, *_COMMON, f"-DF_CPU={board.clock.hz}L", *_defines(arduino), *framework_flags(board)),
        *(f"-I{core / 'cores' / 'arduino'}", f"-I{core / 'variants' / arduino.variant}"),
    ]
    if folder is not None:
        write_files(files, folder)
        return _compile(files, folder, core, compiler, flags, extra_flags, board, folder / "firmware.elf")
    digest = hashlib.sha256()
    texts = (text for item in sorted(files.items()) for text in item)
    for part in (compiler.version, str(core), *flags, *extra_flags, *texts):
        encoded = part.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    built = cache_folder() / f"{board.id}-firmware-{digest.hexdigest()[:32]}.elf"
    if not built.is_file():
        with tempfile.TemporaryDirectory(prefix=".sources-", dir=built.parent) as temporary:
            write_files(files, Path(temporary))
            _compile(files, Path(temporary), core, compiler, flags, extra_flags, board, built)
    return built


def _defines(arduino: ArduinoCore) -> list[str]:
    return [f"-D{each}" for each in arduino.defines]


def _compile(
    files: Mapping[str, str],
    project: Path,
    core: Path,
    compiler: CCompiler,
    flags: Sequence[str],
    extra_flags: Sequence[str],
    board: Board,
    output: Path,
) -> Path:
    """Each language in one go, the core's sources without the warnings that `extra_flags` ask for, then the link."""
    own = [project / path for path in files]
    others = sorted((core / "cores" / "arduino").iterdir())
    # The move at the end is within one file system.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output.parent) as temporary:
        objects = Path(temporary)
        for name, sources, more in (("own", own, extra_flags), ("core", others, ("-w",))):
            for language, suffixes, standard in (("c", (".c", ".S"), _C), ("cpp", (".cpp",), _CPP)):
                chosen = [str(path) for path in sources if path.suffix in suffixes]
                place = objects / f"{name}-{language}"
                place.mkdir()
                # What C++ has no warning for, C++ does not ask for.
                asked = [flag for flag in more if language == "c" or not flag.endswith("-prototypes")]
                command = [*compiler.command, *flags, *standard, *asked, f"-I{project / 'include'}", "-c", *chosen]
                if chosen:
                    _run(command, place, board)
        linked = objects / output.name
        found = sorted(str(path) for path in objects.rglob("*.o"))
        _run([*compiler.command, *board.flags, *_LINK, *found, "-lm", "-o", str(linked)], objects, board)
        linked.replace(output)
    return output


def _run(command: Sequence[str], folder: Path, board: Board) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = "\n".join((done.stderr or done.stdout).strip().splitlines()[:_SHOWN_LINES])
        raise RunError(f"compiling the firmware of {board.id} failed (exit code {done.returncode}):\n{lines}")
