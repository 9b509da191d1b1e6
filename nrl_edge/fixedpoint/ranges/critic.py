"""What the fixed formats of an online agent's critic hold (section 11 of docs/arithmetic.md), and what they refuse.

None of them can be chosen: values have 15 bits of fraction and end at 64, prediction errors are learned with 12 bits.
So rewards have to fit them. The critic divides its features by a power of two above their squared norm, so that what
it learns of large observations is small.
"""

from __future__ import annotations

from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.ranges.measured_rules import Ranges
from nrl_edge.fixedpoint.ranges.report import QuantityRange

VALUE_LIMIT, CRITIC_WEIGHT_LIMIT, ERROR_LIMIT, BLOCK_ERROR_LIMIT = 64.0, 64.0, 8.0, 1.0
LEAST_DISCOUNTED_REWARD = 2.0**-16
"""Half of the last bit of what a reward adds to a prediction error."""
LEAST_ERROR = 2.0**-13
"""Half of the last bit of an error that the critic learns from."""
LEAST_UPDATE = 2.0**-25
"""Half of the last bit of the critic's weights, which round to nearest."""
MAX_LARGE_VALUES = 0.01
"""Share of values that may be beyond their limit."""
REFUSED_ERRORS, REFUSED_UPDATES = 0.5, 0.9
"""Shares of rewards and of prediction errors, and of changes of the critic's weights, that may round to zero. Agents
have learned with half of the changes lost: small ones, of features that say little."""
DIVERGED = 4.0
"""So many times the largest reward a value is not: it is an average of rewards."""
REWARD_REMEDY = "the rewards of the environment, for example with gymnasium.wrappers.TransformReward"


def critic_diverges(ranges: Ranges) -> bool:
    """Whether the critic of a simulation left what its rewards can be worth."""
    return ranges.value.share_above(DIVERGED * ranges.reward.maximum) > MAX_LARGE_VALUES


def check_critic(ranges: Ranges, discount_exponent: int) -> None:
    """Raise ConfigurationError where a critic in fixed point would not learn with a discount of 1 - 2^-G."""
    if critic_diverges(ranges):
        raise ConfigurationError(
            f"the critic diverges: its values are as large as {ranges.value.maximum:.3g}, with rewards of "
            f"{ranges.reward.maximum:.3g} at most; scale observations down with task.observation_scale, leave it out, "
            "or shorten learning.discount"
        )
    if ranges.value.share_above(VALUE_LIMIT) > MAX_LARGE_VALUES:
        raise ConfigurationError(
            f"the critic's values are as large as {ranges.value.maximum:.3g} (rewards as {ranges.reward.maximum:.3g}), "
            f"and end at {VALUE_LIMIT:g}: divide {REWARD_REMEDY}"
        )
    lost = ranges.reward.lost_below(LEAST_DISCOUNTED_REWARD * 2.0**discount_exponent)
    if lost > REFUSED_ERRORS:
        raise ConfigurationError(
            f"{lost:.0%} of the rewards, {ranges.reward.maximum:.3g} at most, round to zero where they are divided by "
            f"2^{discount_exponent} for discount 1 - 2^-{discount_exponent}: multiply {REWARD_REMEDY}"
        )
    lost = ranges.prediction_error.lost_below(LEAST_ERROR)
    if lost > REFUSED_ERRORS:
        raise ConfigurationError(
            f"{lost:.0%} of the critic's prediction errors are below {LEAST_ERROR:.2g} and round to zero, as rewards "
            f"are at most {ranges.reward.maximum:.3g}: multiply {REWARD_REMEDY}"
        )
    lost = ranges.critic_update.lost_below(LEAST_UPDATE)
    if lost > REFUSED_UPDATES:
        raise ConfigurationError(
            f"{lost:.0%} of the changes of the critic's weights are below {LEAST_UPDATE:.2g} and round to zero, since "
            "its features are divided by the square of 1 + |x|^2 (by its cube with cubes): scale observations down "
            "with task.observation_scale, or leave it out"
        )


def critic_quantities(ranges: Ranges, block_steps: int) -> tuple[QuantityRange, ...]:
    """One line a quantity of the critic."""
    largest = ranges.reward.maximum

    def line(
        quantity: str, format_text: str, limit: float, seen: str, bound: float | None, reason: str
    ) -> QuantityRange:
        magnitudes = getattr(ranges, seen)
        return QuantityRange(
            quantity, format_text, limit, magnitudes.maximum, bound, magnitudes.share_above(limit), reason
        )

    return (
        line(
            "value",
            "int32 Q15",
            VALUE_LIMIT,
            "value",
            largest,
            "fixed; bound: the geometric series of discounted rewards, for a critic that is right",
        ),
        line(
            "prediction error",
            "int16 Q12",
            ERROR_LIMIT,
            "prediction_error",
            2.0 * largest,
            f"fixed; {ranges.prediction_error.lost_below(LEAST_ERROR):.1%} rounds to zero; bound: twice that of values",
        ),
        line(
            "block error",
            "int16 Q15",
            BLOCK_ERROR_LIMIT,
            "block_error",
            2.0 * block_steps * largest,
            f"fixed, coarse on purpose: larger ones learn as 1 does; bound: {block_steps} errors",
        ),
        line(
            "critic weight", "int32 Q24", CRITIC_WEIGHT_LIMIT, "critic_weight", None, "fixed; not counted when clamped"
        ),
        line(
            "critic update",
            "int32 Q24",
            CRITIC_WEIGHT_LIMIT,
            "critic_update",
            None,
            f"fixed; {ranges.critic_update.lost_below(LEAST_UPDATE):.1%} rounds to zero",
        ),
    )
