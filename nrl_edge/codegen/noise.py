"""What a firmware's health tests and its log of raw noise are built with, for one agent on one board."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nrl_edge.boards import Board
from nrl_edge.codegen.core import initial_draw_bytes, step_draw_bytes, update_draw_bytes
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.noise.health import Cutoffs, cutoffs

HARD_ALPHA_EXPONENT = 60
"""The hard level: 2^-60 a bit, once in 900 years at 38 Mbit/s."""
UNKNOWN_BITS_PER_SECOND = 1_000_000
"""Rate that is assumed of a generator whose own is not known."""
_WEEK_SECONDS = 7 * 24 * 3600
_RAM_SHARE_OF_LOG = 8
"""The log takes at most this part of a board's RAM."""


@dataclass(frozen=True)
class NoiseSettings:
    """Constants of nrl_project.h."""

    min_entropy: float
    """Bits of min-entropy that a raw bit is taken to hold."""
    soft_alpha_exponent: int
    """A healthy generator reaches a soft cut-off with a probability of about 2^-exponent a bit."""
    hard_alpha_exponent: int
    soft: Cutoffs
    hard: Cutoffs
    call_bytes: int
    """Raw bytes that one call of step draws at most: an update's and a step's."""
    conditioned: bool
    """Raw bytes are hashed before they are drawn."""
    log_bytes: int
    """Of the last bytes drawn, how many the device keeps for the host; a power of two."""

    @property
    def can_be_recorded(self) -> bool:
        """Whether a host can read all bytes of every call before they are overwritten."""
        return self.log_bytes >= self.call_bytes


def soft_alpha_exponent(bits_per_second: int | None) -> int:
    """The exponent at which a healthy source of this rate raises about one false alarm a week."""
    bits_a_week = (bits_per_second or UNKNOWN_BITS_PER_SECOND) * _WEEK_SECONDS
    return min(HARD_ALPHA_EXPONENT - 1, math.ceil(math.log2(bits_a_week)))


def noise_settings(configuration: AgentConfiguration, board: Board) -> NoiseSettings:
    """Cut-offs for the board's generator, and the size of the log for the agent's draws.

    The log holds what the initial weights draw, or two calls of step, whichever is more; less where that would be over
    an eighth of the board's RAM, and a run of such an agent may then be too large to be recorded there.
    """
    source = board.entropy_source
    min_entropy = source.min_entropy if source is not None else 1.0
    soft = soft_alpha_exponent(source.bits_per_second if source is not None else None)
    call = step_draw_bytes(configuration) + update_draw_bytes(configuration)
    wanted = max(initial_draw_bytes(configuration), 2 * call) if source is not None else 1
    log = 1 << (wanted - 1).bit_length()
    if board.memory is not None:
        while log > 1 and log > board.memory.ram_bytes // _RAM_SHARE_OF_LOG:
            log //= 2
    return NoiseSettings(
        min_entropy=min_entropy,
        soft_alpha_exponent=soft,
        hard_alpha_exponent=HARD_ALPHA_EXPONENT,
        soft=cutoffs(min_entropy, soft),
        hard=cutoffs(min_entropy, HARD_ALPHA_EXPONENT),
        call_bytes=call,
        conditioned=source is not None and source.conditioned,
        log_bytes=log,
    )
