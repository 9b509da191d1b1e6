"""The one interface of a fixed-point agent, wherever it runs: NumPy reference, native library, firmware over a link."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_edge.fixedpoint.configuration import AgentConfiguration

EPISODE_ENDED = -1
"""What `step` returns when the call closed an episode: there is no action."""

EntropyMode = Literal["seeded", "raw", "expanded", "replay"]
ENTROPY_MODES: tuple[EntropyMode, ...] = ("seeded", "raw", "expanded", "replay")
"""Every mode, at the index that snapshots and messages carry."""


@dataclass(frozen=True)
class EntropySettings:
    """Where an agent's random bytes come from (section 3 of docs/arithmetic.md)."""

    mode: EntropyMode = "seeded"
    seed: int = 0
    """64-bit seed of the `seeded` mode."""
    recording: bytes = b""
    """The recorded bytes of the `replay` mode."""


@dataclass(frozen=True)
class Counters:
    """Saturation and failure counters of an agent (section 8 of docs/arithmetic.md)."""

    observation: int = 0
    pre_activation: int = 0
    difference: int = 0
    trace: int = 0
    weight: int = 0
    entropy: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)


class Agent(Protocol):
    """A fixed-point agent. It is ready to step when constructed: its weights are drawn from its entropy source."""

    @property
    def configuration(self) -> AgentConfiguration:
        """What this agent is."""
        ...

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """One call of section 5: take the reward of the last action, learn, and choose the next action.

        `observation` has shape (inputs,), int16 in Q observation_frac_bits; `reward` is in Q reward_frac_bits.
        Returns the action, or EPISODE_ENDED. An agent with continuous actions (policy `gaussian`) returns 0 for an
        action, whose numbers are then in `action_outputs`.
        """
        ...

    @property
    def action_outputs(self) -> NDArray[np.int16]:
        """The last action of an agent with continuous actions: (actions,) int16, Q12 in standard deviations of its
        policy; empty where actions are discrete."""
        ...

    def snapshot(self) -> bytes:
        """The state between episodes (section 9). Raises RunError while an episode is open."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Take a snapshot back; an open episode is dropped. Raises ConfigurationError where it is not this agent's."""
        ...

    def weights_crc32(self) -> int:
        """CRC-32 of the weight bytes, and of those of a critic after them."""
        ...

    def counters(self) -> Counters:
        """Saturation and failure counters."""
        ...
