"""Which powers of two observations are scaled by where an experiment leaves it open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import RunError
from nrl_edge.fixedpoint.ranges.critic import critic_diverges
from nrl_edge.fixedpoint.ranges.simulation import probe_task, simulate_ranges
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.tasks.task import MAX_SCALE_EXPONENT, TaskSettings

Floats = NDArray[np.float64]

SCALE_KEPT_LOW, SCALE_KEPT_HIGH = 0.5, 32.0
"""An input whose largest magnitude is between these is not scaled."""
SCALE_TARGET = 2.0
"""All others are scaled by the power of two that takes their largest magnitude nearest to this."""
SMALLER_TARGETS = (2.0, 1.0, 0.5)
"""What large inputs are brought near to, one after the other, where a critic diverges."""


def choose_scale_exponents(
    maxima: Floats, kept_high: float = SCALE_KEPT_HIGH, target: float = SCALE_TARGET
) -> tuple[int, ...]:
    """Exponents of two that bring inputs of these largest magnitudes (inputs,) to the order of 1.

    0 for inputs whose magnitude is between 1/2 and `kept_high`, and for those that are always 0; others come as near to
    `target` as a power of two takes them.
    """
    exponents = []
    for maximum in maxima.tolist():
        exponent = 0
        if maximum > 0.0 and not SCALE_KEPT_LOW <= maximum <= kept_high:
            exponent = round(math.log2((target if maximum > kept_high else SCALE_TARGET) / maximum))
        exponents.append(max(-MAX_SCALE_EXPONENT, min(MAX_SCALE_EXPONENT, exponent)))
    return tuple(exponents)


def choose_task_scale(task: TaskSettings) -> tuple[int, ...]:
    """Scale exponents for a task that has none of its own: `choose_scale_exponents` of what random policies see.

    Raises ConfigurationError and RunError as `probe_task` does.
    """
    return choose_scale_exponents(probe_task(task).maxima)


def choose_online_scale(task: TaskSettings, hidden: Sequence[int], learning: LearningSettings) -> tuple[int, ...]:
    """The same for preset actor-critic, whose critic multiplies inputs with each other: large ones can make it diverge.

    Where it does, in a simulation, inputs are scaled down until it does not; where nothing helps they stay as
    `choose_task_scale` has them. Raises ConfigurationError and RunError as `probe_task` does.
    """
    probe = probe_task(task)
    first = choose_scale_exponents(probe.maxima)
    # The largest magnitude that a power of two takes nearest to the target is sqrt(2) times as large.
    smaller = [choose_scale_exponents(probe.maxima, target * math.sqrt(2.0), target) for target in SMALLER_TARGETS]
    for exponents in dict.fromkeys((first, *smaller)):
        try:
            ranges = simulate_ranges(
                replace(task, observation_scale=exponents),
                hidden,
                learning,
                decisive=np.ldexp(probe.observations, np.array(exponents)),
            )
        except RunError:
            continue  # it left every number behind
        if not critic_diverges(ranges):
            return exponents
    return first
