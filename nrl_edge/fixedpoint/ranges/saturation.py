"""Predicted saturation beside counted saturation: does a range analysis tell the truth about a run?

The float64 rule is simulated with the seeds and for the episodes of the run, and values beyond each format's limit are
counted; the generated C, with the same seeds, counts what it saturates (section 8 of docs/arithmetic.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.arithmetic import ROW_LIMIT
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.ranges.measured_rules import DIFFERENCE_LIMIT, Ranges
from nrl_edge.fixedpoint.ranges.simulation import simulate_ranges
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks.task import Task, TaskSettings


@dataclass(frozen=True)
class SaturationRow:
    """One counter of docs/arithmetic.md, predicted and counted."""

    counter: str
    values: int
    """Values of the native run that could have saturated."""
    predicted: float
    """Share of them that the float64 simulation had beyond the limit."""
    counted: int
    """Values that did saturate."""

    @property
    def counted_share(self) -> float:
        """`counted` as a share of `values`."""
        return self.counted / self.values if self.values else 0.0


def compare_saturation(
    task: TaskSettings,
    configuration: AgentConfiguration,
    learning: LearningSettings,
    seeds: Sequence[int],
    episodes: int,
    on_episode: Callable[[], None] = lambda: None,
) -> list[SaturationRow]:
    """Run one native agent a seed for so many episodes, simulate the same in float64, and compare counter by counter.

    Raises ConfigurationError where agent and task do not fit, MissingToolError without a C compiler.
    """
    if not seeds or episodes < 1:
        raise ConfigurationError(f"{len(seeds)} seeds and {episodes} episodes: at least one of each is needed")
    ranges = simulate_ranges(task, configuration.hidden, learning, seeds=seeds, steps=0, episodes=episodes)
    counted = dict.fromkeys(("observation", "pre_activation", "difference", "trace", "weight"), 0)
    steps = updates = 0
    for seed in seeds:
        made = Task(task)
        try:
            agent = NativeAgent(configuration, EntropySettings("seeded", seed))
            lockstep = Lockstep(agent, made, seed)
            for episode in range(episodes):
                lockstep.run_episode(episode)
                on_episode()
        finally:
            made.close()
        steps += agent.steps
        updates += agent.steps if configuration.immediate_reward else agent.episodes
        if configuration.online:
            updates += agent.steps // configuration.block_steps
        for name, count in agent.counters().as_dict().items():
            if name in counted:
                counted[name] += count
    return [
        SaturationRow(name, values, predicted, counted[name])
        for name, values, predicted in _predictions(ranges, configuration, steps, updates)
    ]


def _predictions(
    ranges: Ranges, configuration: AgentConfiguration, steps: int, updates: int
) -> list[tuple[str, int, float]]:
    """(counter, values that could saturate, predicted share) of a run of so many steps and updates."""
    formats, sizes = configuration.formats, configuration.layer_sizes
    activity = 2.0 ** (15 - formats.observation_frac_bits)
    parameter = 2.0 ** (formats.parameter_bits - 1)
    trace, weight = parameter / 2.0**formats.trace_frac_bits, parameter / 2.0**formats.weight_frac_bits
    row_limit = ROW_LIMIT / 2.0**formats.weight_frac_bits
    hidden = sum(sizes[1:-1])
    draws = configuration.noise_draws
    shares = draws * sum(sizes[:-2])
    rows = sum(sizes[1:])
    # A trace at its limit is counted again whenever a step pushes it outwards, which every other one does.
    saturated_traces = shares * ranges.hidden_share.share_above(trace)
    saturated_traces += 0.5 * configuration.parameters * ranges.trace.share_above(trace)
    trace_values = shares + configuration.parameters
    saturated_rows = sum(
        units * norm.share_above(row_limit) for units, norm in zip(sizes[1:], ranges.row_norm, strict=True)
    )
    saturated_weights = configuration.parameters * ranges.weight.share_above(weight) + saturated_rows
    weight_values = configuration.parameters + rows
    return [
        # Inputs that arrive at the limit count, those that came to just this too (section 8).
        ("observation", steps * sizes[0], ranges.observation.share_above(activity * (1.0 - 2.0**-15))),
        ("pre_activation", steps * hidden, ranges.pre_activation.share_above(activity)),
        ("difference", steps * draws * (sum(sizes[2:]) + 1), ranges.difference.share_above(DIFFERENCE_LIMIT)),
        ("trace", steps * trace_values, saturated_traces / trace_values),
        ("weight", updates * weight_values, saturated_weights / weight_values),
    ]
