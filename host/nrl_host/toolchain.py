"""Builds the image of a board with the system's cross compiler, without PlatformIO."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, ToolchainName, find_board
from nrl_edge.codegen.firmware import LINKER_SCRIPT, render_firmware
from nrl_edge.codegen.flags import build_flags
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.codegen.render import write_files
from nrl_edge.errors import MissingToolError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import SOURCE_SUFFIXES, CCompiler, build_cached, compile_c, find_c_compiler
from nrl_host.debian_packages import COMPILER_PACKAGES
from nrl_host.image import ImageSizes, image_sizes

__all__ = ["ImageSizes", "build_flags", "build_image", "find_cross_compiler", "image_sizes"]


def find_cross_compiler(toolchain: ToolchainName) -> CCompiler:
    """The system's compiler of a toolchain. Raises MissingToolError, with the command that installs it."""
    name = f"{toolchain}-gcc"
    if shutil.which(name) is None:
        raise MissingToolError(
            f"{name} is not installed, which builds this board's firmware; install it, on Debian and Ubuntu with: "
            f"apt-get install {COMPILER_PACKAGES[toolchain]}"
        )
    return CCompiler((name,))


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
    compiler = find_c_compiler() if board.toolchain is None else find_cross_compiler(board.toolchain)
    files = render_firmware(
        configuration, seed=seed, entropy_mode=entropy_mode, board=board, data_bytes=data_bytes, options=options
    )
    flags, libraries = build_flags(board)
    flags = (*flags, *extra_flags)
    has_script = LINKER_SCRIPT in files
    if folder is None:
        # File names are unique across the folders of a project, and the cache wants headers beside sources.
        flat = {PurePosixPath(path).name: text for path, text in files.items()}
        return build_cached(
            flat,
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
