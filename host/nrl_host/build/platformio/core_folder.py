"""A PlatformIO core folder in which everything is there already: SCons, and platforms around the system's compilers.

PlatformIO normally fetches its SCons and a platform from its registry. Here SCons is PyPI's, and each platform that a
board names stands in the folder under the very name that the registry gives it, so that a project's platformio.ini
stays the one that an online user needs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from nrl_edge.boards import Board, load_boards
from nrl_edge.codegen.project import LOCAL_PLATFORM
from nrl_edge.errors import MissingToolError
from nrl_edge.native import cache_folder
from nrl_host.uploaders import PROGRAMS

NATIVE_PLATFORM = "native"
_PLATFORM_VERSION = "1.0.0"
_SCONS_ENTRY = """\
import SCons.Script

SCons.Script.main()
"""

CORE_VARIABLES = {
    "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
    # PlatformIO compares the text: any other word than this one leaves the check, and with it the look-up, on.
    "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
    "PLATFORMIO_NO_ANSI": "true",
}
"""What PlatformIO's environment needs besides PLATFORMIO_CORE_DIR, so that it asks nobody."""


def require_platformio(with_scons: bool) -> None:
    """Raises MissingToolError where PlatformIO is not installed, or SCons where it has to be there, too."""
    for module in ("platformio", *(("SCons",) if with_scons else ())):
        if importlib.util.find_spec(module) is None:
            raise MissingToolError(
                f"building with PlatformIO needs the Python package {module.lower()}, which is not installed; install "
                "it with: pip install 'nrl-edge[boards]', or build a board's firmware with --toolchain direct"
            )


def platform_and_board(board: Board) -> tuple[str, str]:
    """What a board's platformio.ini calls its platform and itself."""
    if board.platformio is None:
        return LOCAL_PLATFORM, board.id
    return board.platformio.platform, board.platformio.board


def is_local(board: Board) -> bool:
    """Whether the local platforms build a board: its port stands on registers, and the system has its compiler."""
    return board.toolchain is not None and (board.platformio is None or board.platformio.framework is None)


def board_of(platform: str, board_name: str) -> Board | None:
    """The board that a platformio.ini means, of those that the local platforms build."""
    return next((each for each in load_boards() if is_local(each) and _is(each, platform, board_name)), None)


def prepare_core_folder(folder: Path | None = None) -> Path:
    """Lay out a PlatformIO core folder that needs no registry, and return it. Safe to call again and in parallel.

    Raises MissingToolError where PlatformIO or SCons is not installed.
    """
    require_platformio(with_scons=True)
    contents = _contents()
    if folder is None:
        # Versions of this package do not overwrite each other's.
        digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
        folder = cache_folder() / f"platformio-core-{digest[:12]}"
    for name, text in contents.items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
    return folder


def _is(board: Board, platform: str, board_name: str) -> bool:
    return platform_and_board(board) == (platform, board_name)


def _contents() -> dict[str, str]:
    """Every file of the core folder by its path in it."""
    from platformio.dependencies import get_core_dependencies

    scons_version = get_core_dependencies()["tool-scons"].lstrip("~^>=")
    builder = files("nrl_host.build.platformio").joinpath("system_builder.py").read_text(encoding="utf-8")
    contents = _package("packages/tool-scons", "tool", "package.json", scons_version)
    contents["packages/tool-scons/scons.py"] = _SCONS_ENTRY
    boards = [board for board in load_boards() if is_local(board)]
    for platform in sorted({NATIVE_PLATFORM, *(platform_and_board(board)[0] for board in boards)}):
        folder = f"platforms/{_folder_name(platform)}"
        contents |= _package(folder, "platform", "platform.json", _PLATFORM_VERSION, platform)
        contents[f"{folder}/builder/main.py"] = builder
        contents |= _manifests(folder, [board for board in boards if platform_and_board(board)[0] == platform])
    return contents


def _folder_name(platform: str) -> str:
    """Of a platform that a platformio.ini names by where it comes from, a name of its own."""
    if "://" not in platform:
        return platform
    name = platform.rpartition("/")[2].removesuffix(".git")
    return f"{name}-{hashlib.sha256(platform.encode()).hexdigest()[:12]}"


def _package(folder: str, kind: str, manifest: str, version: str, source: str = "") -> dict[str, str]:
    """One PlatformIO package as its installer would leave it: manifest and install record.

    `source` is what a platformio.ini says, where that is not the package's name.
    """
    from platformio.package.meta import PackageSpec

    name = folder.rpartition("/")[2]
    spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
    if "://" in source:
        spec = PackageSpec(source).as_dict()
    description = "The system's own compilers, under the name that PlatformIO's registry gives them"
    return {
        f"{folder}/{manifest}": json.dumps(
            {"name": name, "version": version, "title": name, "description": description, "license": "MIT"}
        ),
        f"{folder}/.piopm": json.dumps({"type": kind, "name": name, "version": version, "spec": spec}),
    }


def _upload_command(board: Board) -> str:
    """What `pio run -t upload` runs, in the words of SCons; empty where no program flashes the board."""
    program = PROGRAMS.get(board.upload.tool) if board.upload is not None else None
    if board.upload is None or program is None:
        return ""
    arguments = [*board.upload.arguments, *program.arguments(f"$BUILD_DIR/firmware{program.suffix}", "$UPLOAD_PORT")]
    return " ".join([program.name, *(f'"{argument}"' for argument in arguments)])


def _manifests(folder: str, boards: Iterable[Board]) -> dict[str, str]:
    """What a platform has to know of its boards."""
    manifests = {}
    for board in boards:
        assert board.memory is not None and board.clock is not None and board.toolchain is not None
        manifest = {
            "name": board.name,
            "vendor": board.mcu,
            "url": "none",
            "build": {"mcu": board.mcu.lower(), "f_cpu": f"{board.clock.hz}L", "toolchain": board.toolchain},
            "upload": {
                "maximum_size": board.memory.flash_bytes,
                "maximum_ram_size": board.memory.ram_bytes,
                "command": _upload_command(board),
            },
        }
        manifests[f"{folder}/boards/{platform_and_board(board)[1]}.json"] = json.dumps(manifest)
    return manifests
