from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.errors import RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.lockstep import TERMINATED, Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import make_task

CONFIGURATION = AgentConfiguration(4, (8,), 2)


class DivergingCartPole(gymnasium.Env):
    """Its observation holds NaN at step 3 of its second episode."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2, 2), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self.episode = self.steps = 0

    def reset(self, *, seed=None, options=None):
        self.episode, self.steps = self.episode + 1, 0
        return np.zeros((2, 2), np.float32), {}

    def step(self, action):
        self.steps += 1
        value = math.nan if (self.episode, self.steps) == (2, 3) else 0.5
        return np.array([[0.0, 1.0], [value, 2.0]], np.float32), 1.0, self.steps == 4, False, {}


@pytest.fixture
def diverging():
    gymnasium.register("Diverging-v0", entry_point=DivergingCartPole)
    yield make_task("Diverging-v0")
    del gymnasium.registry["Diverging-v0"]


@pytest.mark.parametrize("make_agent", [NativeAgent, ReferenceAgent])
def test_a_diverging_environment_stops_the_run_and_says_where(diverging, make_agent):
    lockstep = Lockstep(make_agent(CONFIGURATION, EntropySettings(seed=1)), diverging, seed=1)
    assert lockstep.run_episode(0).length == 4
    with pytest.raises(RunError, match=r"Diverging-v0: observation input 2 is nan in episode 1, step 3"):
        lockstep.run_episode(1)


def test_an_observer_changes_nothing_and_may_keep_what_it_is_given():
    kept = []

    def observe(observation, reward, flags, action):
        kept.append((observation, reward, flags, action))

    agents = [NativeAgent(CONFIGURATION, EntropySettings(seed=3)) for _ in range(3)]
    plain, watched, replayed = agents
    outcomes = []
    for agent, observer in ((plain, None), (watched, observe)):
        lockstep = Lockstep(agent, make_task("CartPole-v1", observation_scale=(0, 0, 3, 0)), 5, observer)
        outcomes.append([lockstep.run_episode(episode) for episode in range(20)])
    assert outcomes[0] == outcomes[1]
    assert len({observation.tobytes() for observation, *_ in kept}) > len(kept) // 2
    for observation, reward, flags, action in kept:
        assert replayed.step(observation, reward, bool(flags & TERMINATED), flags > TERMINATED) == action
    assert [action for *_, action in kept].count(EPISODE_ENDED) == 20
    assert plain.weights_crc32() == watched.weights_crc32() == replayed.weights_crc32()
