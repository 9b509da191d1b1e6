"""Bytes of text, data and RAM of the learning core, alone and with what surrounds it in a firmware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.counts.build import CODE_BASE, RAM_BASE, rom_header
from benchmarks.counts.cores import Core
from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.flags import build_flags, is_freestanding
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_host.build.image import ImageSizes, image_sizes
from nrl_host.build.toolchain import find_cross_compiler

LEARNING = ("nrl_agent_init", "nrl_agent_step", "nrl_entropy_seed")
"""What an agent that only learns needs."""
WHOLE_CORE = (
    *LEARNING,
    "nrl_entropy_use",
    "nrl_agent_snapshot",
    "nrl_agent_snapshot_read",
    "nrl_agent_restore",
    "nrl_agent_restore_begin",
    "nrl_agent_restore_write",
    "nrl_agent_restore_commit",
    "nrl_agent_weights_crc32",
)
"""All of nrl_agent.h and nrl_entropy.h."""
FIRMWARE_BOARDS = ("microbit", "stm32f4_disco", "riscv32_virt", "mega2560")
"""Boards whose firmware is measured without its port: one of each compiler and size of instructions."""
SAVE_EVERY = 10


@dataclass(frozen=True)
class CoreSizes:
    """Sizes of one agent on one core."""

    learning: ImageSizes
    """What init and step need, and no more."""
    whole: ImageSizes
    """The whole core: snapshots, restore and CRC too. Neither has the agent itself, which the program declares."""
    agent_bytes: int
    """sizeof(nrl_agent_t)."""
    parameter_bytes: int
    """A weight and a trace of every parameter; the critic's too."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "learning_text_bytes": self.learning.text_bytes,
            "text_bytes": self.whole.text_bytes,
            "data_bytes": self.whole.data_bytes,
            "bss_bytes": self.whole.bss_bytes,
            "agent_bytes": self.agent_bytes,
            "parameter_bytes": self.parameter_bytes,
        }


def parameter_bytes(configuration: AgentConfiguration) -> int:
    """Bytes of all weights and traces; those of a critic are four each."""
    return 2 * configuration.weight_bytes + 8 * configuration.critic_parameters


def core_sizes(core: Core, configuration: AgentConfiguration, agent_bytes: int) -> CoreSizes:
    """Sizes of the generated core; `agent_bytes` comes from an image that has an agent."""
    sources = render_core(configuration)
    return CoreSizes(
        _linked(core.board, sources, LEARNING),
        _linked(core.board, sources, WHOLE_CORE),
        agent_bytes,
        parameter_bytes(configuration),
    )


def firmware_sizes(board_id: str, configuration: AgentConfiguration) -> ImageSizes:
    """The firmware of a board with a weight store where it has one, without its port, start-up and main."""
    board = find_board(board_id)
    store = board.nonvolatile is not None and board.nonvolatile.store_bytes > 0
    options = FirmwareOptions(save_every=SAVE_EVERY if store else 0)
    mode = "seeded" if board.entropy_source is None else "raw"
    files = render_firmware(configuration, seed=0, entropy_mode=mode, board=board, options=options)
    sources = {
        path.rpartition("/")[2]: text
        for path, text in files.items()
        if not path.startswith("src/port/") and path != "src/main.c" and not path.endswith(".ld")
    }
    roots = ["nrl_entropy_seed", "nrl_entropy_use", "nrl_agent_init", "nrl_noise_start", "nrl_noise_read"]
    roots += ["nrl_noise_read_expanded", "nrl_link_init", "nrl_link_poll"]
    roots += ["nrl_store_start", "nrl_store_restore"] if store else []
    return _linked(board, sources, roots)


def _linked(board: Board, sources: Mapping[str, str], roots: Sequence[str]) -> ImageSizes:
    """Sizes of what the linker keeps for the sake of some functions; what a port would have may be missing."""
    assert board.toolchain is not None
    flags, libraries = build_flags(board)
    files = dict(sources)
    if is_freestanding(board):
        flags = (*flags, f"-Wl,-Ttext={CODE_BASE:#x}", f"-Wl,-Tdata={RAM_BASE:#x}")
    else:
        files.setdefault("nrl_port_rom.h", rom_header())
        flags = (*flags, "-nostartfiles")
    path = build_cached(
        files,
        f"sized-{board.id}",
        extra_flags=(
            *flags,
            *(f"-Wl,-u,{root}" for root in roots),
            f"-Wl,-e,{roots[0]}",
            "-Wl,--unresolved-symbols=ignore-all",
        ),
        libraries=libraries,
        suffix=".elf",
        compiler=find_cross_compiler(board.toolchain),
    )
    sizes = image_sizes(path)
    assert sizes is not None
    return sizes
