"""What a monitor shows, as plain data: the same for the terminal, the browser and --json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_edge.experiment import Experiment
from nrl_edge.policy import task_policy

RunState = Literal["running", "pausing", "paused", "resuming", "stopped", "finished", "killed", "silent"]
"""`pausing`, `resuming`: asked for, and the episode is not over; `killed`: its process has ended without saying so;
`silent`: nothing says whether somebody runs it."""
Command = Literal["pause", "resume", "snapshot"]

ENDED: tuple[RunState, ...] = ("stopped", "finished", "killed")
"""States after which nothing more comes."""
POLICY_POINTS = 48
_MOST_ROWS, _MOST_COLUMNS = 64, 128
"""Cells of a heat map: larger layers are shown by the strongest weight of each block."""


@dataclass(frozen=True)
class NoiseState:
    """How the noise source is."""

    mode: str
    health: str = ""
    """In words; empty where nothing is reported."""
    healthy: bool | None = None
    """None: nothing is reported."""
    soft_alarms: int | None = None
    failed_draws: int | None = None


@dataclass(frozen=True)
class MonitorState:
    """The figures of a run, or of a device, as of now."""

    title: str
    facts: Mapping[str, str]
    """What runs where."""
    state: RunState
    episodes: int
    steps: int
    episodes_wanted: int | None = None
    steps_per_second: float | None = None
    last_return: float | None = None
    last_length: int | None = None
    mean_return_100: float | None = None
    threshold: float | None = None
    solved_after: int | None = None
    """Episodes after which the mean of the last 100 first reached the threshold."""
    reward_prediction_error: float | None = None
    """Of the last episode, relative to the size of its return."""
    noise: NoiseState = NoiseState("")
    saturation: Mapping[str, int] = field(default_factory=dict)
    """Counters of the agent."""
    link: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    """By counter: (the host's, the device's); None where a side does not count it."""
    can_pause: bool = False
    can_snapshot: bool = False
    remark: str = ""
    """One sentence on what can be asked, or on what was."""

    def as_dict(self) -> dict[str, Any]:
        """The figures by field name."""
        return asdict(self)


@dataclass(frozen=True)
class View:
    """All that there is to show. The numbers change whenever what they are of does."""

    state: MonitorState
    curves: Mapping[str, Sequence[float | None]]
    """By column, over episodes: `episode`, `return` with `least` and `largest`, `mean_return_100`, `rpe`."""
    curves_number: int
    network: Mapping[str, Any] | None
    """Weights and policy of the newest snapshot; see `network_view`."""
    network_number: int


class Source(Protocol):
    """Where the figures come from."""

    def read(self) -> View:
        """What there is now. Raises NrlError where nothing can be read any more."""
        ...

    def command(self, command: Command) -> str:
        """Ask for something; returns what to tell the person. Raises NrlError where that cannot be."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


def network_view(
    weights: Sequence[NDArray[np.float64]], experiment: Experiment | None, episodes: int
) -> dict[str, Any]:
    """Weights as heat maps of whole numbers from -100 to 100, and the policy where the task's inputs are known."""
    layers = []
    for index, layer in enumerate(weights):
        output = index == len(weights) - 1
        # Units run along the x axis in every map, so that a unit's inputs and outputs stand above each other.
        matrix = layer if output else layer.T
        limit = float(np.abs(matrix).max()) or 1.0
        shown = _pool(matrix)
        layers.append(
            {
                "name": "output layer" if output else f"hidden layer {index + 1}",
                "limit": float(f"{limit:.4g}"),
                "rows": shown.shape[0],
                "columns": shown.shape[1],
                "weights": f"{layer.shape[0]} x {layer.shape[1]}",
                "values": np.rint(100 * shown / limit).astype(int).ravel().tolist(),
            }
        )
    view: dict[str, Any] = {"episodes": episodes, "layers": layers, "policy": None}
    policy = task_policy(experiment, weights, points=POLICY_POINTS) if experiment is not None else None
    if policy is not None:
        probabilities, axes = policy.probabilities, policy.view
        actions = probabilities.shape[2]
        names = axes.action_names if len(axes.action_names) == actions else [f"action {k}" for k in range(actions)]
        certainty = (probabilities.max(axis=2) - 1 / actions) / (1 - 1 / actions)
        view["policy"] = {
            "x_label": axes.x_label,
            "y_label": axes.y_label,
            "x_range": list(axes.x_range),
            "y_range": list(axes.y_range),
            "rows": POLICY_POINTS,
            "columns": POLICY_POINTS,
            "actions": list(names),
            # The first row is the largest y: as a picture is drawn.
            "preferred": probabilities.argmax(axis=2)[::-1].ravel().tolist(),
            "certainty": np.rint(100 * certainty[::-1]).astype(int).ravel().tolist(),
        }
    return view


def _pool(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix of at most 64 rows and 128 columns: of each block, the weight of largest size."""
    for axis, most in ((0, _MOST_ROWS), (1, _MOST_COLUMNS)):
        size = matrix.shape[axis]
        if size > most:
            blocks = np.array_split(matrix, most, axis=axis)
            least = np.stack([block.min(axis=axis) for block in blocks], axis=axis)
            largest = np.stack([block.max(axis=axis) for block in blocks], axis=axis)
            matrix = np.where(-least > largest, least, largest)
    return matrix
