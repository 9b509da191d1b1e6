"""Tasks with Box actions: what a Gaussian policy's numbers become, and what cannot be acted on."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks.task import ContinuousActions, Task, TaskSettings, make_task


class BoxEnvironment(gymnasium.Env[Any, Any]):
    """Remembers its last action."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, action_space: gymnasium.Space[Any]) -> None:
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return np.zeros(2, np.float32), float(np.sum(action)), False, True, {}


gymnasium.register("test/Box-v0", BoxEnvironment)


def test_numbers_become_actions_around_the_centre_clipped_to_the_box() -> None:
    space = Box(np.array([[-2.0, 0.0]]), np.array([[2.0, 10.0]]), dtype=np.float64)
    actions = ContinuousActions(space, None)
    assert actions.exponents == (1, 3)
    assert actions(np.array([0.5, 0.25])).tolist() == [[1.0, 7.0]]
    assert actions(np.array([-3.0, 8.0])).tolist() == [[-2.0, 10.0]]
    assert ContinuousActions(space, (0, -1)).exponents == (0, -1)
    assert ContinuousActions(space, -1)(np.array([1.0, 1.0])).tolist() == [[0.5, 5.5]]


def test_a_task_steps_with_numbers_of_the_type_and_shape_of_its_space() -> None:
    space = Box(np.array([[-1.0, -1.0]], np.float32), np.array([[1.0, 1.0]], np.float32))
    task = Task(TaskSettings("test/Box-v0", {"action_space": space}))
    assert task.actions == 2
    task.reset(1)
    assert task.step(np.array([0.25, 0.5]))[1] == 0.75
    task.reset(2)
    assert task.step(np.array([7.0, 7.0]))[1] == 2.0
    task.close()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Box(-np.inf, np.inf, (1,), np.float64), "without bounds.*TransformAction"),
        (Box(0, 3, (2,), np.int64), "int64.*fractions"),
        (Box(1.0, 1.0, (1,), np.float64), "nothing to choose"),
        (gymnasium.spaces.MultiDiscrete([2, 2]), "Discrete"),
        (gymnasium.spaces.Dict({"a": Box(-1, 1, (1,))}), "Dict actions"),
    ],
)
def test_spaces_that_cannot_work_are_refused(space: gymnasium.Space[Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_task("test/Box-v0", {"action_space": space})


def test_scales_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="action_scale has 2 entries, but the task has 1 numbers"):
        make_task("Pendulum-v1", action_scale=(1, 1))
    with pytest.raises(ConfigurationError, match="action_scale is for Box actions"):
        make_task("CartPole-v1", action_scale=1)
