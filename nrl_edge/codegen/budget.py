"""What an agent takes of a board, before anything is compiled: RAM, flash, cycles, entropy, bytes on the link.

RAM is exact: the variables of the rendered sources, laid out by the board's ABI (`structs`). Flash and cycles come from
what was measured of similar agents (`costs`), and say how far they may be off. See docs/budget.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from nrl_edge.boards import Board, find_board, load_boards
from nrl_edge.codegen.costs import Estimate, estimate
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.messages import CRC_BYTES, load_message_table
from nrl_edge.codegen.options import FirmwareOptions, firmware_options
from nrl_edge.codegen.store import program_memory, store_settings
from nrl_edge.codegen.structs import Variable, ram_variables
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.noise.budget import noise_budget

STACK_RESERVE_BYTES = 512
"""RAM that has to be left to the stack, at least: `nrl-edge build` works out from the image what it can take."""
_STACK_BESIDES_UNITS_BYTES = 448
"""The same without the activations of the last hidden layer, which a step has on the stack: two bytes a unit."""
_COBS_BYTES = 2
"""What COBS adds to a frame: a code and the delimiter."""
_BITS_PER_BYTE = 10
"""On a serial line, with start and stop bit."""


@dataclass(frozen=True)
class Budget:
    """What one agent takes of one board."""

    board: str
    fits: bool
    """Whether RAM holds variables and stack, and flash the image by its estimate."""
    ram_bytes: int
    """Variables of the whole firmware; exact."""
    ram_limit_bytes: int
    stack_reserve_bytes: int
    """Of the RAM that is left, what the stack has to have."""
    agent_bytes: int
    """Of them, the agent: weights, traces, and what it works with."""
    flash_bytes: int | None
    """Code and constants, estimated; None for a board of which nothing was measured."""
    flash_limit_bytes: int
    """What a weight store leaves of the flash."""
    step_cycles: int | None
    """A call that chooses an action, without an update that falls into it; None where nothing like it was measured."""
    update_cycles: int | None
    """An update of all weights."""
    longest_call_cycles: int | None
    """The longest call within an episode: a step, and an update where one falls into it."""
    cycles_are: str
    """Where cycles come from: "cycles", counted or by published timings; "instructions", of which each takes about one;
    "unknown"."""
    error: float
    """How far flash and cycles were off at most where they could be compared: a share."""
    clock_hz: int | None
    max_control_rate_hz: float | None
    """Calls a second that the core has time for, each as long as the longest."""
    entropy_bits_per_step: float
    """Random bits a step, updates within the episode included."""
    raw_noise_rate_hz: float | None
    """Steps a second for which the board's generator has the bits in mode raw; None where it has none, or its rate is
    not known."""
    link_bytes_per_step: int
    """Bytes of a request and its reply on the line, where a host steps the agent."""
    link_rate_hz: float | None
    """Steps a second that the line has time for, request and reply one after the other."""

    def as_dict(self) -> dict[str, Any]:
        """The budget as one JSON object."""
        return asdict(self)


def _ram_bytes(sources: Iterable[Iterable[Variable]], board: Board) -> int:
    """Bytes of all variables in the order that compiler and linker give them.

    The compiler writes a source's variables in the reverse order of their definitions; the sources follow each other.
    """
    if board.toolchain == "avr":
        return sum(variable.bytes for variables in sources for variable in variables)
    total = 0
    for variables in sources:
        for variable in reversed(list(variables)):
            total = -(-total // variable.alignment) * variable.alignment + variable.bytes
        total = -(-total // 4) * 4
    return total


def link_bytes_per_step(configuration: AgentConfiguration) -> int:
    """Bytes on the line of a STEP request and its ACTION reply."""
    table = load_message_table()
    overhead = table.header_bytes + CRC_BYTES + _COBS_BYTES
    payloads = (table.by_name[name].payload_bytes(configuration.inputs) for name in ("STEP", "ACTION"))
    return sum(payload + overhead for payload in payloads)


def agent_budget(
    configuration: AgentConfiguration, board: Board, *, seed: int, entropy_mode: Any, options: FirmwareOptions
) -> Budget:
    """What an agent takes of a board, with firmware of these options. Raises ConfigurationError where it has no limits.

    Arguments are those of `render_firmware`, which also says what can be wrong with them.
    """
    memory = program_memory(board, store_settings(configuration, board, options.save_every))
    if memory is None or board.toolchain is None:
        raise ConfigurationError(
            f"board {board.id!r} is no microcontroller and has no limits; choose a board with --board "
            "(`nrl-edge boards` lists them)"
        )
    if board.framework is not None:
        raise ConfigurationError(
            f"board {board.id!r} is built with {board.framework}, which takes memory of its own: `nrl-edge build` "
            "tells what the image takes"
        )
    files = render_firmware(configuration, seed=seed, entropy_mode=entropy_mode, board=board, options=options)
    variables = ram_variables(files, board.toolchain)
    agent = next(each.bytes for each in variables["src/main.c"] if each.name == "agent")
    found: Estimate = estimate(configuration, board, options)
    ram = _ram_bytes(variables.values(), board) + found.code_in_ram_bytes
    noise = noise_budget(configuration)
    rate = board.entropy_source.bits_per_second if board.entropy_source is not None else None
    if rate is not None and board.entropy_source is not None and board.entropy_source.conditioned:
        rate //= 2
    link_bytes = link_bytes_per_step(configuration)
    hz = None if board.clock is None else board.clock.hz
    longest = found.longest_call_cycles
    stack = max(STACK_RESERVE_BYTES, _STACK_BESIDES_UNITS_BYTES + 2 * configuration.hidden[-1])
    return Budget(
        board=board.id,
        fits=ram + stack <= memory.ram_bytes and (found.flash_bytes is None or found.flash_bytes <= memory.flash_bytes),
        ram_bytes=ram,
        ram_limit_bytes=memory.ram_bytes,
        stack_reserve_bytes=stack,
        agent_bytes=agent,
        flash_bytes=found.flash_bytes,
        flash_limit_bytes=memory.flash_bytes,
        step_cycles=found.step_cycles,
        update_cycles=found.update_cycles,
        longest_call_cycles=longest,
        cycles_are=found.cycles_are,
        error=found.error,
        clock_hz=hz,
        max_control_rate_hz=None if longest is None or hz is None else round(hz / longest, 1),
        entropy_bits_per_step=noise.bits_per_step,
        raw_noise_rate_hz=None if rate is None else round(noise.steps_per_second(rate), 1),
        link_bytes_per_step=link_bytes,
        link_rate_hz=None if board.uart is None else round(board.uart.baud / _BITS_PER_BYTE / link_bytes, 1),
    )


def budget(experiment: Experiment, board: Board | str) -> Budget:
    """What the experiment's agent takes of a board, computed without a compiler.

    Raises ConfigurationError for the desktop, which has no limits, and for what `render_firmware` refuses: raw entropy
    without a generator, a weight store without memory for it.
    """
    board = find_board(board) if isinstance(board, str) else board
    return agent_budget(
        resolve_agent(experiment),
        board,
        seed=experiment.entropy.seed,
        entropy_mode=experiment.entropy.mode,
        options=firmware_options(experiment),
    )


def catalogue_budget(experiment: Experiment) -> list[tuple[Board, Budget | str]]:
    """The budget of every microcontroller of the catalogue, or in a sentence why its firmware cannot be made."""
    found: list[tuple[Board, Budget | str]] = []
    for board in load_boards():
        if board.toolchain is None:
            continue
        try:
            found.append((board, budget(experiment, board)))
        except ConfigurationError as error:
            found.append((board, str(error)))
    return found
