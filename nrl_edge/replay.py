"""Repeats a recorded run, without its environment, through the reference or elsewhere, and says whether it agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from nrl_edge.agent import Agent, EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.record import NO_ACTION, TERMINATED, TRUNCATED, read_record, read_record_header
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_edge.runs.noise import noise_holds


@dataclass(frozen=True)
class Difference:
    """The first place where the run and its repetition differ."""

    call: int
    """Number of the call of step in the record, from 0: the one that was answered otherwise, or the last one before the
    weights were found to differ."""
    what: Literal["action", "weights"]
    """What differs: the answer of the call, or the weights at a checkpoint of the run."""
    recorded: str
    """The action that the target answered (255: the end of an episode; a continuous one as its numbers), or CRC-32 of
    its weights."""
    replayed: str
    """The same of the repetition."""


@dataclass(frozen=True)
class ReplayVerdict:
    """Whether a run computed what the reference computes."""

    match: bool
    """Every action agrees, and the weights do at every checkpoint and at the end."""
    whole: bool
    """False for a run that has not reached its end: it was repeated up to its newest checkpoint."""
    episodes: int
    """Episodes that were repeated."""
    steps: int
    """Calls of step that were repeated."""
    weights_crc32: str
    """CRC-32 of the repetition's weights after the last call."""
    recorded_weights_crc32: str
    """CRC-32 of the weights that the run ended with, or had at its newest checkpoint."""
    first_difference: Difference | None
    """None where nothing differs before the final weights."""
    target: str
    """Where the run was repeated."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict by field name."""
        return asdict(self)


def replay_entropy(run: RunFolder) -> EntropySettings:
    """The noise of a run, to be drawn again: its seed, or its recorded bytes.

    Raises ConfigurationError where it was not recorded, or not all of it.
    """
    if run.info.entropy_mode == "seeded":
        return EntropySettings("seeded", run.info.seed)
    if run.info.entropy_mode in ("raw", "expanded"):
        return EntropySettings("replay", recording=run.noise())
    raise ConfigurationError(
        f"{run.path} drew its noise in mode {run.info.entropy_mode!r}; runs of the modes seeded, raw and expanded can "
        "be replayed"
    )


def replay(
    run: RunFolder,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    make_agent: Callable[[AgentConfiguration, EntropySettings], Agent] = reference_agent,
    target: str = "reference",
) -> ReplayVerdict:
    """Repeat a run, with its seed or its recorded noise, through the reference or another target's agent.

    One that was stopped or killed, or still goes on, is repeated up to the newest checkpoint that all is there for.
    `progress` is called with (calls done, calls in all). `make_agent` makes the agent of `target`, ready to step.

    Raises ConfigurationError where the run has no record, neither final weights nor a checkpoint, or not all its noise.
    """
    configuration = run.agent
    if configuration is None:
        raise ConfigurationError(f"{run.path} is a float64 run: only runs of fixed-point agents can be replayed")
    snapshot = run.final_snapshot()
    entropy = replay_entropy(run)
    if read_record_header(run.record_path).identity != configuration.identity:
        raise ConfigurationError(f"{run.record_path} belongs to another agent; the run is damaged")
    entries = read_record(run.record_path)
    checkpoints = _checkpoint_crcs(run)
    ends = np.flatnonzero(entries["flags"]) + 1
    if snapshot is not None:
        recorded_crc = snapshot_info(snapshot).weights_crc32
    else:
        reached = [done for done in checkpoints if 0 < done <= len(ends) and noise_holds(run.path, done)]
        if not reached:
            raise ConfigurationError(
                f"{run.path} has reached neither its end nor a checkpoint to be compared with; let it go on with "
                "--resume, then replay it"
            )
        recorded_crc = checkpoints[max(reached)]
        entries = entries[: ends[max(reached) - 1]]
    agent = make_agent(configuration, entropy)
    difference = None
    episodes = 0
    for call, entry in enumerate(entries):
        observation, reward, flags, recorded = (entry[name] for name in ("observation", "reward", "flags", "action"))
        try:
            if flags > TERMINATED | TRUNCATED:
                raise RunError(f"its flags are {flags:#04x}, which no call has")
            action = agent.step(observation, int(reward), bool(flags & TERMINATED), bool(flags & TRUNCATED)) & NO_ACTION
        except RunError as error:
            raise RunError(
                f"{run.record_path} is damaged: call {call} cannot be repeated, as {error}; it proves nothing"
            ) from error
        if action != recorded:
            difference = Difference(call, "action", str(recorded), str(action))
            break
        if configuration.continuous and not np.array_equal(agent.action_outputs, entry["outputs"]):
            numbers = agent.action_outputs.tolist()
            difference = Difference(call, "action", str(entry["outputs"].tolist()), str(numbers))
            break
        if flags:
            episodes += 1
            expected = checkpoints.get(episodes)
            if expected is not None and agent.weights_crc32() != expected:
                difference = Difference(call, "weights", f"{expected:08x}", f"{agent.weights_crc32():08x}")
                break
        if call % 1000 == 0:
            progress(call, len(entries))
    progress(len(entries), len(entries))
    weights_crc = agent.weights_crc32()
    return ReplayVerdict(
        match=difference is None and weights_crc == recorded_crc,
        whole=snapshot is not None,
        episodes=episodes,
        steps=len(entries) if difference is None else difference.call,
        weights_crc32=f"{weights_crc:08x}",
        recorded_weights_crc32=f"{recorded_crc:08x}",
        first_difference=difference,
        target=target,
    )


def _checkpoint_crcs(run: RunFolder) -> dict[int, int]:
    """CRC-32 of the weights at each checkpoint that is whole, by the number of finished episodes."""
    found = {}
    for episode, path in run.checkpoints():
        try:
            found[episode] = snapshot_info(path.read_bytes(), str(path)).weights_crc32
        except (OSError, ConfigurationError):
            continue  # a resume passes it over as well
    return found
