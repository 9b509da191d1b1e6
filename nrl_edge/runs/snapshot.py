"""Snapshots of fixed-point agents as files (section 9 of docs/arithmetic.md), and their weights as numbers."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import ENTROPY_MODES
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration

_HEADER = struct.Struct("<4sHHIII")
_WEIGHTS_OFFSET, _CRC_BYTES = 72, 4
_ENTROPY_FIELDS = 48, 68
"""Mode and generator state."""


@dataclass(frozen=True)
class SnapshotInfo:
    """What a whole and undamaged snapshot says of itself."""

    identity: int
    """Identity of the agent it is of."""
    episodes: int
    """Episodes of the agent's life."""
    steps: int
    """Steps of the agent's life."""
    weights_crc32: int
    """CRC-32 of the weight bytes (and a critic's after them), which targets compare."""


def snapshot_info(snapshot: bytes, name: str = "the snapshot") -> SnapshotInfo:
    """Check magic, version and CRC-32 and read the header. Raises ConfigurationError, in which `name` stands for it."""
    if len(snapshot) < _WEIGHTS_OFFSET + _CRC_BYTES or snapshot[:4] != b"NRLS":
        raise ConfigurationError(
            f"{name} is no snapshot of an agent: {len(snapshot)} bytes that do not begin with NRLS"
        )
    if zlib.crc32(snapshot[:-_CRC_BYTES]) != int.from_bytes(snapshot[-_CRC_BYTES:], "little"):
        raise ConfigurationError(f"{name} is damaged: its CRC-32 is wrong; use an older checkpoint")
    _, version, _, identity, episodes, steps = _HEADER.unpack_from(snapshot)
    if version != 1:
        raise ConfigurationError(f"{name} has snapshot version {version}; this nrl-edge reads version 1")
    return SnapshotInfo(identity, episodes, steps, zlib.crc32(snapshot[_WEIGHTS_OFFSET:-_CRC_BYTES]))


def without_entropy(snapshot: bytes) -> bytes:
    """The same weights and counters, of no seeded agent: restoring it leaves an agent's entropy source where it is.

    Raises ConfigurationError where the snapshot is damaged.
    """
    snapshot_info(snapshot)
    start, end = _ENTROPY_FIELDS
    mode = bytes([ENTROPY_MODES.index("raw")]).ljust(end - start, b"\0")
    changed = snapshot[:start] + mode + snapshot[end:-_CRC_BYTES]
    return changed + zlib.crc32(changed).to_bytes(_CRC_BYTES, "little")


def snapshot_weights(snapshot: bytes, configuration: AgentConfiguration) -> list[NDArray[np.float64]]:
    """The weights of a snapshot's network as numbers, [(n_l, n_(l-1)), ...] float64, hidden layers first, output last.

    Raises ConfigurationError where it is damaged or of another agent.
    """
    if snapshot_info(snapshot).identity != configuration.identity or len(snapshot) != configuration.snapshot_bytes:
        raise ConfigurationError(f"the snapshot is of another agent than {configuration.description}")
    formats = configuration.formats
    weight_bytes = snapshot[_WEIGHTS_OFFSET : _WEIGHTS_OFFSET + configuration.weight_bytes]
    stored = np.frombuffer(weight_bytes, "<i2" if formats.parameter_bits == 16 else "i1")
    numbers = stored.astype(np.float64) / (1 << formats.weight_frac_bits)
    sizes = [rows * columns for rows, columns in configuration.weight_shapes]
    parts = np.split(numbers, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, configuration.weight_shapes, strict=True)]
