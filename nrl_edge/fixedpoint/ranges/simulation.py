"""Simulates a float64 rule on a task and measures every quantity that fixed point rounds or saturates.

Half of the simulated agents start as an agent does, with an output layer of zeros. The other half start decisive: their
output layers are drawn, and scaled until the outputs differ as those of agents that have learned. Differences and
hidden traces grow with the output layer, so a short simulation of beginners alone would say that there are none.

The simulation has seeds of its own, so what is chosen by it does not depend on an experiment's seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import RunError
from nrl_edge.fixedpoint.ranges.measured_rules import MeasuredActorCritic, MeasuredEdge, Ranges
from nrl_edge.learning.network import layer_sizes
from nrl_edge.learning.nrl import reward_prediction_error
from nrl_edge.learning.settings import LearningSettings, Preset
from nrl_edge.learning.streams import RandomStreams, agent_generator
from nrl_edge.tasks.batched import BatchedTask, make_batched_task
from nrl_edge.tasks.seeding import episode_seed
from nrl_edge.tasks.task import TaskSettings, scale_exponents

Floats = NDArray[np.float64]

ANALYSIS_SEED = 0x72616E6765
"""Seed of everything that the analysis draws; nothing of it depends on an experiment's seed."""
AGENTS = 4
STEPS = 1500
"""Steps of each simulated agent, about a second."""
PROBE_STEPS = 1000
"""Steps of each random policy that observation scales are chosen by."""


@dataclass(frozen=True)
class Probe:
    """What random policies saw of a task, unscaled."""

    inputs: int
    actions: int
    maxima: Floats
    """Largest magnitude of each input, (inputs,)."""
    observations: Floats
    """Some of the observations, (N, inputs)."""


def probe_task(task: TaskSettings, agents: int = AGENTS, steps: int = PROBE_STEPS) -> Probe:
    """Run random policies on a task; always the same ones. Half of them keep an action for ten steps on average.

    An environment that fails after its first episode has been seen as far as it came: the run that follows will meet
    the fault and report it. Raises ConfigurationError where the task cannot be made, RunError where it fails at once.
    """
    batch = make_batched_task(replace(task, observation_scale=0), agents)
    try:
        generator = agent_generator(ANALYSIS_SEED)
        episodes = [0] * agents
        observation = batch.reset(np.arange(agents), [_seed(agent, 0) for agent in range(agents)])

        def draw() -> NDArray[Any]:
            if batch.continuous:
                return generator.uniform(-1.5, 1.5, (agents, batch.actions))
            return generator.integers(batch.actions, size=agents)

        action = draw()
        changes = np.where(np.arange(agents) < agents // 2, 1.0, 0.1)
        maxima, kept = np.zeros(batch.inputs), []
        for step in range(steps):
            maxima = np.maximum(maxima, np.abs(observation).max(axis=0))
            if step % (agents * steps // 64 or 1) < agents:
                kept.append(observation[step % agents])
            new = generator.random(agents) < changes
            action = np.where(new[:, None] if batch.continuous else new, draw(), action)
            try:
                observation, _, terminated, truncated = batch.step(action)
                ended = np.flatnonzero(terminated | truncated)
                if ended.size:
                    for agent in ended.tolist():
                        episodes[agent] += 1
                    observation[ended] = batch.reset(ended, [_seed(agent, episodes[agent]) for agent in ended.tolist()])
            except RunError:
                if not any(episodes):
                    raise
                break
        return Probe(batch.inputs, batch.actions, maxima, np.array(kept))
    finally:
        batch.close()


def _seed(agent: int, episode: int) -> int:
    return episode_seed(ANALYSIS_SEED + agent, episode)


def simulate_ranges(
    task: TaskSettings,
    hidden: Sequence[int],
    learning: LearningSettings,
    *,
    seeds: Sequence[int] | None = None,
    steps: int = STEPS,
    episodes: int = 0,
    decisive: Floats | None = None,
) -> Ranges:
    """Simulate the float64 rule nrl with these settings, preset edge or actor-critic, on a task, and measure.

    One agent a seed (the analysis's own where None) takes at least `steps` steps and finishes at least `episodes`
    episodes. If the environment fails after its first episode, what was seen until then is returned: the run that
    follows will meet the fault and report it. With observations (N, inputs), scaled, in `decisive`, the second half of
    the agents starts decisive. Raises ConfigurationError and RunError as training does, but for such faults.
    """
    seeds = [ANALYSIS_SEED + agent for agent in range(AGENTS)] if seeds is None else list(seeds)
    preset: Preset = "actor-critic" if learning.preset == "actor-critic" else "edge"
    settings = replace(learning, rule="nrl", preset=preset, freeze_hidden=False, zero_output=None, exact_output=None)
    batch = make_batched_task(task, len(seeds))
    try:
        sizes = layer_sizes(batch.inputs, hidden, batch.actions, batch.continuous)
        online = preset == "actor-critic"
        ranges = Ranges(sizes, settings.reward == "immediate", settings.noise_draws, batch.continuous, online)
        generators = [agent_generator(seed) for seed in seeds]
        measured = MeasuredActorCritic if online else MeasuredEdge
        rule = measured(sizes, [settings] * len(seeds), generators, ranges)
        rule.continuous = batch.continuous
        if decisive is not None:
            rule.make_decisive(decisive)
        _run(rule, batch, task, settings, seeds, generators, steps, episodes)
        return ranges
    finally:
        batch.close()


def _run(
    rule: MeasuredEdge | MeasuredActorCritic,
    batch: BatchedTask,
    task: TaskSettings,
    settings: LearningSettings,
    seeds: Sequence[int],
    generators: Sequence[np.random.Generator],
    steps: int,
    episodes: int,
) -> None:
    """The trainer's loop, for a number of steps instead of a number of episodes."""
    ranges, everyone = rule.ranges, np.arange(len(seeds))
    scale = np.ldexp(1.0, np.array(scale_exponents(task.observation_scale, batch.inputs), dtype=np.int64))
    streams = RandomStreams(generators, rule.noise_units, "sign", batch.actions if batch.continuous else 0)
    episode, length = np.zeros(len(seeds), dtype=np.int64), np.zeros(len(seeds), dtype=np.int64)
    episode_return, baseline = np.zeros(len(seeds)), np.zeros(len(seeds))
    ranges.input_maxima = np.zeros(batch.inputs)
    observation = batch.reset(everyone, [episode_seed(seed, 0) for seed in seeds]) * scale
    step = 0
    while step < steps or int(episode.min()) < episodes:
        step += 1
        rule.late = 2 * step > steps
        ranges.input_maxima = np.maximum(ranges.input_maxima, np.abs(observation).max(axis=0))
        action = rule.act(observation, *streams.next())
        try:
            observation, reward, terminated, truncated = batch.step(action)
        except RunError:
            if not episode.any():
                raise
            break
        observation = observation * scale
        ranges.reward.add(reward)
        episode_return += reward
        length += 1
        rule.observe(reward, terminated, truncated, observation)
        if rule.immediate:
            rule.learn(slice(None), reward - baseline)
            baseline += settings.baseline_rate * (reward - baseline)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            returns = episode_return[ended]
            ranges.episode_return.add(returns)
            if rule.immediate or rule.online:
                baseline[ended] = 0.0
            else:
                baseline[ended] = np.where(episode[ended] == 0, returns, baseline[ended])
                rule.learn(ended, reward_prediction_error(returns, baseline[ended]))
                baseline[ended] += settings.baseline_rate * (returns - baseline[ended])
            rule.episode_ended(ended)
            ranges.longest_episode = max(ranges.longest_episode, int(length[ended].max()))
            episode[ended] += 1
            length[ended], episode_return[ended] = 0, 0.0
            again = [episode_seed(seeds[agent], int(episode[agent])) for agent in ended.tolist()]
            try:
                observation[ended] = batch.reset(ended, again) * scale
            except RunError:
                break
        rule.finish_step()
    ranges.longest_episode = max(ranges.longest_episode, int(length.max()))
    ranges.episode_return.add(episode_return[length > 0])
