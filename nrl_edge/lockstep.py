"""A gymnasium task and a fixed-point agent in lock step, one episode after the other.

The agent may be the NumPy reference, the native library or firmware behind a link: the loop is the same, and so is
every number in it. Episode `k` of a run with seed `s` always begins from `episode_seed(s, k)`, so that any episode can
be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EPISODE_ENDED, Agent
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.tasks import ObservationQuantiser, Task, episode_seed, quantise_reward

MEAN_WINDOW = 100
"""Episodes that the mean return is taken over; a task is solved where that mean reaches its threshold."""

CONTINUOUS_ONE = 4096.0
"""One standard deviation of a Gaussian policy in the numbers of an action."""

TERMINATED, TRUNCATED = 1, 2
"""Flags of a recorded call of step."""


class StepObserver(Protocol):
    """Is called after every call of `Agent.step`, with what went in and what came out."""

    def __call__(
        self, observation: NDArray[np.int16], reward: int, flags: int, action: int, outputs: bytes = b""
    ) -> None:
        """`observation` and `reward` as quantised; `flags` is TERMINATED | TRUNCATED; `action` or EPISODE_ENDED.

        `outputs`: the numbers of a continuous action, int16 in Q12, little-endian.
        """
        ...


@dataclass(frozen=True)
class EpisodeOutcome:
    """What one episode came to."""

    episode: int
    """Number of the episode in its run, from 0."""
    episode_return: float
    """Sum of the environment's own (unquantised) rewards."""
    length: int
    """Actions taken."""
    terminated: bool
    """True where the task itself ended the episode, False where its time limit did."""


class Lockstep:
    """Runs episodes of `task` with `agent`.

    Raises ConfigurationError where the agent's shape is not the task's, RunError where the environment misbehaves (NaN,
    infinity, wrong shapes).
    """

    def __init__(self, agent: Agent, task: Task, seed: int, observer: StepObserver | None = None) -> None:
        self._agent = agent
        self._task = task
        self._seed = seed
        self._observer = observer
        formats = agent.configuration.formats
        self._quantise = ObservationQuantiser(task.scale_exponents, formats.observation_frac_bits)
        self._reward_frac_bits = formats.reward_frac_bits
        # The native agent reads observations straight from a buffer of its own. Observers may keep what they are given,
        # so each of theirs is a new array.
        self._buffer: NDArray[np.int16] | None = None
        if observer is None:
            self._buffer = getattr(agent, "observation_buffer", None)
        if agent.configuration.continuous != (task.continuous is not None):
            has, needs = ("a Gaussian", "discrete") if agent.configuration.continuous else ("a softmax", "continuous")
            raise ConfigurationError(f"the agent has {has} policy, but {task.settings.task_id} has {needs} actions")

    def run_episode(self, episode: int) -> EpisodeOutcome:
        """One whole episode, learning included."""
        if self._agent.configuration.continuous:
            return self._run_continuous_episode(episode)
        agent_step, environment_step, quantise = self._agent.step, self._task.step_unchecked, self._quantise
        frac_bits, observer, buffer = self._reward_frac_bits, self._observer, self._buffer
        total, length = 0.0, 0
        quantised = quantise(self._task.reset(episode_seed(self._seed, episode)), buffer)
        action = agent_step(quantised, 0, False, False)
        if observer is not None:
            observer(quantised, 0, 0, action)
        while True:
            observation, reward, terminated, truncated = environment_step(action)
            total += reward
            length += 1
            try:
                quantised = quantise(observation, buffer)
            except RunError:
                self._task.check(observation)  # says in which episode and step
                raise
            quantised_reward = quantise_reward(reward, frac_bits)
            action = agent_step(quantised, quantised_reward, terminated, truncated)
            if observer is not None:
                observer(quantised, quantised_reward, terminated * TERMINATED + truncated * TRUNCATED, action)
            if terminated or truncated:
                break
        if action != EPISODE_ENDED:
            raise RunError(f"the agent answered the end of episode {episode} with action {action}: it is out of step")
        return EpisodeOutcome(episode, total, length, terminated)

    def _run_continuous_episode(self, episode: int) -> EpisodeOutcome:
        """The same where the agent's action is numbers."""
        agent, task, observer = self._agent, self._task, self._observer
        total, length, flags = 0.0, 0, 0
        observation, reward = task.reset(episode_seed(self._seed, episode)), 0
        while True:
            quantised = self._quantise(observation, self._buffer)
            action = agent.step(quantised, reward, bool(flags & TERMINATED), bool(flags & TRUNCATED))
            outputs = agent.action_outputs
            if observer is not None:
                observer(quantised, reward, flags, action, outputs.astype("<i2").tobytes())
            if flags:
                break
            observation, earned, terminated, truncated = task.step(outputs / CONTINUOUS_ONE)
            total += earned
            length += 1
            reward = quantise_reward(earned, self._reward_frac_bits)
            flags = terminated * TERMINATED + truncated * TRUNCATED
        if action != EPISODE_ENDED:
            raise RunError(f"the agent answered the end of episode {episode} with action {action}: it is out of step")
        return EpisodeOutcome(episode, total, length, bool(flags & TERMINATED))

    @property
    def saturated_observations(self) -> int:
        """Observation values so far that did not fit their format."""
        return self._quantise.saturated
