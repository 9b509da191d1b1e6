"""Many independent episodes of one task side by side, with the rows of arrays as episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.classic_control import AcrobotBatch, CartPoleBatch
from nrl_edge.tasks.task import Task, TaskSettings, scale_exponents


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
    def batch(self) -> int:
        """Number of episodes side by side, B."""
        ...

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Start new episodes at these rows with these seeds; returns their observations (len(indices), inputs)."""
        ...

    def step(
        self, actions: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, inputs) unscaled, rewards (B,), terminated (B,), truncated (B,).

        Raises RunError as `Task.step` does.
        """
        ...

    def keep(self, indices: NDArray[np.intp]) -> None:
        """Go on with these rows only, in this order."""
        ...

    def close(self) -> None:
        """Free what the environments hold."""
        ...


class GymnasiumBatch:
    """Any task, as a list of gymnasium environments that are stepped one after the other."""

    def __init__(self, settings: TaskSettings, batch: int) -> None:
        self.tasks = [Task(settings) for _ in range(batch)]
        self.inputs = self.tasks[0].inputs
        self.actions = self.tasks[0].actions

    @property
    def batch(self) -> int:
        """Number of episodes side by side."""
        return len(self.tasks)

    def reset(self, indices: NDArray[np.intp], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Start new episodes at these rows; returns their observations (len(indices), inputs)."""
        return np.array([self.tasks[index].reset(seed) for index, seed in zip(indices, seeds, strict=True)])

    def step(
        self, actions: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Take actions (B,): observations (B, inputs), rewards (B,), terminated (B,), truncated (B,)."""
        batch = self.batch
        observations = np.empty((batch, self.inputs))
        rewards = np.empty(batch)
        terminated, truncated = np.empty(batch, dtype=np.bool_), np.empty(batch, dtype=np.bool_)
        for row, (task, action) in enumerate(zip(self.tasks, actions.tolist(), strict=True)):
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


VECTORISED: dict[str, type[CartPoleBatch] | type[AcrobotBatch]] = {
    "CartPole-v1": CartPoleBatch,
    "Acrobot-v1": AcrobotBatch,
}
"""Tasks with dynamics of their own in NumPy; the same episodes as gymnasium's, bit for bit."""


def make_batched_task(settings: TaskSettings, batch: int) -> BatchedTask:
    """The fastest batched form of a task: NumPy dynamics where there are some and no arguments change them.

    Raises ConfigurationError as `make_task` does.
    """
    if batch < 1:
        raise ConfigurationError(f"batch = {batch}: at least one episode must run")
    vectorised = VECTORISED.get(settings.task_id)
    if vectorised is None or settings.kwargs:
        return GymnasiumBatch(settings, batch)
    scale_exponents(settings.observation_scale, vectorised.inputs)
    return vectorised(batch)
