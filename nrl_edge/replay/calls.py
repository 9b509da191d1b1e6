"""Repeats a run call by call, with the observations and rewards of its record: no environment is needed."""

from __future__ import annotations

import numpy as np

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.record import NO_ACTION, TERMINATED, TRUNCATED, read_record, read_record_header
from nrl_edge.replay.recording import recorded_agent, replay_entropy
from nrl_edge.replay.verdict import Difference, MakeAgent, Progress, ReplayVerdict
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_edge.runs.noise import noise_holds


def replay_calls(run: RunFolder, progress: Progress, make_agent: MakeAgent, target: str) -> ReplayVerdict:
    """Repeat a run call by call, with its recorded observations and rewards; see `replay`."""
    configuration = recorded_agent(run)
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
