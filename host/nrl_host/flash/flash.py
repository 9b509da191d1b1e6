"""Flashes a board: builds where needed, skips what is there already, uploads, and asks the board what it runs."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nrl_edge.boards import Board
from nrl_edge.codegen.project import write_project
from nrl_edge.errors import ConfigurationError, DeviceError
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_host.build.platformio.project import platformio_command, run_platformio
from nrl_host.flash.source import Source, prepare_source
from nrl_host.flash.uf2_drive import copy_to_drive, find_drive
from nrl_host.flash.verify import check_port, locate_port, running_build, wait_for_port
from nrl_host.link import DEFAULT_BAUD
from nrl_host.uploaders import all_symptoms, failure_text, program_of, run_upload, upload_command

Outcome = Literal["flashed", "unchanged", "dry run"]

_ASK_SECONDS = 4.0
"""A board that restarts when its port is opened, and stays in its boot loader for a second or two, answers by then."""
_VERIFY_SECONDS = 10.0
"""The same for one that has just been written: it should answer, so it gets time."""


@dataclass(frozen=True)
class Flashed:
    """How flashing ended."""

    outcome: Outcome
    board: str
    image: Path
    build_id: str
    """Of the image, in hexadecimal."""
    port: str | None
    """Where the board was asked what it runs."""
    verified: bool
    """Whether the board said that it runs this build."""
    command: str
    """The command line that writes the image, or what is done instead of one."""

    def as_dict(self) -> dict[str, object]:
        """The result as one JSON object."""
        return {
            "outcome": self.outcome,
            "board": self.board,
            "image": str(self.image),
            "build_id": self.build_id,
            "port": self.port,
            "verified": self.verified,
            "command": self.command,
        }


def flash(
    source: Path,
    board: str | None = None,
    *,
    port: str | None = None,
    drive: Path | None = None,
    force: bool = False,
    verify: bool = True,
    dry_run: bool = False,
    toolchain: Literal["system", "platformio"] = "system",
    on_progress: Callable[[str], None] = lambda sentence: None,
) -> Flashed:
    """Write the firmware of an experiment, a generated project or an ELF image to a board, and verify that it runs it.

    `board` is the id of one; an experiment or a project has its own. `port` is the board's serial port, which is found
    by its USB ids where that leaves no choice; `drive` that of a UF2 boot loader. A board that runs this very build
    already, by the build id in HELLO, is left alone unless `force` is set. Without `verify` no serial port is needed
    but for tools that upload over it. `dry_run` builds, looks for the port, and touches no board.
    `toolchain` is `system`, this machine's compilers and programs, or `platformio`, whose own upload is then run.
    `on_progress` is called with a sentence before what takes long.

    Raises what builds raise; ConfigurationError where the board cannot be flashed so; MissingToolError, with the
    command that installs it, without the program that flashes; DeviceError where no probe, boot loader or port is
    there, it may not be used, it is busy, or the board does not run the build afterwards.
    """
    on_progress("building")
    prepared = prepare_source(source, board, toolchain)
    found = prepared.board
    uses_platformio = toolchain == "platformio"
    program = None if uses_platformio else program_of(found)
    writes_over_port = (uses_platformio and _serial_upload(found)) or (program is not None and program.needs_port)
    port = port or locate_port(found)
    baud = found.uart.baud if found.uart is not None else DEFAULT_BAUD

    if uses_platformio:
        command = _platformio_command(source, found, port)
    elif program is not None:
        command = shlex.join(upload_command(found, prepared.image, port))
    else:
        command = f"copy {prepared.image.with_suffix('.uf2')} to the drive of the boot loader"
    if dry_run:
        return Flashed("dry run", found.id, prepared.image, prepared.build_id, port, False, command)

    if port is not None and (verify or writes_over_port):
        check_port(port, baud)
        on_progress("asking the board what it runs")
        if not force and running_build(port, baud, _ASK_SECONDS) == (found.id, prepared.build_id):
            return Flashed("unchanged", found.id, prepared.image, prepared.build_id, port, True, command)

    on_progress("flashing")
    if uses_platformio:
        _upload_with_platformio(source, found, port)
    elif program is not None:
        run_upload(program, upload_command(found, prepared.image, port))
    else:
        copy_to_drive(prepared.image.with_suffix(".uf2"), find_drive(found, drive))
    if not verify:
        return Flashed("flashed", found.id, prepared.image, prepared.build_id, port, False, command)
    on_progress("verifying")
    port = port or wait_for_port(found)
    _verify(prepared, port, baud)
    return Flashed("flashed", found.id, prepared.image, prepared.build_id, port, True, command)


def _verify(prepared: Source, port: str | None, baud: int) -> None:
    board = prepared.board
    if port is None:
        raise DeviceError(
            f"the image was written to {board.name}, but nothing says that it runs: no serial port of it was found. "
            f"Name it with --port (the line is {board.uart.description if board.uart else 'unknown'}), or do without "
            "with --no-verify"
        )
    answer = running_build(port, baud, _VERIFY_SECONDS)
    if answer is None:
        raise DeviceError(
            f"the image was written to {board.name}, but nothing answers at {port}: is that this board's port, and are "
            "its lines the right way round? Look with: nrl-edge ports"
        )
    if answer != (board.id, prepared.build_id):
        raise DeviceError(
            f"the board at {port} runs build {answer[1]} for board {answer[0]!r} and not {prepared.build_id} for "
            f"{board.id!r}: another board is at that port, or the upload did not take; flash again with --force"
        )


def _serial_upload(board: Board) -> bool:
    """Whether PlatformIO's upload goes over the port that the agent is talked to over."""
    return board.platformio is not None and board.platformio.upload_protocol in ("arduino", "wiring", "esptool")


def _platformio_command(source: Path, board: Board, port: str | None) -> str:
    """What anybody can type to the same end; for an experiment, with a project beside it."""
    project = source if source.is_dir() else source.parent / "firmware"
    upload = shlex.join([*platformio_command(project, board.id), *_upload_arguments(board, port)])
    if source.is_dir():
        return upload
    return f"{shlex.join(['nrl-edge', 'generate', str(source), '--output', str(project)])} && {upload}"


def _upload_arguments(board: Board, port: str | None) -> list[str]:
    if not _serial_upload(board):
        return ["--target", "upload"]
    if port is None:
        raise ConfigurationError(f"{board.name} is flashed over its serial port: name it with --port")
    return ["--target", "upload", "--upload-port", port]


def _upload_with_platformio(source: Path, board: Board, port: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="nrl-edge-") as folder:
        project = source
        if not source.is_dir():
            experiment = load_experiment(source).with_overrides(board=board.id)
            project = Path(folder)
            write_project(experiment, resolve_agent(experiment), project)
        arguments = _upload_arguments(board, port)
        finished = run_platformio(project, board.id, arguments, toolchain="platformio")
    if finished.returncode != 0:
        raise DeviceError(failure_text("PlatformIO", finished.stdout + finished.stderr, all_symptoms()))
