"""Repeats a recorded run through the NumPy reference, without its environment, and says whether every step agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.record import NO_ACTION, TERMINATED, TRUNCATED, read_record, read_record_header
from nrl_edge.runs import RunFolder, snapshot_info


@dataclass(frozen=True)
class Difference:
    """The first call of step whose outcome differs."""

    call: int
    """Number of the call in the record, from 0."""
    recorded_action: int
    """What the target answered; 255: the end of an episode."""
    reference_action: int
    """What the reference answers."""


@dataclass(frozen=True)
class ReplayVerdict:
    """Whether a run computed what the reference computes."""

    match: bool
    """Every action agrees, and the final weights do."""
    steps: int
    """Calls of step that were repeated."""
    weights_crc32: str
    """CRC-32 of the reference's weights after the last call."""
    recorded_weights_crc32: str
    """CRC-32 of the weights that the run ended with."""
    first_difference: Difference | None
    """None where all actions agree."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict by field name."""
        return asdict(self)


def replay(run: RunFolder, progress: Callable[[int, int], None] = lambda done, total: None) -> ReplayVerdict:
    """Repeat a finished run, with its seed or its recorded noise, through the reference.

    `progress` is called with (calls done, calls in all).

    Raises ConfigurationError where the run has no record, no final weights, or not all of its noise.
    """
    configuration = run.agent
    if configuration is None:
        raise ConfigurationError(f"{run.path} is a float64 run: only runs of fixed-point agents can be replayed")
    snapshot = run.final_snapshot()
    if snapshot is None:
        raise ConfigurationError(f"{run.path} has not reached its end; finish it with --resume, then replay it")
    if run.info.entropy_mode == "seeded":
        entropy = EntropySettings("seeded", run.info.seed)
    elif run.info.entropy_mode in ("raw", "expanded"):
        entropy = EntropySettings("replay", recording=run.noise())
    else:
        raise ConfigurationError(
            f"{run.path} drew its noise in mode {run.info.entropy_mode!r}; runs of the modes seeded, raw and "
            "expanded can be replayed"
        )
    if read_record_header(run.record_path).identity != configuration.identity:
        raise ConfigurationError(f"{run.record_path} belongs to another agent; the run is damaged")
    entries = read_record(run.record_path)
    agent = reference_agent(configuration, entropy)
    difference = None
    for call, (observation, reward, flags, recorded) in enumerate(entries):
        try:
            if flags > TERMINATED | TRUNCATED:
                raise RunError(f"its flags are {flags:#04x}, which no call has")
            action = agent.step(observation, int(reward), bool(flags & TERMINATED), bool(flags & TRUNCATED)) & NO_ACTION
        except RunError as error:
            raise RunError(
                f"{run.record_path} is damaged: call {call} cannot be repeated, as {error}; it proves nothing"
            ) from error
        if action != recorded:
            difference = Difference(call, int(recorded), action)
            break
        if call % 1000 == 0:
            progress(call, len(entries))
    progress(len(entries), len(entries))
    recorded_crc = snapshot_info(snapshot).weights_crc32
    return ReplayVerdict(
        match=difference is None and agent.weights_crc32() == recorded_crc,
        steps=len(entries) if difference is None else difference.call,
        weights_crc32=f"{agent.weights_crc32():08x}",
        recorded_weights_crc32=f"{recorded_crc:08x}",
        first_difference=difference,
    )
