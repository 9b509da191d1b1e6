"""Repeats a run of a chip that simulates its task: its episodes were heard of, not its calls, so the task is run again.

Where an episode begins depends on its number, and how it goes on the agent's actions: an agent that draws the same
noise has the same episodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import make_experiment_task
from nrl_edge.lockstep import Lockstep
from nrl_edge.replay.recording import recorded_agent, replay_entropy
from nrl_edge.replay.verdict import Difference, MakeAgent, Progress, ReplayVerdict
from nrl_edge.runs import RunFolder


class _ReachedError(Exception):
    """Leaves an episode at the step that the run was last seen at."""


class _StepCounter:
    """Counts the calls of step, and how many of them were answered with an action."""

    def __init__(self) -> None:
        self.calls = 0
        self.steps = 0
        self.last: int | None = None
        """The number of steps that the repetition ends with; None: it ends with an episode."""

    def __call__(
        self, observation: NDArray[np.int16], reward: int, flags: int, action: int, outputs: bytes = b""
    ) -> None:
        self.calls += 1
        self.steps += not flags
        if self.steps == self.last:
            raise _ReachedError


def replay_episodes(run: RunFolder, progress: Progress, make_agent: MakeAgent, target: str) -> ReplayVerdict:
    """Repeat the episodes of a run in its task, and compare each one's length and return; see `replay`."""
    configuration = recorded_agent(run)
    entropy = replay_entropy(run)
    result = run.result()
    if result is None:
        raise ConfigurationError(
            f"{run.path}: who listened to this board was cut off before it could be asked for its weights, so there is "
            "nothing to compare with; run it again"
        )
    try:
        episodes, steps, recorded_crc = int(result["episodes"]), int(result["steps"]), str(result["weights_crc32"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{run.path / 'result.json'} is damaged: {error!r}") from error
    curve = run.progress()
    heard = list(zip(curve.length.tolist(), curve.episode_return.tolist(), strict=True))
    agent = make_agent(configuration, entropy)
    task = make_experiment_task(run.experiment)
    counter = _StepCounter()
    difference = None
    done = 0
    try:
        lockstep = Lockstep(agent, task, run.experiment.episode_seed, counter)
        for episode in range(episodes):
            outcome = lockstep.run_episode(episode)
            mine = (outcome.length, outcome.episode_return)
            if episode < len(heard) and mine != heard[episode]:
                difference = Difference(counter.calls - 1, "episode", _in_words(*heard[episode]), _in_words(*mine))
                break
            done += 1
            progress(counter.calls, steps + episodes)
        if difference is None and counter.steps < steps:
            # The board was in the middle of an episode when it was asked for its weights.
            counter.last = steps
            try:
                outcome = lockstep.run_episode(episodes)
                ended = _in_words(outcome.length, outcome.episode_return)
                difference = Difference(counter.calls - 1, "episode", "more steps", ended)
            except _ReachedError:
                pass
    finally:
        task.close()
    progress(1, 1)
    weights_crc = f"{agent.weights_crc32():08x}"
    return ReplayVerdict(
        match=difference is None and weights_crc == recorded_crc and counter.steps == steps,
        whole=run.final_snapshot() is not None,
        episodes=done,
        steps=counter.calls if difference is None else difference.call,
        weights_crc32=weights_crc,
        recorded_weights_crc32=recorded_crc,
        first_difference=difference,
        target=target,
    )


def _in_words(steps: int, episode_return: float) -> str:
    return f"{steps} steps and a return of {episode_return:g}"
