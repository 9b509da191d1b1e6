"""Generates the C agent (`firmware_templates/core`) for one configuration."""

from __future__ import annotations

from pathlib import Path

from nrl_edge.codegen.render import render_folder, write_files
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import CRITIC_FEATURES, GAUSSIAN_BYTES, AgentConfiguration

_MASK_64 = (1 << 64) - 1
_MASK_32 = (1 << 32) - 1


def seed_state(seed: int) -> tuple[int, int, int, int]:
    """The xoshiro128++ state of a 64-bit seed: two outputs of SplitMix64, low word first (section 3).

    Raises ConfigurationError where the seed is not 0 to 2^64 - 1.
    """
    if not 0 <= seed <= _MASK_64:
        raise ConfigurationError(f"seed = {seed}: allowed are 0 to 2^64 - 1")
    words: list[int] = []
    for step in (1, 2):
        mixed = (seed + step * 0x9E3779B97F4A7C15) & _MASK_64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
        mixed ^= mixed >> 31
        words += [mixed & _MASK_32, mixed >> 32]
    return words[0], words[1], words[2], words[3]


def step_draw_bytes(configuration: AgentConfiguration) -> int:
    """Bytes that one step draws: sign bits, the action's number and, with 8-bit parameters, rounding bytes."""
    signs = sum((units + 7) // 8 for units in configuration.hidden)
    rounding = sum(configuration.layer_sizes[:-1]) if configuration.formats.parameter_bits == 8 else 0
    action = GAUSSIAN_BYTES * configuration.actions if configuration.continuous else 2
    return configuration.noise_draws * signs + action + rounding


def update_draw_bytes(configuration: AgentConfiguration) -> int:
    """Bytes that one update draws, a draw a row of weights: one byte rounds one weight."""
    return configuration.parameters


def initial_draw_bytes(configuration: AgentConfiguration) -> int:
    """Bytes that the initial weights draw: two a weight of the hidden layers."""
    return 2 * sum(rows * columns for rows, columns in configuration.weight_shapes[:-1])


def largest_draw_bytes(configuration: AgentConfiguration) -> int:
    """Bytes of the largest single draw, which the agent has a buffer for."""
    initial = 2 * max(columns for _, columns in configuration.weight_shapes[:-1])
    widest = max(columns for _, columns in configuration.weight_shapes)
    return max(step_draw_bytes(configuration), initial, widest)


def wide_layers(configuration: AgentConfiguration) -> list[int]:
    """Hidden layers, from 1, that kernels go along the rows of: long ones, and even, so that traces are whole words."""
    if configuration.formats.parameter_bits != 16 or configuration.noise_draws != 1:
        return []
    return [
        layer
        for layer, (rows, columns) in enumerate(configuration.weight_shapes[:-1], start=1)
        if columns > 8 and columns % 2 == 0 and rows >= 4
    ]


def preset_code(configuration: AgentConfiguration) -> int:
    """NRL_PRESET: 0 for preset edge, 1, 2, 3 for preset actor-critic with a critic of products, squares, cubes."""
    return 1 + CRITIC_FEATURES.index(configuration.critic_features) if configuration.online else 0


def render_core(configuration: AgentConfiguration, default_seed: int = 0) -> dict[str, str]:
    """The C sources and headers of one agent: {file name: content}.

    `default_seed` becomes NRL_DEFAULT_SEED_STATE, for programs that choose no seed of their own.
    """
    variables = {
        "configuration": configuration,
        "xavier_limits": list(configuration.xavier_limits()),
        "step_draw_bytes": step_draw_bytes(configuration),
        "largest_draw_bytes": largest_draw_bytes(configuration),
        "preset_code": preset_code(configuration),
        "wide_layers": wide_layers(configuration),
        "default_seed": default_seed,
        "seed_state": seed_state(default_seed),
    }
    files = {**render_folder("core", variables), **render_folder("core/kernels", variables)}
    if not configuration.online:
        del files["nrl_critic.c"], files["nrl_critic.h"]
    return files


def write_core(configuration: AgentConfiguration, folder: Path, default_seed: int = 0) -> list[Path]:
    """Write the files of `render_core` into a folder and return their paths."""
    return write_files(render_core(configuration, default_seed), folder)
