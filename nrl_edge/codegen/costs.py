"""Flash and cycles of an agent on a board, estimated from measured agents of the same kind (costs.json).

`python -m benchmarks.costs` measures and writes the file: it builds firmware for every board, and counts the core of
each instruction set. Flash is a sum of parts; cycles are linear in the sizes of the layers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nrl_edge.boards import Board
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.fixedpoint.configuration import AgentConfiguration

COSTS_FILE = Path(__file__).with_name("costs.json")

_CORES = {
    **{"Cortex-M0": "m0plus", "Cortex-M0+": "m0plus", "Cortex-M3": "m4", "Cortex-M4": "m4", "AVR": "avr"},
    **{"Cortex-M7": "m4", "Cortex-M33": "m4", "Cortex-M55": "m4", "RV32IMC": "rv32"},
}
"""Which counted core stands for a board's."""
_EXACT_CORES = ("Cortex-M0+", "Cortex-M4", "AVR")
"""Cores whose cycles were counted or priced themselves."""


@dataclass(frozen=True)
class Estimate:
    """What was measured says of one agent on one board."""

    flash_bytes: int | None
    code_in_ram_bytes: int
    """Code that runs from RAM while flash is written."""
    step_cycles: int | None
    update_cycles: int | None
    longest_call_cycles: int | None
    cycles_are: str
    error: float


def kind_of(configuration: AgentConfiguration) -> str:
    """The kind of agent that costs are known of: int16, tiny, online, online-tiny."""
    tiny = configuration.formats.parameter_bits == 8
    if configuration.online:
        return "online-tiny" if tiny else "online"
    return "tiny" if tiny else "int16"


def isa_group(board: Board) -> str:
    """Boards whose compiler makes much the same code of the same source."""
    if board.toolchain == "arm-none-eabi":
        return "armv6-m" if board.isa == "armv6-m" else "thumb-2"
    return board.isa


def features(configuration: AgentConfiguration) -> tuple[float, ...]:
    """What cycles are linear in: 1, first-layer weights, all other weights, units, features of the critic."""
    sizes = configuration.layer_sizes
    first = sizes[0] * sizes[1]
    return (
        1.0,
        float(first),
        float(configuration.parameters - first),
        float(sum(sizes[1:])),
        float(configuration.critic_parameters if configuration.online else 0),
    )


@cache
def measured_costs() -> Mapping[str, Any]:
    """The file of measured costs."""
    found: Mapping[str, Any] = json.loads(COSTS_FILE.read_text(encoding="utf-8"))
    return found


def estimate(configuration: AgentConfiguration, board: Board, options: FirmwareOptions) -> Estimate:
    """Flash and cycles of an agent, as far as agents like it were measured."""
    costs = measured_costs()
    kind = kind_of(configuration)
    cycles: Mapping[str, list[float]] = costs["cycles"].get(_CORES.get(board.core, ""), {}).get(kind, {})
    # What several noise vectors and continuous actions take was not measured.
    known = bool(cycles) and configuration.noise_draws == 1 and not configuration.continuous

    def cost(name: str) -> int | None:
        if not known or name not in cycles:
            return None
        return max(0, round(sum(a * b for a, b in zip(cycles[name], features(configuration), strict=True))))

    step, update, longest = cost("step"), cost("update"), cost("longest")
    if configuration.immediate_reward and step is not None and update is not None:
        longest = step + update
    return Estimate(
        flash_bytes=_flash_bytes(costs["flash"], configuration, board, options),
        code_in_ram_bytes=costs["code_in_ram"].get(board.id, 0) if options.save_every else 0,
        step_cycles=step,
        update_cycles=update,
        longest_call_cycles=longest,
        cycles_are="unknown" if step is None else ("cycles" if board.core in _EXACT_CORES else "instructions"),
        error=float(costs["error"]),
    )


def _flash_bytes(
    flash: Mapping[str, Any], configuration: AgentConfiguration, board: Board, options: FirmwareOptions
) -> int | None:
    base = flash["boards"].get(board.id)
    parts: Mapping[str, int] = flash["parts"].get(isa_group(board), {})
    if base is None or not parts or options.environment is not None or configuration.continuous:
        return None
    wanted = [
        *([kind_of(configuration)] if kind_of(configuration) != "int16" else []),
        *([f"layers-{len(configuration.hidden)}"] if len(configuration.hidden) > 1 else []),
        *(["immediate"] if configuration.immediate_reward else []),
        *(["store"] if options.save_every else []),
        *(["key"] if options.link_key is not None else []),
    ]
    return int(base) + sum(int(parts[name]) for name in wanted)
