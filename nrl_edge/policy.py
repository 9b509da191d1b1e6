"""What a network would do, over two of its inputs: the policy maps of report and monitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrl_edge.experiment import Experiment

LEAKY_SLOPE = 205 / 2048
POLICY_POINTS = 96
"""Points of a policy map along each axis."""


@dataclass(frozen=True)
class PolicyView:
    """Which two inputs a policy map goes over. Values are in the environment's units."""

    x_input: int
    y_input: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    base: tuple[float, ...] = ()
    """The observation that the two inputs are varied in; empty: zeros."""
    action_names: tuple[str, ...] = ()
    """Names of the actions; empty: their numbers."""


POLICY_VIEWS: dict[str, PolicyView] = {
    "CartPole-v1": PolicyView(
        2, 3, (-0.2095, 0.2095), (-2.5, 2.5), "pole angle (rad)", "pole angular velocity (rad/s)", (), ("left", "right")
    ),
    "Acrobot-v1": PolicyView(
        4,
        5,
        (-8.0, 8.0),
        (-16.0, 16.0),
        "angular velocity of joint 1 (rad/s)",
        "angular velocity of joint 2 (rad/s)",
        (1.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        ("torque −1", "torque 0", "torque +1"),
    ),
    "MountainCar-v0": PolicyView(
        0, 1, (-1.2, 0.6), (-0.07, 0.07), "position", "velocity", (), ("push left", "none", "push right")
    ),
}
"""The views of tasks whose inputs are known."""


@dataclass(frozen=True)
class PolicyMap:
    """Probabilities of all actions over two inputs."""

    view: PolicyView
    probabilities: NDArray[np.float64]
    """(y points, x points, actions)."""


def policy_map(
    weights: Sequence[NDArray[np.float64]], scale: NDArray[np.float64], view: PolicyView, points: int = POLICY_POINTS
) -> PolicyMap:
    """Action probabilities of a network over the two inputs of a view, in float64, `points` along each.

    `weights` [(n_l, n_(l-1)), ...]; `scale` (inputs,) multiplies observations before the network sees them.
    """
    inputs = weights[0].shape[1]
    base = np.array(view.base) if view.base else np.zeros(inputs)
    x, y = np.meshgrid(np.linspace(*view.x_range, points), np.linspace(*view.y_range, points))
    activations = np.broadcast_to(base, (*x.shape, inputs)).copy()
    activations[..., view.x_input], activations[..., view.y_input] = x, y
    activations *= scale
    for layer in weights[:-1]:
        activations = activations @ layer.T
        activations = np.where(activations >= 0, activations, LEAKY_SLOPE * activations)
    logits = activations @ weights[-1].T
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return PolicyMap(view, exponentials / exponentials.sum(axis=-1, keepdims=True))


def task_policy(
    experiment: Experiment,
    weights: Sequence[NDArray[np.float64]],
    view: PolicyView | None = None,
    points: int = POLICY_POINTS,
) -> PolicyMap | None:
    """The policy map of an experiment's network; None where neither `view` nor POLICY_VIEWS says over which inputs."""
    view = view or POLICY_VIEWS.get(experiment.task.id)
    if not weights or view is None or max(view.x_input, view.y_input) >= weights[0].shape[1]:
        return None
    exponents = np.broadcast_to(np.array(experiment.task.scale_exponents), weights[0].shape[1])
    return policy_map(weights, np.ldexp(1.0, exponents), view, points)
