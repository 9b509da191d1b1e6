"""Many independent episodes of one task side by side, with the rows of arrays as episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.bandit import BanditBatch
from nrl_edge.tasks.classic_control import AcrobotBatch, CartPoleBatch
from nrl_edge.tasks.contextual_bandit import ContextualBanditBatch
from nrl_edge.tasks.pendulum import PendulumBatch
from nrl_edge.tasks.reaching import Reaching1DBatch
from nrl_edge.tasks.task import Task, TaskSettings, scale_exponents
from nrl_edge.tasks.xor import XORBatch


class BatchedTask(Protocol):
    """B episodes that know nothing of each other. Whoever ends an episode resets it before the next step."""

    @property
    def inputs(self) -> int:
        """Number of observation values."""
        ...

    @property
    def actions(self) -> int:
        """Number of actions."""
        ...

    @property
    def continuous(self) -> bool:
        """Whether an action is `actions` numbers, in standard deviations of a Gaussian policy."""
        ...

    @property
    def batch(self) -> int:
        """Number of episodes side by side, B."""
        ...

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Start new episodes at these rows with these seeds; returns their observations (len(indices), inputs)."""
        ...

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,) intp, or continuous ones (B, actions) float64: observations (B, inputs) unscaled, rewards
        (B,), terminated (B,), truncated (B,).

        Raises RunError as `Task.step` does.
        """
        ...

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these rows only, in this order."""
        ...

    def close(self) -> None:
        """Free what the environments hold."""
        ...


@runtime_checkable
class ExpectsEpisodes(Protocol):
    """A batch that would like to know seeds before their episodes begin, to draw many first states at once."""

    def expect(self, seeds: Sequence[int]) -> None:
        """Episodes with these seeds may be reset later; they may also never be."""
        ...


class GymnasiumBatch:
    """Any task, as a list of gymnasium environments that are stepped one after the other."""

    def __init__(self, settings: TaskSettings, batch: int) -> None:
        self.tasks = [Task(settings) for _ in range(batch)]
        self.inputs = self.tasks[0].inputs
        self.actions = self.tasks[0].actions
        self.continuous = self.tasks[0].continuous is not None

    @property
    def batch(self) -> int:
        """Number of episodes side by side."""
        return len(self.tasks)

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Start new episodes at these rows; returns their observations (len(indices), inputs)."""
        return np.array([self.tasks[index].reset(seed) for index, seed in zip(indices, seeds, strict=True)])

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, inputs), rewards (B,), terminated (B,), truncated (B,)."""
        batch = self.batch
        observations = np.empty((batch, self.inputs))
        rewards = np.empty(batch)
        terminated, truncated = np.empty(batch, dtype=np.bool_), np.empty(batch, dtype=np.bool_)
        for row, (task, action) in enumerate(
            zip(self.tasks, actions if self.continuous else actions.tolist(), strict=True)
        ):
            observations[row], rewards[row], terminated[row], truncated[row] = task.step(action)
        return observations, rewards, terminated, truncated

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these rows only, in this order."""
        kept = [self.tasks[index] for index in indices]
        for task in self.tasks:
            if task not in kept:
                task.close()
        self.tasks = kept

    def close(self) -> None:
        """Close every environment."""
        for task in self.tasks:
            task.close()


class Vectorised(NamedTuple):
    """The batched form of a task in NumPy."""

    make: Callable[..., BatchedTask]
    """Takes the number of episodes, and `arguments` by name."""
    arguments: tuple[str, ...] = ()
    """Constructor arguments of the environment that it knows."""
    continuous: bool = False
    """It takes `action_scale` by name too."""


VECTORISED: dict[str, Vectorised] = {
    "CartPole-v1": Vectorised(CartPoleBatch),
    "Acrobot-v1": Vectorised(AcrobotBatch),
    "Pendulum-v1": Vectorised(PendulumBatch, continuous=True),
    "NRL/Reaching1D-v0": Vectorised(Reaching1DBatch, ("exact_target",)),
    "NRL/XOR-v0": Vectorised(XORBatch),
    "NRL/Bandit-v0": Vectorised(BanditBatch, ("arms", "paying", "payoff_probability")),
    "NRL/ContextualBandit-v0": Vectorised(ContextualBanditBatch, ("payoff_probability",)),
}
"""Tasks with dynamics of their own in NumPy; the same episodes as the environment's, bit for bit."""


def make_batched_task(settings: TaskSettings, batch: int) -> BatchedTask:
    """The fastest batched form of a task: NumPy dynamics where there are some that know all of its arguments.

    Raises ConfigurationError as `make_task` does.
    """
    if batch < 1:
        raise ConfigurationError(f"batch = {batch}: at least one episode must run")
    vectorised = VECTORISED.get(settings.task_id)
    if vectorised is None or not set(settings.kwargs) <= set(vectorised.arguments):
        return GymnasiumBatch(settings, batch)
    scale = {"action_scale": settings.action_scale} if vectorised.continuous else {}
    made = vectorised.make(batch, **settings.kwargs, **scale)
    scale_exponents(settings.observation_scale, made.inputs)
    return made
