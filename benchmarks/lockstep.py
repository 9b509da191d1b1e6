"""The native agent in lock step with CartPole, beside gymnasium's CartPole alone, in the very same episodes.

Seconds are those of this process on a processor, which other programs on the machine lengthen the least.
"""

from __future__ import annotations

import time

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, OnPair, Target, added_cost, measure_in_turns
from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.experiment import Experiment, experiment_text, make_experiment_task, parse_experiment, resolve_agent
from nrl_edge.lockstep import TERMINATED, TRUNCATED, Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import episode_seed

SEED = 1


class RecordedCalls:
    """An observer that keeps the calls of `Agent.step`, and the actions of each episode."""

    def __init__(self) -> None:
        self.calls: list[tuple[NDArray[np.int16], int, bool, bool]] = []
        self.actions: list[list[int]] = [[]]

    def __call__(self, observation: NDArray[np.int16], reward: int, flags: int, action: int) -> None:
        self.calls.append((observation, reward, bool(flags & TERMINATED), bool(flags & TRUNCATED)))
        if action == EPISODE_ENDED:
            self.actions.append([])
        else:
            self.actions[-1].append(action)


class SameEpisodes:
    """The first episodes of one learning run, for agent and environment together and for each of them alone."""

    def __init__(self, episodes: int) -> None:
        self._experiment: Experiment = parse_experiment(experiment_text("cartpole"))
        self._configuration = resolve_agent(self._experiment)
        self._seeds = [episode_seed(SEED, episode) for episode in range(episodes)]
        recorded = RecordedCalls()
        self._run(recorded)
        self._calls, self._actions = recorded.calls, recorded.actions[:-1]
        self.steps = sum(len(actions) for actions in self._actions)

    def lock_step(self) -> float:
        """Steps a second of an agent that learns, with everything that the lock step does."""
        return self.steps / self._run()

    def environment_alone(self) -> float:
        """Steps a second of the environment, with the same seeds and actions."""
        # As the lock step makes it: without the passive checker, which would only make the environment slower.
        environment = gymnasium.make(self._experiment.task.id, disable_env_checker=True)
        started = time.process_time()
        for seed, actions in zip(self._seeds, self._actions, strict=True):
            environment.reset(seed=seed)
            for action in actions:
                _, _, terminated, truncated, _ = environment.step(action)
            if not (terminated or truncated):
                raise AssertionError("the environment alone went through other episodes than the lock step")
        elapsed = time.process_time() - started
        environment.close()
        return self.steps / elapsed

    def agent_alone(self) -> float:
        """Calls of `NativeAgent.step` a second, with the same observations and rewards."""
        agent = self._agent()
        started = time.process_time()
        for observation, reward, terminated, truncated in self._calls:
            agent.step(observation, reward, terminated, truncated)
        return len(self._calls) / (time.process_time() - started)

    def _agent(self) -> NativeAgent:
        return NativeAgent(self._configuration, EntropySettings("seeded", SEED))

    def _run(self, observer: RecordedCalls | None = None) -> float:
        """Seconds of the episodes."""
        task = make_experiment_task(self._experiment)
        lockstep = Lockstep(self._agent(), task, SEED, observer)
        started = time.process_time()
        for episode in range(len(self._seeds)):
            lockstep.run_episode(episode)
        elapsed = time.process_time() - started
        task.close()
        return elapsed


def compare_lock_step(episodes: int, pairs: int, on_pair: OnPair) -> list[Comparison]:
    """The lock step, and the agent alone, over the environment alone."""
    same = SameEpisodes(episodes)
    in_lock_step = "native agent in lock step"
    together = measure_in_turns(in_lock_step, same.lock_step, same.environment_alone, pairs, on_pair)
    alone = measure_in_turns("native agent alone", same.agent_alone, same.environment_alone, pairs, on_pair)
    return [
        Comparison(
            "cost of the agent in lock step / cost of CartPole",
            "steps",
            "lock step",
            "gymnasium alone",
            together,
            added_cost,
            Target("<", 1.0),
        ),
        Comparison("lock step / gymnasium alone, steps/s", "steps", "lock step", "gymnasium alone", together),
        Comparison("native agent alone / gymnasium alone, steps/s", "steps", "agent alone", "gymnasium alone", alone),
    ]
