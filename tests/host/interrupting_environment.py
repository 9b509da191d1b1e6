"""A CartPole that sends this process a signal in the middle of an episode: interruptions at a place that never varies.

`SIGNAL_EPISODE` is the episode, from 0, `SIGNAL_NUMBER` the signal, `SIGNAL_TIMES` how often; without them it is a
CartPole. The signal goes to the whole process group, as a terminal's Ctrl-C does, where `SIGNAL_GROUP` is set.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv


class InterruptingCartPole(CartPoleEnv):
    """Counts its own resets: the environment that is probed before a run is another object."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.episode = -1
        self.steps_in_episode = 0

    def reset(self, **keywords: Any) -> Any:
        self.episode += 1
        self.steps_in_episode = 0
        return super().reset(**keywords)

    def step(self, action: int) -> Any:
        self.steps_in_episode += 1
        if self.steps_in_episode == 3 and str(self.episode) == os.environ.get("SIGNAL_EPISODE"):
            number = int(os.environ["SIGNAL_NUMBER"])
            for _ in range(int(os.environ.get("SIGNAL_TIMES", "1"))):
                if os.environ.get("SIGNAL_GROUP"):
                    os.killpg(0, number)
                else:
                    os.kill(os.getpid(), number)
        return super().step(action)


gymnasium.register("InterruptingCartPole-v0", InterruptingCartPole, max_episode_steps=500)
