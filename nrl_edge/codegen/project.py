"""Writes a generated PlatformIO project: core, link, port and main, with what builds and explains them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nrl_edge import __version__
from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.firmware import LINKER_SCRIPT, render_firmware
from nrl_edge.codegen.flags import build_flags
from nrl_edge.codegen.options import ProfileDetail, firmware_options
from nrl_edge.codegen.render import render_template, write_files
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, explicit_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration

LOCAL_PLATFORM = "nrl_edge"
"""The platform in the platformio.ini of a machine that none of PlatformIO's knows; `nrl-edge build` brings it along."""

LINK_FLAGS_SCRIPT = "nrl_link_flags.py"
"""Path, in a project, of what tells PlatformIO the flags that its `build_flags` give to the compiler alone."""

MARKER = "nrl_project.json"
"""Lists the files that were generated, so that a project can be generated again without touching anything else."""

_FLAGS_OF_BOTH = ("-m", "-O", "-ffreestanding", "-nostdlib")
"""How flags begin that the linker's command line needs as the compiler's does."""


def render_project(
    experiment: Experiment, configuration: AgentConfiguration, *, profile: ProfileDetail = "off"
) -> dict[str, str]:
    """All files of the project by their path inside it. The same experiment always gives the same text.

    `profile` is what the firmware counts of what it costs (docs/profile.md).
    """
    board = find_board(experiment.board.id)
    files = render_firmware(
        configuration,
        seed=experiment.entropy.seed,
        entropy_mode=experiment.entropy.mode,
        board=board,
        options=replace(firmware_options(experiment), profile=profile),
    )
    core = set(render_core(configuration))
    values = {
        "version": __version__,
        "description": configuration.description,
        "identity": configuration.identity,
        "parameters": configuration.parameters,
        "weight_bytes": configuration.weight_bytes,
        "environment": experiment.board.id,
        "board": board,
        "compile_command": compile_command(board, LINKER_SCRIPT in files),
        "core_files": sorted(path for path in files if Path(path).name in core),
    }
    files |= render_build_files(board, configuration.description, LINKER_SCRIPT in files)
    files["README.md"] = render_template("project/README.md.j2", values)
    files["experiment.toml"] = explicit_experiment(experiment, configuration.formats).to_toml()
    manifest = {
        "generator": f"nrl-edge {__version__}",
        "agent": configuration.description,
        "agent_identity": f"{configuration.identity:08x}",
        "board": experiment.board.id,
        "files": sorted(files),
    }
    files[MARKER] = json.dumps(manifest, indent=2) + "\n"
    return files


def render_build_files(board: Board, description: str, has_linker_script: bool) -> dict[str, str]:
    """What PlatformIO builds a project of a board with: {path: text}. `description` is what the firmware is."""
    flags, libraries = build_flags(board)
    values = {
        "description": description,
        "environment": board.id,
        "board": board,
        "flags": flags,
        "libraries": libraries,
        "link_flags": [flag for flag in flags if flag.startswith(_FLAGS_OF_BOTH)],
        "link_flags_script": LINK_FLAGS_SCRIPT,
        "local_platform": LOCAL_PLATFORM,
        "linker_script": LINKER_SCRIPT if has_linker_script else None,
    }
    files = {"platformio.ini": render_template("project/platformio.ini.j2", values)}
    if board.toolchain is not None and board.framework is None:
        files[LINK_FLAGS_SCRIPT] = render_template(f"project/{LINK_FLAGS_SCRIPT}.j2", values)
    return files


def compile_command(board: Board, has_linker_script: bool) -> str:
    """The shell command that compiles and links a project of a board with a cross compiler, in the project's folder."""
    flags, libraries = build_flags(board)
    script = (f"-T{LINKER_SCRIPT}",) if has_linker_script else ()
    options = shlex.join([*flags, *script, "-Iinclude"])
    return f"{board.toolchain}-gcc {options} src/*.c src/*/*.c {' '.join((*libraries, '-o', 'firmware.elf'))}"


def write_project(
    experiment: Experiment,
    configuration: AgentConfiguration,
    folder: Path,
    *,
    dry_run: bool = False,
    profile: ProfileDetail = "off",
) -> list[Path]:
    """Write the project into `folder` and return its files; with `dry_run` nothing is written or removed.

    `profile` is as for `render_project`.

    An earlier generated project in the folder is replaced, file by file, and nothing else is touched. Raises
    ConfigurationError where the folder holds something that was not generated, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"{folder} is a file; name a folder with --output")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise ConfigurationError(
                f"{folder} is not empty and holds no generated project; name an empty or new folder with --output"
            )
        files = render_project(experiment, configuration, profile=profile)
        if dry_run:
            return [folder / name for name in files]
        remove_stale(folder, files, MARKER)
        return write_files(files, folder, MARKER)
    except OSError as error:
        raise ConfigurationError(f"cannot write the project to {folder}: {error}") from error


def remove_stale(folder: Path, files: Mapping[str, str], marker_name: str) -> None:
    """Remove what an earlier generation wrote and this one does not: a left-over source would be compiled too.

    The file `marker_name` in the folder lists what was written. Raises ConfigurationError where it is damaged.
    """
    marker = folder / marker_name
    if not marker.is_file():
        return
    try:
        names = [str(name) for name in json.loads(marker.read_text(encoding="utf-8"))["files"]]
        if any("\0" in name for name in names):
            raise ValueError("a name holds a zero byte")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{marker} is damaged ({error}); remove {folder} and generate again") from error
    root = folder.resolve()
    wanted = {root / name for name in files}
    for name in names:
        # The folder is resolved, the file itself is not: of a symbolic link, the link is removed.
        path = (folder / name).parent.resolve() / Path(name).name
        # The list is a file that anybody may have edited: it removes nothing outside the project.
        if path not in wanted and path.is_relative_to(root):
            path.unlink(missing_ok=True)
