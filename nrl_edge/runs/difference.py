"""What two snapshots of agents differ in (section 9 of docs/arithmetic.md)."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.runs.snapshot import snapshot_info, snapshot_weights

_HEADER = struct.Struct("<4sHHIIIi6IB3x4II")
_FIELDS = (
    *("version", "baseline_is_set", "identity", "episodes", "steps", "return_baseline"),
    *(f"{name}_count" for name in ("observation", "pre_activation", "difference", "trace", "weight", "entropy")),
    *("entropy_mode", "generator_0", "generator_1", "generator_2", "generator_3", "bytes_drawn"),
)
_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class LayerDifference:
    """One layer's weights."""

    weights: int
    different: int
    largest: float
    """Largest difference of two weights, as a number."""
    row: int
    """Unit of the first one that differs, from 0; -1: none does."""
    column: int
    """Input of it."""


@dataclass(frozen=True)
class SnapshotDifference:
    """What differs; nothing where `equal`."""

    equal: bool
    fields: dict[str, tuple[int, int]]
    """Fields of the header that differ, with both values."""
    bytes_different: int
    """Of the weights and, in an online agent, the critic."""
    bytes_compared: int
    layers: tuple[LayerDifference, ...] | None
    """Layer by layer, output last; None where the agent is not known."""

    def as_dict(self) -> dict[str, Any]:
        """The difference by field name."""
        return asdict(self)

    def describe(self) -> str:
        """The same for a person."""
        if self.equal:
            return f"equal, all {self.bytes_compared} bytes of weights and every counter"
        lines = [f"{name}: {first} and {second}" for name, (first, second) in self.fields.items()]
        lines.append(f"{self.bytes_different} of {self.bytes_compared} bytes of weights differ")
        for number, layer in enumerate(self.layers or (), 1):
            if layer.different:
                lines.append(
                    f"layer {number}: {layer.different} of {layer.weights} weights, by {layer.largest:g} at most; the "
                    f"first is that of unit {layer.row} to input {layer.column}"
                )
        return "\n".join(lines)


def compare_snapshots(
    first: bytes,
    second: bytes,
    configuration: AgentConfiguration | None = None,
    names: tuple[str, str] = ("the first snapshot", "the second snapshot"),
) -> SnapshotDifference:
    """Compare two snapshots; with their agent's `configuration`, weight by weight.

    Raises ConfigurationError where one is damaged, or is not of that agent.
    """
    infos = [snapshot_info(snapshot, name) for snapshot, name in zip((first, second), names, strict=True)]
    if infos[0].identity != infos[1].identity or len(first) != len(second):
        configuration = None
    headers = [_HEADER.unpack_from(snapshot)[1:] for snapshot in (first, second)]
    fields = {name: (a, b) for name, a, b in zip(_FIELDS, *headers, strict=True) if a != b}
    weights = [np.frombuffer(snapshot[_HEADER.size : -_CHECKSUM_BYTES], np.uint8) for snapshot in (first, second)]
    compared = max(len(each) for each in weights)
    shared = min(len(each) for each in weights)
    different = int(np.count_nonzero(weights[0][:shared] != weights[1][:shared])) + compared - shared
    layers = None
    if configuration is not None:
        if configuration.identity != infos[0].identity:
            raise ConfigurationError(f"{names[0]} is of another agent than {configuration.description}")
        pairs = zip(*(snapshot_weights(snapshot, configuration) for snapshot in (first, second)), strict=True)
        layers = tuple(_layer(a, b) for a, b in pairs)
    return SnapshotDifference(not fields and different == 0, fields, different, compared, layers)


def _layer(first: Any, second: Any) -> LayerDifference:
    where = np.argwhere(first != second)
    row, column = (int(place) for place in where[0]) if len(where) else (-1, -1)
    return LayerDifference(first.size, len(where), float(np.max(np.abs(first - second))), row, column)
