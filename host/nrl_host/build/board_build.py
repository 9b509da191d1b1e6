"""Builds the firmware of an experiment for a board, and says whether it fits before anything is flashed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, Memory, find_board
from nrl_edge.codegen.budget import STACK_RESERVE_BYTES
from nrl_edge.codegen.firmware import firmware_build_id
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.codegen.store import program_memory, store_settings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.stack import StackBound, stack_bound
from nrl_host.build.toolchain import ImageSizes, build_image, convert_image, image_sizes
from nrl_host.build.uf2 import write_uf2

_LINKER_SAYS_FULL = re.compile(r"fewer hidden units|overflowed|will not fit|is not within region")


class DoesNotFitError(RunError):
    """A board cannot hold the firmware."""


@dataclass(frozen=True)
class BoardBuild:
    """An image and what it takes of its board."""

    board: Board
    image: Path
    sizes: ImageSizes
    build_id: str
    """Hexadecimal, as HELLO tells it."""
    flash_limit_bytes: int
    ram_limit_bytes: int
    stack: StackBound | None = None
    """How deep the stack can get; None where that cannot be told."""

    @property
    def flash_bytes(self) -> int:
        """Flash that the image takes: code, constants and the initial values of variables."""
        return self.sizes.text_bytes + self.sizes.data_bytes

    @property
    def ram_bytes(self) -> int:
        """RAM that its variables take; the stack comes on top."""
        return self.sizes.data_bytes + self.sizes.bss_bytes

    @property
    def stack_room_bytes(self) -> int:
        """RAM that has to be left to the stack: STACK_RESERVE_BYTES, or what it can take where that is more."""
        return max(STACK_RESERVE_BYTES, self.stack.bytes if self.stack is not None else 0)

    @property
    def fits(self) -> bool:
        """Whether flash holds the image, and RAM its variables and the stack."""
        return (
            self.flash_bytes <= self.flash_limit_bytes
            and self.ram_bytes + self.stack_room_bytes <= self.ram_limit_bytes
        )

    def as_dict(self) -> dict[str, object]:
        """The result as one JSON object; sizes in bytes."""
        return {
            "board": self.board.id,
            "image": str(self.image),
            "text_bytes": self.sizes.text_bytes,
            "data_bytes": self.sizes.data_bytes,
            "bss_bytes": self.sizes.bss_bytes,
            "stack_bytes": self.stack.bytes if self.stack is not None else None,
            "stack_path": list(self.stack.path) if self.stack is not None else None,
            "stack_reserve_bytes": STACK_RESERVE_BYTES,
            "flash_limit_bytes": self.flash_limit_bytes,
            "ram_limit_bytes": self.ram_limit_bytes,
            "build_id": self.build_id,
        }


def build_for_board(
    configuration: AgentConfiguration,
    board: Board | str,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    options: FirmwareOptions = PLAIN,
    folder: Path | None = None,
) -> BoardBuild:
    """Build the image of a board with one command of its compiler, and return it with its sizes.

    With `folder`, sources and image are put there, in every form that tools flash. Raises DoesNotFitError where the
    board cannot hold it, naming the largest network of the same kind that it does hold; ConfigurationError for a board
    without limits, such as the desktop; MissingToolError without the board's compiler.
    """
    board = find_board(board) if isinstance(board, str) else board
    memory = program_limits(configuration, board, options)
    built = _build(configuration, board, memory, seed, entropy_mode, options, folder)
    if built is not None and folder is not None:
        write_flash_files(built.image, board)
    return accept_or_refuse(built, configuration, board, memory, seed=seed, entropy_mode=entropy_mode, options=options)


def program_limits(configuration: AgentConfiguration, board: Board, options: FirmwareOptions) -> Memory:
    """What a board has for a program: all but what the weight store takes of its flash.

    Raises ConfigurationError for a board without limits, such as the desktop.
    """
    if board.memory is None or board.toolchain is None:
        raise ConfigurationError(
            f"board {board.id!r} is no microcontroller and has no limits; choose a board with --board "
            "(`nrl-edge boards` lists them), or build the project that `nrl-edge generate` writes"
        )
    return program_memory(board, store_settings(configuration, board, options.save_every)) or board.memory


def write_flash_files(image: Path, board: Board) -> None:
    """Write, beside an ELF image, the other forms that are flashed: Intel HEX, binary, UF2 where a board takes it."""
    assert board.toolchain is not None
    for suffix in (".hex", ".bin"):
        convert_image(image, image.with_suffix(suffix), board.toolchain)
    if board.uf2 is not None:
        write_uf2(image, board.uf2.family_id)


def accept_or_refuse(
    built: BoardBuild | None,
    configuration: AgentConfiguration,
    board: Board,
    memory: Memory,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    options: FirmwareOptions,
) -> BoardBuild:
    """The build where it fits. Raises DoesNotFitError, with what would fit, where it does not or was not linked."""
    if built is None or not built.fits:
        raise DoesNotFitError(_does_not_fit(configuration, board, memory, built, seed, entropy_mode, options))
    return built


def measured(image: Path, board: Board, memory: Memory, build_id: str) -> BoardBuild:
    """An image with its sizes and limits. Raises RunError where it is no ELF file."""
    sizes = image_sizes(image)
    if sizes is None:
        raise RunError(f"{image} is no ELF file; remove it and build again")
    stack = stack_bound(image, board)
    return BoardBuild(board, image, sizes, build_id, memory.flash_bytes, memory.ram_bytes, stack)


def linker_says_full(error: RunError) -> bool:
    """Whether a build failed because the image is too large for the memory that its linker script gives it."""
    return _LINKER_SAYS_FULL.search(str(error)) is not None


def _build(
    configuration: AgentConfiguration,
    board: Board,
    memory: Memory,
    seed: int,
    entropy_mode: EntropyMode,
    options: FirmwareOptions,
    folder: Path | None,
) -> BoardBuild | None:
    """None where the linker already finds it too large."""
    try:
        image = build_image(configuration, board, seed=seed, entropy_mode=entropy_mode, options=options, folder=folder)
    except RunError as error:
        if linker_says_full(error):
            return None
        raise
    build_id = firmware_build_id(configuration, seed=seed, entropy_mode=entropy_mode, board=board, options=options)
    return measured(image, board, memory, build_id)


def _does_not_fit(
    configuration: AgentConfiguration,
    board: Board,
    memory: Memory,
    built: BoardBuild | None,
    seed: int,
    entropy_mode: EntropyMode,
    options: FirmwareOptions,
) -> str:
    network = "-".join(map(str, configuration.layer_sizes))
    needs = "the linker finds no room for it"
    if built is not None:
        needs = (
            f"it takes {built.flash_bytes} bytes of flash and {built.ram_bytes} of RAM, and {built.stack_room_bytes} "
            "more for the stack"
        )
    largest = largest_network(configuration, board, memory, seed=seed, entropy_mode=entropy_mode, options=options)
    if largest is None:
        advice = "no network of this kind fits: choose another board"
    else:
        units = "-".join(map(str, largest.layer_sizes))
        hidden = list(largest.hidden)
        advice = f"the largest of its kind that fits is {units}: set network.hidden = {hidden}"
        if configuration.formats.parameter_bits == 16:
            advice += ', or take kind = "tiny" under [arithmetic], which halves weights and traces'
    return (
        f"a {network} agent does not fit {board.name}, which has {memory.flash_bytes} bytes of flash and "
        f"{memory.ram_bytes} of RAM: {needs}; {advice}"
    )


def largest_network(
    configuration: AgentConfiguration,
    board: Board,
    memory: Memory,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    options: FirmwareOptions = PLAIN,
) -> AgentConfiguration | None:
    """The same agent with as many units in all its hidden layers as the board holds, at most its own widest's.

    By bisection over real builds: seven of them at most. None where not even one unit fits.
    """

    def with_units(units: int) -> AgentConfiguration:
        return replace(configuration, hidden=tuple(min(units, own) for own in configuration.hidden))

    fitting, too_many = 0, max(configuration.hidden)
    while too_many - fitting > 1:
        units = (fitting + too_many) // 2
        built = _build(with_units(units), board, memory, seed, entropy_mode, options, None)
        if built is not None and built.fits:
            fitting = units
        else:
            too_many = units
    return with_units(fitting) if fitting else None
