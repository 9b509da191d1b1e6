"""Builds the firmware of an experiment for a board: through PlatformIO, or with one command of the board's compiler.

Whatever the way, the system's compilers make the same image of the same experiment, byte for byte (tests/boards).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.firmware import firmware_build_id
from nrl_edge.codegen.options import ProfileDetail, firmware_options
from nrl_edge.codegen.project import render_project, write_project
from nrl_edge.errors import RunError
from nrl_edge.experiment import Experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native import cache_folder
from nrl_host.build.board_build import (
    BoardBuild,
    accept_or_refuse,
    build_for_board,
    linker_says_full,
    measured,
    program_limits,
    write_flash_files,
)
from nrl_host.build.platformio import Toolchain, build_project
from nrl_host.build.toolchain import find_cross_compiler

BuildToolchain = Literal["system", "platformio", "direct"]
"""`system`: PlatformIO with this machine's compilers; `platformio`: with what it fetches; `direct`: no PlatformIO."""

IMAGE_NAME = "firmware.elf"


def build_experiment(
    experiment: Experiment,
    board: str | None = None,
    *,
    folder: Path | None = None,
    toolchain: BuildToolchain = "system",
    profile: ProfileDetail = "off",
) -> BoardBuild:
    """Build the image of an experiment for a board (the experiment's own where None) and return it with its sizes.

    `profile` is what the firmware counts of what it costs. With `folder`, project and image are put there; without,
    images come from the user's cache of builds. Raises DoesNotFitError where the board cannot hold the image, naming
    the largest network of the same kind that it does hold; ConfigurationError for a board without limits, such as the
    desktop, and for a folder that holds something else; MissingToolError where a tool is not installed; RunError where
    the build fails.
    """
    if board is not None:
        experiment = experiment.with_overrides(board=board)
    configuration = resolve_agent(experiment)
    seed, entropy_mode = experiment.entropy.seed, experiment.entropy.mode
    options = replace(firmware_options(experiment), profile=profile)
    found = find_board(experiment.board.id)
    # With a core of the system, PlatformIO has nothing to add; without one, the error says what builds the board.
    if toolchain == "direct" or (toolchain == "system" and found.framework is not None):
        return build_for_board(
            configuration, found, seed=seed, entropy_mode=entropy_mode, options=options, folder=folder
        )
    memory = program_limits(configuration, found, options)
    built = None
    try:
        image = _image(experiment, configuration, found, folder, toolchain, profile)
    except RunError as error:
        if not linker_says_full(error):
            raise
    else:
        build_id = firmware_build_id(configuration, seed=seed, entropy_mode=entropy_mode, board=found, options=options)
        built = measured(image, found, memory, build_id)
    return accept_or_refuse(built, configuration, found, memory, seed=seed, entropy_mode=entropy_mode, options=options)


def _image(
    experiment: Experiment,
    configuration: AgentConfiguration,
    board: Board,
    folder: Path | None,
    toolchain: Toolchain,
    profile: ProfileDetail,
) -> Path:
    """Build with PlatformIO in `folder`, or in one of the cache that is filled only once."""
    if folder is not None:
        write_project(experiment, configuration, folder, profile=profile)
        return _take_image(build_project(folder, toolchain=toolchain), folder, board, toolchain)
    kept = cache_folder() / f"{board.id}-project-{_digest(experiment, configuration, board, toolchain, profile)}"
    if not (kept / IMAGE_NAME).is_file():
        with tempfile.TemporaryDirectory(prefix=".project-", dir=kept.parent) as temporary:
            project, images = Path(temporary, "project"), Path(temporary, "images")
            write_project(experiment, configuration, project, profile=profile)
            built = build_project(project, toolchain=toolchain)
            images.mkdir()
            _take_image(built, images, board, toolchain)
            if not (kept / IMAGE_NAME).is_file():
                shutil.rmtree(kept, ignore_errors=True)
                # Another process may have been first: then its images, which are the same, stay.
                try:
                    images.rename(kept)
                except OSError as error:
                    if not (kept / IMAGE_NAME).is_file():
                        raise RunError(f"the image cannot be kept in {kept}: {error}") from error
    return kept / IMAGE_NAME


def _digest(
    experiment: Experiment,
    configuration: AgentConfiguration,
    board: Board,
    toolchain: Toolchain,
    profile: ProfileDetail,
) -> str:
    """What a cached image depends on."""
    compiler = ""
    if toolchain == "system" and board.toolchain is not None:
        compiler = find_cross_compiler(board.toolchain).version
    parts = json.dumps(
        [toolchain, compiler, render_project(experiment, configuration, profile=profile)], sort_keys=True
    )
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _take_image(built: Path, folder: Path, board: Board, toolchain: Toolchain) -> Path:
    """Copy an image, in every form that tools flash, from where PlatformIO puts it into `folder`."""
    taken = folder / IMAGE_NAME
    shutil.copyfile(built, taken)
    if toolchain == "system":
        write_flash_files(taken, board)
        return taken
    # What PlatformIO fetched made these; this machine may have no tool for the board.
    for suffix in (".hex", ".bin", ".uf2"):
        if built.with_suffix(suffix).is_file():
            shutil.copyfile(built.with_suffix(suffix), taken.with_suffix(suffix))
    return taken
