"""Trains many independent agents side by side: one task, one rule, any number of seeds and settings.

All agents step together; each starts its next episode when its own ends, learns then (or at every step, with immediate
reward), and leaves the batch after its last episode. What an agent does depends on its seed and settings alone,
to the last bit, whatever batch it is in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.learning.actor_critic import ActorCriticNrl, ActorCriticReinforce
from nrl_edge.learning.network import layer_sizes
from nrl_edge.learning.nrl import NrlEdge, NrlPaper, Rule, relative_error
from nrl_edge.learning.random_policy import RandomPolicy
from nrl_edge.learning.reinforce import Reinforce
from nrl_edge.learning.rmhl import Rmhl
from nrl_edge.learning.settings import LearningSettings, settings_for_batch
from nrl_edge.learning.streams import RandomStreams, agent_generator
from nrl_edge.tasks.batched import BatchedTask, ExpectsEpisodes, make_batched_task
from nrl_edge.tasks.seeding import episode_seeds
from nrl_edge.tasks.task import TaskSettings, scale_exponents

Floats = NDArray[np.float64]

EPISODES_AHEAD = 128
"""Episodes of an agent whose seeds are worked out together."""
THRESHOLD_EPISODES = 100
"""A task is solved when the mean return of so many last episodes reaches the threshold."""


class EpisodeRecord(NamedTuple):
    """One finished episode, as the progress callback gets it."""

    agent: int
    """Index into the seeds."""
    episode: int
    """Number of this agent's episode, from 0."""
    episode_return: float
    episode_steps: int
    agent_steps: int
    """Steps of all agents together so far."""


@dataclass(frozen=True)
class TrainingResult:
    """What B agents did and became. Row b belongs to `seeds[b]` and `settings[b]`."""

    seeds: tuple[int, ...]
    settings: tuple[LearningSettings, ...]
    returns: Floats
    """Return of every episode, (B, episodes)."""
    lengths: NDArray[np.int64]
    """Steps of every episode, (B, episodes)."""
    episodes_to_threshold: tuple[int | None, ...]
    """After how many episodes the mean of the last 100 first reached the threshold; None: never, or no threshold."""
    initial_weights: list[Floats]
    """(B, n_l, n_(l-1)) of every layer."""
    weights: list[Floats]
    """The same after the last episode."""
    wall_seconds: float

    @property
    def steps(self) -> NDArray[np.int64]:
        """Steps of each agent, (B,)."""
        steps: NDArray[np.int64] = self.lengths.sum(axis=1)
        return steps

    @property
    def agent_steps_per_second(self) -> float:
        """Steps of all agents together over the wall-clock time."""
        return float(self.steps.sum()) / self.wall_seconds


def episodes_to_threshold(returns: Floats, threshold: float | None) -> int | None:
    """The first number of episodes whose last 100 returns have a mean at or above the threshold. `returns` (E,)."""
    if threshold is None or len(returns) < THRESHOLD_EPISODES:
        return None
    reached = np.flatnonzero(_window_sums(returns) >= threshold * THRESHOLD_EPISODES)
    return int(reached[0]) + THRESHOLD_EPISODES if reached.size else None


def lowest_mean_after_threshold(returns: Floats, threshold: float | None) -> float | None:
    """The lowest mean of 100 returns since the threshold was first reached; None where it never was. `returns` (E,).

    The window that reached it counts, so that a run which never falls back has the threshold or a little more.
    """
    reached = episodes_to_threshold(returns, threshold)
    if reached is None:
        return None
    return float(_window_sums(returns)[reached - THRESHOLD_EPISODES :].min()) / THRESHOLD_EPISODES


def _window_sums(returns: Floats) -> Floats:
    """Sums of 100 returns each, of every 100 in a row: (E - 99,) from (E,)."""
    sums = np.cumsum(returns)
    windows = sums[THRESHOLD_EPISODES - 1 :].copy()
    windows[1:] -= sums[:-THRESHOLD_EPISODES]
    return windows


def make_rule(
    sizes: Sequence[int],
    settings: Sequence[LearningSettings],
    generators: Sequence[np.random.Generator],
    *,
    continuous: bool = False,
) -> Rule:
    """The rule that the settings name, with freshly drawn weights, for discrete or `continuous` actions.

    Raises ConfigurationError where the rule does not take continuous ones.
    """
    rules: dict[tuple[str, str], type[Rule]] = {
        ("nrl", "edge"): NrlEdge,
        ("nrl", "paper"): NrlPaper,
        ("rmhl", "edge"): Rmhl,
        ("rmhl", "paper"): Rmhl,
        ("reinforce", "edge"): Reinforce,
        ("reinforce", "paper"): Reinforce,
        ("random", "edge"): RandomPolicy,
        ("random", "paper"): RandomPolicy,
        ("nrl", "actor-critic"): ActorCriticNrl,
        ("reinforce", "actor-critic"): ActorCriticReinforce,
    }
    rule = rules[settings[0].rule, settings[0].preset](sizes, settings, generators)
    if continuous and not rule.takes_continuous_actions:
        raise ConfigurationError(
            f"rule {settings[0].rule} with preset {settings[0].preset} chooses among discrete actions, and "
            "this task's are continuous; rule nrl with preset edge or actor-critic and rule reinforce take those"
        )
    rule.continuous = continuous
    return rule


class _UpcomingSeeds:
    """Seeds of the episodes of every agent, worked out and announced to the task many at a time."""

    def __init__(self, seeds: Sequence[int], episodes: int, batch: BatchedTask) -> None:
        self._seeds, self._episodes = seeds, episodes
        self._batch = batch if isinstance(batch, ExpectsEpisodes) else None
        self._first = [0] * len(seeds)
        self._known = [episode_seeds(seed, 0, min(EPISODES_AHEAD, episodes)) for seed in seeds]
        if self._batch is not None:
            self._batch.expect([seed for known in self._known for seed in known])

    def seed(self, agent: int, episode: int) -> int:
        """The seed of an agent's episode; episodes are asked for in their order."""
        known, first = self._known[agent], self._first[agent]
        if episode == first + len(known):
            first = self._first[agent] = episode
            known = episode_seeds(self._seeds[agent], episode, min(EPISODES_AHEAD, self._episodes - episode))
            self._known[agent] = known
            if self._batch is not None:
                self._batch.expect(known)
        return known[episode - first]


def train(
    task: TaskSettings,
    hidden: Sequence[int],
    settings: LearningSettings | Sequence[LearningSettings],
    seeds: Sequence[int],
    progress: Callable[[EpisodeRecord], None] | None = None,
) -> TrainingResult:
    """Train one agent a seed, with common settings or one LearningSettings a seed, and return what they did.

    `hidden` holds the units of the hidden layers. Episode e of the agent with seed s is reset with episode_seed(s, e).
    `progress` is called after every episode. Raises ConfigurationError on settings that do not fit together or a task
    that cannot be made, RunError where the task or the learning diverges.
    """
    if not seeds:
        raise ConfigurationError("no seeds: training needs at least one agent")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative: seeds are whole numbers from 0")
    started = time.perf_counter()
    per_agent = settings_for_batch(settings, len(seeds))
    common = per_agent[0]
    batch = make_batched_task(task, len(seeds))
    try:
        sizes = layer_sizes(batch.inputs, hidden, batch.actions, batch.continuous)
        generators = [agent_generator(seed) for seed in seeds]
        rule = make_rule(sizes, per_agent, generators, continuous=batch.continuous)
        initial = [weights.copy() for weights in rule.weights]
        kind = "sign" if isinstance(rule, NrlEdge) else common.noise
        streams = RandomStreams(generators, rule.noise_units, kind, batch.actions if batch.continuous else 0)
        scale = np.ldexp(1.0, np.array(scale_exponents(task.observation_scale, batch.inputs), dtype=np.int64))
        baseline_rate: Floats = np.array([each.baseline_rate for each in per_agent])

        all_returns = np.zeros((len(seeds), common.episodes))
        all_lengths = np.zeros((len(seeds), common.episodes), dtype=np.int64)
        final = [np.empty_like(weights) for weights in initial]

        # State of the agents that are still in the batch; agent[row] is the index of a row's agent in `seeds`.
        # Few episodes end in a step, so what only changes then are plain numbers: arrays would be handled for longer.
        agent = list(range(len(seeds)))
        episode = [0] * len(seeds)
        episode_start = [0] * len(seeds)
        episode_return: Floats = np.zeros(len(seeds))
        baseline: Floats = np.zeros(len(seeds))
        learns_from_returns = common.reward == "delayed" and not rule.online
        step = 0
        agent_steps = 0

        upcoming = _UpcomingSeeds(seeds, common.episodes, batch)
        observation = batch.reset(np.arange(len(seeds)), [upcoming.seed(index, 0) for index in agent]) * scale
        with np.errstate(over="ignore", invalid="ignore"):  # `learn` reports what diverges, in words
            while len(agent):
                noise, uniform = streams.next()
                action = rule.act(observation, noise, uniform)
                observation, reward, terminated, truncated = batch.step(action)
                observation *= scale
                episode_return += reward
                step += 1
                agent_steps += len(agent)
                rule.observe(reward, terminated, truncated, observation)

                if common.reward == "immediate":
                    rule.learn(slice(None), reward - baseline)
                    baseline += baseline_rate * (reward - baseline)

                rows = np.flatnonzero(terminated | truncated)
                if not len(rows):
                    rule.finish_step()
                    continue
                ended = rows.tolist()
                returns = episode_return[rows].tolist()
                if learns_from_returns:
                    # The first episode sets the baseline, so nothing is learned from it.
                    bases = [
                        each_return if episode[row] == 0 else float(baseline[row])
                        for row, each_return in zip(ended, returns, strict=True)
                    ]
                    rule.learn(rows, np.array([*map(relative_error, returns, bases)]))
                    for row, each_return, base in zip(ended, returns, bases, strict=True):
                        baseline[row] = base + baseline_rate[row] * (each_return - base)
                else:
                    baseline[rows] = 0.0
                rule.episode_ended(rows)
                episode_return[rows] = 0.0

                again, restart = [], []
                for row, each_return in zip(ended, returns, strict=True):
                    index, number, length = agent[row], episode[row], step - episode_start[row]
                    all_returns[index, number], all_lengths[index, number] = each_return, length
                    if progress is not None:
                        progress(EpisodeRecord(index, number, each_return, length, agent_steps))
                    episode[row] = number + 1
                    episode_start[row] = step
                    if number + 1 < common.episodes:
                        again.append(row)
                        restart.append(upcoming.seed(index, number + 1))
                if again:
                    observation[again] = batch.reset(np.array(again), restart) * scale
                rule.finish_step()
                if len(again) < len(ended):
                    finished = [row for row in ended if episode[row] == common.episodes]
                    for kept, weights in zip(final, rule.weights, strict=True):
                        kept[[agent[row] for row in finished]] = weights[finished]
                    going_on = np.array([row for row, done in enumerate(episode) if done < common.episodes], np.intp)
                    rule.keep(going_on)
                    streams.keep(going_on)
                    batch.keep(going_on)
                    agent, episode, episode_start = (
                        [values[row] for row in going_on] for values in (agent, episode, episode_start)
                    )
                    observation, episode_return = observation[going_on], episode_return[going_on]
                    baseline, baseline_rate = baseline[going_on], baseline_rate[going_on]
    finally:
        batch.close()

    return TrainingResult(
        seeds=tuple(seeds),
        settings=tuple(per_agent),
        returns=all_returns,
        lengths=all_lengths,
        episodes_to_threshold=tuple(episodes_to_threshold(returns, task.threshold) for returns in all_returns),
        initial_weights=initial,
        weights=final,
        wall_seconds=time.perf_counter() - started,
    )
