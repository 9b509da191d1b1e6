"""Fraction bits that learning was proven with (docs/results.md): what automatic formats start from."""

from __future__ import annotations

from nrl_edge.fixedpoint.configuration import ONLINE_TRACE_FRAC_BITS

OBSERVATION_FRAC_BITS = 10
REWARD_FRAC_BITS = 8
NARROW_FAN_IN = 64


def proven_weight_frac_bits(parameter_bits: int, fan_in: int, continuous: bool) -> int:
    """Of weights, by the largest number of inputs of a unit."""
    if parameter_bits == 8:
        return 5
    # The output of a Gaussian policy is a number, no logit that only its difference to others counts of: with 12 bits
    # the row limit, magnitudes that sum to 16, stopped Pendulum's policies short.
    return 12 if fan_in <= NARROW_FAN_IN and not continuous else 11


def proven_trace_frac_bits(parameter_bits: int, *, online: bool, immediate: bool, noise_draws: int) -> int:
    """Of eligibility traces."""
    if online:
        return ONLINE_TRACE_FRAC_BITS[parameter_bits]
    if parameter_bits == 8:
        return 0
    # Each of several draws has its part of a share, and 16-bit traces round each of them to nearest.
    return (8 if immediate else 5) + noise_draws.bit_length() - 1
