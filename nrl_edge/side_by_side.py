"""Many fixed-point agents of one kind, each with a seed, in generated C, on one task whose episodes run side by side.

What an agent does is what it does alone in `Lockstep`, to the last bit: the batched tasks have the very episodes of
gymnasium's. What is saved is time, as an environment's step in Python costs many times an agent's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.errors import RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.lockstep import CONTINUOUS_ONE
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import TaskSettings, episode_seed, make_batched_task
from nrl_edge.tasks.quantise import quantise_observations, quantise_rewards
from nrl_edge.tasks.task import scale_exponents


@dataclass(frozen=True)
class AgentRun:
    """What one agent did and became."""

    agent: NativeAgent
    returns: NDArray[np.float64]
    """Return of every episode, (episodes,): the sums of the environment's own rewards."""
    lengths: NDArray[np.int64]
    """Steps of every episode, (episodes,)."""
    saturated_observations: int
    """Observation values that did not fit their format."""


def run_side_by_side(
    configuration: AgentConfiguration,
    task: TaskSettings,
    seeds: Sequence[int],
    episodes: int,
    on_episode: Callable[[], None] = lambda: None,
) -> list[AgentRun]:
    """Run `episodes` episodes of the agent of each seed. Episode e of seed s is reset with episode_seed(s, e).

    `on_episode` is called after every episode of any agent. Raises ConfigurationError where the task cannot be made,
    MissingToolError without a C compiler, RunError where the task diverges.
    """
    formats = configuration.formats
    agents = [NativeAgent(configuration, EntropySettings("seeded", seed)) for seed in seeds]
    returns = np.zeros((len(seeds), episodes))
    lengths = np.zeros((len(seeds), episodes), dtype=np.int64)
    saturated = np.zeros(len(seeds), dtype=np.int64)
    episode = [0] * len(seeds)
    batch = make_batched_task(task, len(seeds))
    try:
        exponents = np.array(scale_exponents(task.observation_scale, batch.inputs), dtype=np.int64)
        scale = np.ldexp(1.0, exponents + formats.observation_frac_bits)

        def begin(rows: Sequence[int]) -> NDArray[np.int16]:
            """Reset the episodes of these rows; returns their observations."""
            indices: NDArray[np.intp] = np.array(rows, dtype=np.intp)
            starts = batch.reset(indices, [episode_seed(seeds[who[row]], episode[who[row]]) for row in rows])
            quantised, beyond = quantise_observations(starts, scale)
            saturated[[who[row] for row in rows]] += beyond
            return quantised

        # Rows of the batch are the agents that are not done yet: row r is agent who[r].
        who = list(range(len(seeds)))
        action = _Actions(configuration, len(who))
        for row, observation in enumerate(begin(range(len(who)))):
            action.take(row, agents[row], agents[row].step(observation, 0, False, False))
        while who:
            observations, rewards, terminated, truncated = batch.step(action.of_all())
            quantised, beyond = quantise_observations(observations, scale)
            whole_rewards = quantise_rewards(rewards, formats.reward_frac_bits)
            saturated[who] += beyond
            returns[who, [episode[each] for each in who]] += rewards
            lengths[who, [episode[each] for each in who]] += 1
            ended = []
            for row, (each, observation, reward, is_end, is_cut) in enumerate(
                zip(who, quantised, whole_rewards.tolist(), terminated.tolist(), truncated.tolist(), strict=True)
            ):
                chosen = agents[each].step(observation, reward, is_end, is_cut)
                if is_end or is_cut:
                    if chosen != EPISODE_ENDED:
                        raise RunError(f"the agent answered the end of episode {episode[each]} with action {chosen}")
                    episode[each] += 1
                    on_episode()
                    ended.append(row)
                else:
                    action.take(row, agents[each], chosen)
            again = [row for row in ended if episode[who[row]] < episodes]
            if again:
                for row, observation in zip(again, begin(again), strict=True):
                    action.take(row, agents[who[row]], agents[who[row]].step(observation, 0, False, False))
            if len(again) < len(ended):
                going_on = [row for row in range(len(who)) if episode[who[row]] < episodes]
                who = [who[row] for row in going_on]
                batch.keep(np.array(going_on, dtype=np.intp))
                action.keep(going_on)
    finally:
        batch.close()
    return [
        AgentRun(agent, returns[index], lengths[index], int(saturated[index])) for index, agent in enumerate(agents)
    ]


class _Actions:
    """The actions that the agents of all rows chose last."""

    def __init__(self, configuration: AgentConfiguration, rows: int) -> None:
        self._continuous = configuration.continuous
        self._discrete: NDArray[np.intp] = np.zeros(rows, dtype=np.intp)
        self._numbers = np.zeros((rows, configuration.actions if self._continuous else 0))

    def take(self, row: int, agent: NativeAgent, chosen: int) -> None:
        """Keep what an agent's `step` gave."""
        if self._continuous:
            self._numbers[row] = agent.action_outputs / CONTINUOUS_ONE
        else:
            self._discrete[row] = chosen

    def of_all(self) -> NDArray[np.intp] | NDArray[np.float64]:
        """As `BatchedTask.step` takes them."""
        return self._numbers if self._continuous else self._discrete

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self._discrete, self._numbers = self._discrete[list(rows)], self._numbers[list(rows)]
