"""Range analysis: which Q formats hold what an agent computes on its task, and why.

The float64 rule is simulated on the task (simulation.py). A worst case that can be derived is put beside what was seen.
Formats start from those that learning was proven with (proven.py) and move only as far as the task needs; each comes
with its reason. What no format can hold is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.arithmetic import RETURN_LIMIT, ROW_LIMIT
from nrl_edge.fixedpoint.configuration import (
    DIFFERENCE_FRAC_BITS,
    LOGIT_FRAC_BITS,
    MAX_ACTIONS,
    MAX_INPUTS,
    MIN_CONTINUOUS_OBSERVATION_FRAC_BITS,
    MIN_CRITIC_OBSERVATION_FRAC_BITS,
    Formats,
)
from nrl_edge.fixedpoint.ranges.bounds import LARGEST_NUMBER, difference_bound, return_bound, trace_bound
from nrl_edge.fixedpoint.ranges.critic import check_critic, critic_quantities
from nrl_edge.fixedpoint.ranges.magnitudes import Magnitudes
from nrl_edge.fixedpoint.ranges.measured_rules import DIFFERENCE_LIMIT, Ranges
from nrl_edge.fixedpoint.ranges.proven import (
    OBSERVATION_FRAC_BITS,
    REWARD_FRAC_BITS,
    proven_trace_frac_bits,
    proven_weight_frac_bits,
)
from nrl_edge.fixedpoint.ranges.report import QuantityRange, RangeReport
from nrl_edge.fixedpoint.ranges.simulation import probe_task, simulate_ranges
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.tasks.task import Task, TaskSettings

Floats = NDArray[np.float64]

HEADROOM = 2.0
"""Room above the largest magnitude that was seen."""
BOUND_SLACK = 16.0
"""Bounds of an observation space count up to so many times what was seen; looser ones would cost over four bits."""
MIN_RESOLVED_STEPS = 16.0
"""Steps of the format that a typical observation is to be large."""
TYPICAL_OBSERVATION = 0.25
"""Scaled observations that are typically at least so large are not too small for the weights."""
DECISIVE_OCTAVES = 2
"""So many bits of the proven format are given away for weights that only a simulated decisive agent has."""
MIN_WEIGHT_FRAC_BITS = 8
MAX_LOST_SHARE = 0.08
"""Traces get more bits where a larger share of the hidden updates would be rounded to zero."""
REFUSED_LOST_SHARE = 0.5
"""Formats are refused where a larger share of the hidden updates would be rounded to zero in any."""
MIN_REWARD_STEPS = 8.0
"""Steps of the format that a typical reward is to be large."""
STOCHASTIC_ROUNDING_BITS = 9
"""A weight update below 2^-9 of a weight's last bit never changes it (section 2 of docs/arithmetic.md: one byte)."""


class FixedFormats(NamedTuple):
    """Fraction bits that are given; None: to be chosen."""

    observation_frac_bits: int | None = None
    weight_frac_bits: int | None = None
    trace_frac_bits: int | None = None
    reward_frac_bits: int | None = None


def analyse_ranges(
    task: TaskSettings,
    hidden: Sequence[int],
    learning: LearningSettings,
    *,
    parameter_bits: int = 16,
    fixed: FixedFormats = FixedFormats(),  # noqa: B008  a NamedTuple never changes
) -> RangeReport:
    """Choose the formats of an agent on a task whose observations are scaled as `task` says.

    What `fixed` gives stays. The result depends on the arguments alone. Raises ConfigurationError where no format would
    do, and says what to change.
    """
    made = Task(task)
    try:
        if made.inputs > MAX_INPUTS or made.actions > MAX_ACTIONS:
            raise ConfigurationError(
                f"{task.task_id} has {made.inputs} inputs and {made.actions} actions: a fixed-point agent takes up to "
                f"{MAX_INPUTS} inputs and {MAX_ACTIONS} actions"
            )
        bounds = np.maximum(np.abs(made.scale(made.observation_low)), np.abs(made.scale(made.observation_high)))
        time_limit, scale = made.time_limit, made.scale_exponents
        probe = probe_task(task)
        ranges = simulate_ranges(task, hidden, learning, decisive=made.scale(probe.observations))
    finally:
        made.close()
    chooser = _Chooser(ranges, bounds, time_limit, learning, parameter_bits, fixed)
    return RangeReport(chooser.formats(), scale, chooser.quantities())


class _Chooser:
    """Chooses formats from ranges, one quantity after the other, and keeps the reasons."""

    def __init__(
        self,
        ranges: Ranges,
        bounds: Floats,
        time_limit: int | None,
        learning: LearningSettings,
        parameter_bits: int,
        fixed: FixedFormats,
    ) -> None:
        self._ranges = ranges
        self._learning = learning
        self._bits = parameter_bits
        self._fixed = fixed
        self._episode_steps = time_limit or 4 * ranges.longest_episode
        seen = ranges.input_maxima
        self._observation_bound = float(np.max(bounds))
        self._observation = float(np.max(np.where(bounds <= BOUND_SLACK * seen, np.maximum(bounds, seen), seen)))
        self._reasons: dict[str, str] = {}
        self._weight = self._choose_weight()
        self._activity = self._choose_activity()
        self._trace = self._choose_trace()
        self._reward = self._choose_reward()
        self._check_update()
        if ranges.online:
            check_critic(ranges, self._discount_exponent)

    def formats(self) -> Formats:
        """What was chosen. Raises ConfigurationError where two of them do not go together."""
        return Formats(self._bits, self._activity, self._weight, self._trace, self._reward)

    # Observations and activations

    def _choose_activity(self) -> int:
        ranges = self._ranges
        magnitude = max(self._observation, ranges.pre_activation.maximum)
        least = MIN_CONTINUOUS_OBSERVATION_FRAC_BITS if ranges.continuous else 0
        if ranges.online:
            least = MIN_CRITIC_OBSERVATION_FRAC_BITS
        allowed = range(max(least, LOGIT_FRAC_BITS - self._weight), min(14, LOGIT_FRAC_BITS + 15 - self._weight) + 1)
        fitting = [bits for bits in allowed if HEADROOM * magnitude <= 2.0 ** (15 - bits)]
        given = self._fixed.observation_frac_bits
        if given is not None:
            self._reasons["activity"] = "given"
            return given
        if not fitting:
            raise ConfigurationError(
                f"scaled observations are as large as {self._observation:g} and hidden units as large as "
                f"{ranges.pre_activation.maximum:g}: 16 bits with at least {allowed[0]} fraction bits do not hold "
                "twice that; set task.observation_scale to a smaller power of two, or where the units grow while it "
                "learns, learning_rate or clip"
            )
        resolved = [bits for bits in fitting if ranges.observation.rms * 2.0**bits >= MIN_RESOLVED_STEPS]
        proven = [bits for bits in fitting if bits <= OBSERVATION_FRAC_BITS]
        if OBSERVATION_FRAC_BITS in fitting and OBSERVATION_FRAC_BITS in resolved:
            chosen, why = OBSERVATION_FRAC_BITS, "proven format, holds twice the largest magnitude"
        elif proven and (not resolved or proven[-1] in resolved):
            chosen, why = proven[-1], f"most bits that hold twice {magnitude:.3g}"
        else:
            chosen = resolved[0] if resolved else fitting[-1]
            why = f"typical observations are only {ranges.observation.rms:.2g}"
        self._reasons["activity"] = why
        return chosen

    # Weights

    def _choose_weight(self) -> int:
        ranges, given = self._ranges, self._fixed.weight_frac_bits
        if given is not None:
            self._reasons["weight"] = "given"
            return given
        proven = proven_weight_frac_bits(self._bits, max(ranges.sizes[:-1]), ranges.continuous)
        decisive = ranges.decisive_weight
        if ranges.observation.rms >= TYPICAL_OBSERVATION:
            # Where observations are not small and yet weights would have to be large, hidden units as they were drawn
            # hardly tell observations apart; they will learn to.
            decisive = min(decisive, 2.0 ** (self._bits - 2 - proven + DECISIVE_OCTAVES))
        largest = max(HEADROOM * ranges.weight.maximum, decisive)
        row = HEADROOM * max(norm.maximum for norm in ranges.row_norm)
        row = min(row, max(self._initial_row_norm(), row / HEADROOM))
        least = MIN_WEIGHT_FRAC_BITS if self._bits == 16 else 0
        for bits in range(proven, least - 1, -1):
            if largest < 2.0 ** (self._bits - 1 - bits) and row <= ROW_LIMIT / 2.0**bits:
                why = (
                    "proven format" if bits == proven else f"weights of {largest:.3g} and rows of {row:.3g} have to fit"
                )
                self._reasons["weight"] = why
                return bits
        raise ConfigurationError(
            f"weights as large as {largest:.3g}, in rows of {row:.3g}, would be needed to act decisively, which "
            f"{self._bits} bits with at least {least} fraction bits do not hold: typical scaled observations are only "
            f"{ranges.observation.rms:.2g}; leave out task.observation_scale, or set it to a larger power of two"
        )

    def _initial_row_norm(self) -> float:
        """No row of initial hidden weights is larger (Xavier-uniform)."""
        sizes = self._ranges.sizes
        return max(sizes[i] * math.sqrt(6.0 / (sizes[i] + sizes[i + 1])) for i in range(len(sizes) - 2))

    # Traces

    def _trace_bound(self) -> float:
        return trace_bound(self._ranges, self._episode_steps, self._learning.block_steps)

    def _choose_trace(self) -> int:
        ranges, given = self._ranges, self._fixed.trace_frac_bits
        largest = max(HEADROOM * ranges.trace.maximum, self._trace_bound())
        if self._bits == 8:
            # Eight bits cannot hold the tail of a whole episode; what matters is that typical traces do not saturate.
            largest = 4.0 * ranges.trace.rms
        most = 12 if self._bits == 16 else 6
        proven = proven_trace_frac_bits(
            self._bits, online=ranges.online, immediate=ranges.immediate, noise_draws=ranges.noise_draws
        )
        fitting = [bits for bits in range(most + 1) if largest < 2.0 ** (self._bits - 1 - bits)]
        if given is not None:
            chosen, why = given, "given"
        else:
            chosen = min(proven, fitting[-1]) if fitting else 0
            why = "proven format" if chosen == proven else f"traces of {largest:.3g} have to fit"
            if self._bits == 16:
                better = [bits for bits in fitting if bits > chosen]
                while self._lost(chosen) > MAX_LOST_SHARE and better:
                    chosen = better.pop(0)
                    why = f"with fewer bits {self._lost(chosen - 1):.0%} of the hidden updates round to zero"
        # Beginners may only be slow: what they lose counts against a format where a better one is at hand.
        spared = given is not None and any(self._lost(bits) <= REFUSED_LOST_SHARE for bits in fitting)
        lost = self._lost(chosen) if spared else ranges.hidden_share.lost_below(2.0 ** -(chosen + 1))
        if self._bits == 16 and lost > REFUSED_LOST_SHARE:
            adds = "the steps add" if ranges.noise_draws == 1 else f"the {ranges.noise_draws} noise draws of a step add"
            raise ConfigurationError(
                f"trace_frac_bits = {chosen}: {lost:.0%} of what {adds} to hidden traces is below "
                f"half of their last bit, {2.0**-chosen:g}, and rounds to zero, as 16-bit traces round to nearest: "
                'hidden layers would not learn. Give traces more bits or leave their format to "auto", scale '
                'observations up, or use kind = "tiny", whose traces round stochastically'
            )
        self._reasons["trace"] = why
        return chosen

    def _lost(self, bits: int) -> float:
        """The share of the hidden updates that rounds to zero in 16-bit traces with so many fraction bits.

        That of all agents, or of beginners where it is larger: as long as their output layers are small so is d, and
        hidden layers that cannot learn then may never begin.
        """
        half_bit = 2.0 ** -(bits + 1)
        return max(self._ranges.hidden_share.lost_below(half_bit), self._ranges.beginners_share.lost_below(half_bit))

    # Rewards and returns

    def _return_bound(self) -> float:
        return return_bound(self._ranges, self._episode_steps)

    @property
    def _money(self) -> Magnitudes:
        """Single rewards where the agent learns from those, else returns."""
        ranges = self._ranges
        return ranges.reward if ranges.immediate or ranges.online else ranges.episode_return

    @property
    def _discount_exponent(self) -> int:
        """G of an online agent, whose rewards are divided by 2^G; 0 of others."""
        return round(-math.log2(1.0 - self._learning.discount)) if self._ranges.online else 0

    def _choose_reward(self) -> int:
        ranges, given = self._ranges, self._fixed.reward_frac_bits
        seen = self._money.maximum
        least = max(0, 7 - self._discount_exponent) if ranges.online else 0
        fitting = [bits for bits in range(least, 17) if HEADROOM * seen <= RETURN_LIMIT / 2.0**bits]
        if given is not None:
            chosen, why = given, "given"
        elif not fitting:
            raise ConfigurationError(
                f"{'rewards' if ranges.online else 'returns'} are as large as {seen:g}, and an agent counts to "
                f"{RETURN_LIMIT / 2.0**least:g}: divide the rewards of the "
                "environment, for example with gymnasium.wrappers.TransformReward"
            )
        else:
            safe = [bits for bits in fitting if self._return_bound() <= RETURN_LIMIT / 2.0**bits] or fitting[:1]
            chosen, why = min(REWARD_FRAC_BITS, safe[-1]), "proven format"
            if chosen < REWARD_FRAC_BITS:
                why = f"returns up to {min(self._return_bound(), HEADROOM * seen):.3g} have to fit"
            while ranges.reward.rms * 2.0**chosen < MIN_REWARD_STEPS and chosen + 1 in safe and ranges.reward.rms > 0.0:
                chosen, why = chosen + 1, f"typical rewards are only {ranges.reward.rms:.2g}"
        if 0.0 < ranges.reward.maximum * 2.0**chosen < 0.5:
            raise ConfigurationError(
                f"rewards are at most {ranges.reward.maximum:g} and round to zero with reward_frac_bits = {chosen}: "
                "multiply the rewards of the environment, for example with gymnasium.wrappers.TransformReward"
            )
        self._reasons["reward"] = why
        return chosen

    # Updates

    def _check_update(self) -> None:
        vanishing = 2.0 ** -(self._weight + STOCHASTIC_ROUNDING_BITS)
        lost = self._ranges.update.lost_below(vanishing)
        if lost > REFUSED_LOST_SHARE:
            raise ConfigurationError(
                f"{lost:.0%} of the changes of weights are below {vanishing:.2g}, where even stochastic rounding, with "
                f"one byte a weight, makes them zero (weights have {self._weight} fraction bits): raise "
                "learning.learning_rate, or the rewards of a task with immediate reward"
            )

    # Report

    def quantities(self) -> tuple[QuantityRange, ...]:
        """One line a quantity."""
        ranges = self._ranges
        parameter_limit = 2.0 ** (self._bits - 1)
        activity_limit = 2.0 ** (15 - self._activity)
        row_limit = ROW_LIMIT / 2.0**self._weight
        row_seen = max(norm.maximum for norm in ranges.row_norm)
        trace_limit = parameter_limit / 2.0**self._trace
        reward_limit = RETURN_LIMIT / 2.0**self._reward
        activity_format = f"int16 Q{self._activity}"
        parameter_format = f"int{self._bits} Q"
        observation_bound = self._observation_bound if math.isfinite(self._observation_bound) else None
        activity_bound = float(ranges.input_maxima.max()) * ranges.row_norm[0].maximum
        steps = f"{1 if ranges.immediate else self._episode_steps} steps"
        series = f"the largest step, {self._learning.block_steps} a block, blocks halved one after the other"

        def line(
            quantity: str, format_text: str, limit: float, seen: Magnitudes, bound: float | None, reason: str
        ) -> QuantityRange:
            return QuantityRange(quantity, format_text, limit, seen.maximum, bound, seen.share_above(limit), reason)

        lost = self._lost(self._trace) if self._bits == 16 else 0.0
        return (
            line(
                "observation",
                activity_format,
                activity_limit,
                ranges.observation,
                observation_bound,
                self._reasons["activity"],
            ),
            line(
                "pre-activation",
                activity_format,
                activity_limit,
                ranges.pre_activation,
                activity_bound if len(ranges.sizes) == 3 else None,
                "shares the format of observations; bound: row norm times largest input",
            ),
            line(
                "weight",
                f"{parameter_format}{self._weight}",
                parameter_limit / 2.0**self._weight,
                ranges.weight,
                row_limit,
                self._reasons["weight"],
            ),
            QuantityRange(
                "row norm",
                "row_limit",
                row_limit,
                row_seen,
                row_limit,
                max(norm.share_above(row_limit) for norm in ranges.row_norm),
                "no accumulator overflows below it; rows above it shrink by an eighth",
            ),
            line(
                "mean" if ranges.continuous else "logit",
                f"int32 Q{LOGIT_FRAC_BITS}",
                2.0 ** (31 - LOGIT_FRAC_BITS),
                ranges.logit,
                row_limit * activity_limit,
                "fixed; bound: row limit times largest activation",
            ),
            line(
                "difference",
                f"int16 Q{DIFFERENCE_FRAC_BITS}",
                DIFFERENCE_LIMIT,
                ranges.difference,
                difference_bound(ranges, row_limit),
                "fixed, coarse on purpose; bound: all signs agree along rows at their limit",
            ),
            line(
                "trace step",
                f"{parameter_format}{self._trace}",
                trace_limit,
                ranges.hidden_share,
                None,
                f"{lost:.1%} of the hidden updates round to zero" if self._bits == 16 else "rounds stochastically",
            ),
            line(
                "trace",
                f"{parameter_format}{self._trace}",
                trace_limit,
                ranges.trace,
                self._trace_bound(),
                f"{self._reasons['trace']}; bound: {series if ranges.online else f'{steps}, 99%'}",
            ),
            line(
                "reward" if self._money is ranges.reward else "return",
                f"int32 Q{self._reward}",
                reward_limit,
                self._money,
                self._return_bound(),
                f"{self._reasons['reward']}; bound: the largest reward"
                + ("" if self._money is ranges.reward else f" times {steps}"),
            ),
            *self._error_quantities(),
            QuantityRange(
                "update",
                f"2^-{self._weight + STOCHASTIC_ROUNDING_BITS} and up",
                parameter_limit / 2.0**self._weight,
                ranges.update.maximum,
                self._learning.update_norm if ranges.online else self._learning.clip,
                0.0,
                f"{ranges.update.lost_below(2.0 ** -(self._weight + STOCHASTIC_ROUNDING_BITS)):.1%} is too small for "
                "stochastic rounding; bound: the clip",
            ),
        )

    def _error_quantities(self) -> tuple[QuantityRange, ...]:
        """What agents learn from; and the actions of a Gaussian policy."""
        ranges = self._ranges
        lines: tuple[QuantityRange, ...] = (
            QuantityRange(
                "prediction error",
                "15-bit mantissa",
                math.inf,
                ranges.prediction_error.maximum,
                None,
                0.0,
                "a fraction with an exponent of its own: it has no range to leave",
            ),
        )
        if ranges.online:
            lines = critic_quantities(ranges, self._learning.block_steps)
        if ranges.continuous:
            lines += (
                QuantityRange(
                    "action",
                    f"int16 Q{LOGIT_FRAC_BITS}",
                    DIFFERENCE_LIMIT,
                    ranges.logit.maximum + LARGEST_NUMBER,
                    None,
                    ranges.logit.share_above(DIFFERENCE_LIMIT),
                    "fixed, in standard deviations; not counted, since the task's own bounds come first",
                ),
            )
        return lines
