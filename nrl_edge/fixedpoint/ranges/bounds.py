"""Bounds that can be derived: what a quantity cannot exceed, or does not in a whole run with a probability of 99%."""

from __future__ import annotations

import math

from nrl_edge.fixedpoint.ranges.measured_rules import DIFFERENCE_LIMIT, Ranges

TRACE_FAILURE = 0.01
"""Probability that any trace of a run of RUN_EPISODES episodes leaves the derived bound."""
RUN_EPISODES = 10_000
BLOCK_TRACE_DECAY = 0.5
"""What remains of an online agent's traces after a block (section 11 of docs/arithmetic.md)."""
LARGEST_NUMBER = 24480 / 4096
"""Of a Gaussian policy, in standard deviations (section 12)."""


def largest_share(ranges: Ranges) -> float:
    """What one step adds to a trace at most: the limit of d, or an output's error, times the largest activation."""
    error = LARGEST_NUMBER if ranges.continuous else 1.0
    return max(DIFFERENCE_LIMIT, error) * max(ranges.observation.maximum, ranges.pre_activation.maximum)


def trace_bound(ranges: Ranges, episode_steps: int, block_steps: int) -> float:
    """What no trace exceeds.

    A trace of preset edge holds the steps of an episode. What a step adds has mean 0 given all before it (signs are
    fair, and a policy's log-gradient has mean 0), so traces are martingales: P(|e| > b sqrt(T) sigma) is at most
    2 exp(-b^2 / 2) (Hoeffding, Azuma, with the root mean square for the largest step), over all parameters and the
    episodes of a long run.

    One of preset actor-critic holds S steps of a block, half of each of the block before, and so on: by geometric
    series it never exceeds S / (1 - 1/2) of the largest step. So few steps have no tails to derive, and the largest one
    that was seen takes the place of the largest possible.
    """
    steps = 1.0 if ranges.immediate else float(max(1, episode_steps))
    worst = steps * largest_share(ranges)
    if ranges.immediate:
        return worst
    if ranges.online:
        # All draws of a step may agree.
        largest = max(ranges.noise_draws * ranges.hidden_share.maximum, ranges.output_share.maximum)
        return min(worst, min(steps, block_steps / (1.0 - BLOCK_TRACE_DECAY)) * largest)
    sizes = ranges.sizes
    parameters = sum(sizes[i] * sizes[i + 1] for i in range(len(sizes) - 1))
    factor = math.sqrt(2.0 * math.log(2.0 * parameters * RUN_EPISODES / TRACE_FAILURE))
    # The draws of a step are independent, each with its part of the share.
    typical = max(math.sqrt(ranges.noise_draws) * ranges.hidden_share.rms, ranges.output_share.rms)
    return worst if steps == 1.0 else min(worst, factor * math.sqrt(steps) * typical)


def difference_bound(ranges: Ranges, row_limit: float) -> float:
    """Of da, dl and d: all signs agree along rows at their limit."""
    # da_1 = 1; every layer multiplies by its row norm at most, and hidden ones add their own noise.
    bound = 1.0
    for _ in ranges.row_norm[1:-1]:
        bound = bound * row_limit + 1.0
    bound *= row_limit
    return bound * ranges.sizes[-1] * LARGEST_NUMBER if ranges.continuous else bound


def return_bound(ranges: Ranges, episode_steps: int) -> float:
    """Of returns; of single rewards where the agent learns from those."""
    learns_from_rewards = ranges.immediate or ranges.online
    return ranges.reward.maximum * (1 if learns_from_rewards else max(1, episode_steps))
