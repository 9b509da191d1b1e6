"""Builds the image of a board with the system's cross compiler, without PlatformIO."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, ToolchainName, find_board
from nrl_edge.codegen.firmware import LINKER_SCRIPT, render_firmware
from nrl_edge.codegen.flags import build_flags
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.codegen.render import write_files
from nrl_edge.errors import MissingToolError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import SOURCE_SUFFIXES, CCompiler, build_cached, compile_c, find_c_compiler
from nrl_host.build.arduino import build_arduino_image, find_arduino_core
from nrl_host.build.debian_packages import COMPILER_PACKAGES
from nrl_host.build.image import ImageSizes, image_sizes

__all__ = [
    "ImageSizes",
    "build_flags",
    "build_image",
    "build_sources",
    "convert_image",
    "find_cross_compiler",
    "image_sizes",
]


def find_cross_compiler(toolchain: ToolchainName) -> CCompiler:
    """The system's compiler of a toolchain. Raises MissingToolError, with the command that installs it."""
    name = f"{toolchain}-gcc"
    if shutil.which(name) is None:
        raise MissingToolError(
            f"{name} is not installed, which builds this board's firmware; install it, on Debian and Ubuntu with: "
            f"apt-get install {COMPILER_PACKAGES[toolchain]}"
        )
    return CCompiler((name,))


_OBJCOPY_FORMATS = {".hex": "ihex", ".bin": "binary"}


def convert_image(image: Path, output: Path, toolchain: ToolchainName) -> Path:
    """Write what an ELF image puts into flash as Intel HEX (.hex) or binary (.bin), by `output`'s suffix; returns it.

    Raises MissingToolError where the toolchain's objcopy is not installed, RunError where it fails.
    """
    objcopy = f"{toolchain}-objcopy"
    if shutil.which(objcopy) is None:
        raise MissingToolError(
            f"{objcopy} is not installed, which makes the {output.suffix} file that is flashed; install it, on Debian "
            f"and Ubuntu with: apt-get install {COMPILER_PACKAGES[toolchain]}"
        )
    # The contents of an AVR's EEPROM are flashed apart.
    command = [objcopy, "-O", _OBJCOPY_FORMATS[output.suffix], "-R", ".eeprom", str(image), str(output)]
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if finished.returncode != 0:
        raise RunError(f"{image} cannot be made a {output.suffix} file: {finished.stderr.strip()}")
    return output


def build_image(
    configuration: AgentConfiguration,
    board: Board | str,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    data_bytes: int | None = None,
    options: FirmwareOptions = PLAIN,
    folder: Path | None = None,
    extra_flags: Sequence[str] = (),
) -> Path:
    """Render the firmware of a board (or of a board's id), compile and link it; returns the ELF file.

    With `folder` sources and image are put there; without, the image comes from the user's cache of builds and is
    compiled only once. `data_bytes` and `options` are as for `render_firmware`, and `extra_flags` go behind the
    board's own. Raises MissingToolError where the board's compiler is not installed, RunError where it fails.
    """
    if isinstance(board, str):
        board = find_board(board)
    files = render_firmware(
        configuration, seed=seed, entropy_mode=entropy_mode, board=board, data_bytes=data_bytes, options=options
    )
    return build_sources(files, board, folder=folder, extra_flags=extra_flags)


def build_sources(
    files: Mapping[str, str], board: Board, *, folder: Path | None = None, extra_flags: Sequence[str] = ()
) -> Path:
    """Compile and link {path: text} of a firmware for a board; see `build_image`."""
    if board.framework is not None:
        find_arduino_core(board)
    compiler = find_c_compiler() if board.toolchain is None else find_cross_compiler(board.toolchain)
    if board.framework is not None:
        return build_arduino_image(files, board, compiler, folder=folder, extra_flags=extra_flags)
    flags, libraries = build_flags(board)
    flags = (*flags, *extra_flags)
    has_script = LINKER_SCRIPT in files
    if folder is None:
        # The cache wants headers at the top; sources are linked in the order that they have in a project.
        return build_cached(
            {
                path if path.endswith(SOURCE_SUFFIXES) else PurePosixPath(path).name: each
                for path, each in files.items()
            },
            f"{board.id}-firmware",
            extra_flags=flags,
            libraries=libraries,
            linker_script=LINKER_SCRIPT if has_script else None,
            suffix=None if board.toolchain is None else ".elf",
            compiler=compiler,
        )
    write_files(files, folder)
    return compile_c(
        [folder / path for path in files if path.endswith(SOURCE_SUFFIXES)],
        folder / ("firmware" if board.toolchain is None else "firmware.elf"),
        include_folders=[folder / "include"],
        extra_flags=[*flags, *([f"-T{folder / LINKER_SCRIPT}"] if has_script else [])],
        libraries=libraries,
        compiler=compiler,
    )
