"""Where firmware keeps its agent over a loss of power, and how long that lasts (`firmware_templates/store`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nrl_edge.boards import Board, Memory, Nonvolatile
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration

HEADER_BYTES = 16
"""Before a snapshot: magic, sequence number, length, identity of the agent."""
CHECKSUM_BYTES = 4
"""Behind it: CRC-32 of header and snapshot."""
AREAS = 2
LARGEST_SAVE_EVERY = 65535
"""Episodes; what the link has room for."""


@dataclass(frozen=True)
class StoreSettings:
    """The weight store of one agent on one board."""

    save_every: int
    """Episodes from one save to the next."""
    page_bytes: int
    """Bytes that are erased at once; 1: nothing is."""
    word_bytes: int
    """Writes are multiples of this."""
    record_bytes: int
    """One image of the agent, in whole words."""
    images: int
    """Records of one area."""
    area_bytes: int
    """One of the two areas, in whole pages."""
    endurance_cycles: int
    """Times that a page, or a byte, may be written."""
    pause_milliseconds: float
    """The longest save by the vendor's figures: the erase of an area and the words of a record."""

    @property
    def total_bytes(self) -> int:
        """Both areas."""
        return AREAS * self.area_bytes

    @property
    def saves_in_life(self) -> int:
        """How often the agent can be saved before the memory has reached its stated endurance."""
        return self.endurance_cycles * AREAS * self.images

    @property
    def episodes_in_life(self) -> int:
        """The same in episodes."""
        return self.saves_in_life * self.save_every


def _record_bytes(configuration: AgentConfiguration, word_bytes: int) -> int:
    needed = HEADER_BYTES + configuration.snapshot_bytes + CHECKSUM_BYTES
    return -(-needed // word_bytes) * word_bytes


def _area_bytes(configuration: AgentConfiguration, memory: Nonvolatile) -> int:
    return -(-_record_bytes(configuration, memory.word_bytes) // memory.page_bytes) * memory.page_bytes


def store_settings(configuration: AgentConfiguration, board: Board, save_every: int) -> StoreSettings | None:
    """The weight store of an agent that is saved every so many episodes; None where `save_every` is 0.

    Raises ConfigurationError where the board has no memory for it, or too little: it names the largest hidden layers of
    the same kind that can be saved.
    """
    if save_every == 0:
        return None
    if not 0 < save_every <= LARGEST_SAVE_EVERY:
        raise ConfigurationError(
            f"store.save_every = {save_every}: allowed are 0 (off) to {LARGEST_SAVE_EVERY} episodes"
        )
    memory = board.nonvolatile
    if memory is None or memory.store_bytes == 0:
        raise ConfigurationError(
            f"board {board.id!r} has no non-volatile memory that its port can write, so its agent cannot be saved "
            "there; set save_every = 0 in [store], or choose a board that has one (`nrl-edge boards ID` tells)"
        )
    area = _area_bytes(configuration, memory)
    if AREAS * area > memory.store_bytes:
        raise ConfigurationError(_too_large(configuration, board, memory))
    record = _record_bytes(configuration, memory.word_bytes)
    words = record // memory.word_bytes
    pages = area // memory.page_bytes if memory.page_bytes > 1 else 0
    return StoreSettings(
        save_every=save_every,
        page_bytes=memory.page_bytes,
        word_bytes=memory.word_bytes,
        record_bytes=record,
        images=area // record,
        area_bytes=area,
        endurance_cycles=memory.endurance_cycles,
        pause_milliseconds=pages * memory.erase_milliseconds + words * memory.write_microseconds / 1000,
    )


def _too_large(configuration: AgentConfiguration, board: Board, memory: Nonvolatile) -> str:
    def with_units(units: int) -> AgentConfiguration:
        return replace(configuration, hidden=tuple(min(units, own) for own in configuration.hidden))

    fitting = next(
        (
            list(with_units(units).hidden)
            for units in range(max(configuration.hidden) - 1, 0, -1)
            if AREAS * _area_bytes(with_units(units), memory) <= memory.store_bytes
        ),
        None,
    )
    advice = f"set network.hidden = {fitting} or smaller" if fitting else "choose another board"
    if configuration.formats.parameter_bits == 16:
        advice += ', or take kind = "tiny" under [arithmetic], which halves the weights'
    return (
        f"the weight store keeps two images of {_record_bytes(configuration, memory.word_bytes)} bytes, and board "
        f"{board.id!r} has {memory.store_bytes} bytes of {memory.kind} for both; {advice}, or set "
        "save_every = 0 in [store]"
    )


def program_memory(board: Board, store: StoreSettings | None) -> Memory | None:
    """The memory that is left to the program: a store in flash takes the last pages."""
    if store is None or board.memory is None or store.page_bytes == 1:
        return board.memory
    return replace(board.memory, flash_bytes=board.memory.flash_bytes - store.total_bytes)
