"""What the repetition of a run has shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nrl_edge.agent import Agent, EntropySettings
from nrl_edge.fixedpoint.configuration import AgentConfiguration

MakeAgent = Callable[[AgentConfiguration, EntropySettings], Agent]
"""Makes the agent that repeats a run, ready to step."""

Progress = Callable[[int, int], None]
"""Is called with (calls done, calls in all)."""


@dataclass(frozen=True)
class Difference:
    """The first place where the run and its repetition differ."""

    call: int
    """Number of the call of step, from 0: the one that was answered otherwise, or the last one before the weights or an
    episode were found to differ."""
    what: Literal["action", "weights", "episode"]
    """What differs: the answer of the call, the weights at a checkpoint of the run, or how an episode went that only
    its end is known of."""
    recorded: str
    """The action that the target answered (255: the end of an episode; a continuous one as its numbers), CRC-32 of its
    weights, or steps and return of the episode."""
    replayed: str
    """The same of the repetition."""


@dataclass(frozen=True)
class ReplayVerdict:
    """Whether a run computed what the reference computes."""

    match: bool
    """Every action agrees, or every episode where no actions are known, and so do the weights at every checkpoint and
    at the end."""
    whole: bool
    """False for a run that has not reached its end: it was repeated up to its newest checkpoint, or to where the
    listening to a board ended."""
    episodes: int
    """Episodes that were repeated."""
    steps: int
    """Calls of step that were repeated."""
    weights_crc32: str
    """CRC-32 of the repetition's weights after the last call."""
    recorded_weights_crc32: str
    """CRC-32 of the weights that the run ended with, or had at its newest checkpoint, or where the listening ended."""
    first_difference: Difference | None
    """None where nothing differs before the final weights."""
    target: str
    """Where the run was repeated."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict by field name."""
        return asdict(self)
