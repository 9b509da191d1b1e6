"""The noise budget of an agent: random bits a step, against what a board's generator gives.

A step draws its bytes at once and an update a byte a weight (section 3 of docs/arithmetic.md). Delayed reward updates
once an episode, whose bits the generator can only start to make when the update asks for them: that is a pause. The
online preset updates every 4 steps, immediate reward at every step: there the update's bits belong to each step.
"""

from __future__ import annotations

from dataclasses import dataclass

from nrl_edge.codegen.core import initial_draw_bytes, step_draw_bytes, update_draw_bytes
from nrl_edge.fixedpoint.configuration import AgentConfiguration

EXPANSION = 1024 // 16
"""Bytes of expanded noise for each raw one: 1024 are drawn before the next 16 are mixed in."""


@dataclass(frozen=True)
class NoiseBudget:
    """What one agent takes."""

    bits_per_step: float
    """Random bits that a step draws on average, updates within the episode included."""
    bits_per_episode_end: int
    """Random bits that the update at the end of an episode draws; 0 with immediate reward."""
    initial_bits: int
    """Random bits of the initial weights."""

    def steps_per_second(self, bits_per_second: float) -> float:
        """Steps a second for which a generator of this rate has the bits."""
        return bits_per_second / self.bits_per_step

    def expanded_steps_per_second(self, bits_per_second: float) -> float:
        """The same where the bits are expanded from a 64th of them (firmware_templates/noise)."""
        return EXPANSION * self.steps_per_second(bits_per_second)

    def pause_seconds(self, bits_per_second: float) -> float:
        """How long the update at an episode's end waits for its bits."""
        return self.bits_per_episode_end / bits_per_second


def noise_budget(configuration: AgentConfiguration) -> NoiseBudget:
    """The random bits that an agent draws."""
    step, update = 8 * step_draw_bytes(configuration), 8 * update_draw_bytes(configuration)
    within = 0.0
    if configuration.immediate_reward:
        within = float(update)
    elif configuration.online:
        within = update / configuration.block_steps
    return NoiseBudget(
        bits_per_step=step + within,
        bits_per_episode_end=0 if configuration.immediate_reward else update,
        initial_bits=8 * initial_draw_bytes(configuration),
    )
