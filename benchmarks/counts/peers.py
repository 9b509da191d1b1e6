"""What other libraries cost on the same networks.

They were counted once, in a study before this project and with its method: 4-64-2, one sample at a time, with biases,
GCC 12.2 (AVR: 5.4). This command does not count them again; the flags that they were compiled with were not kept.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """One operation of one library on the 4-64-2 network."""

    name: str
    trains: bool
    """A step of training; otherwise inference."""
    costs: dict[str, int]
    """By core, in the unit that the core is counted in; on m4 with the float unit."""


PEERS = (
    Peer("RLtools, float32: forward, backward, SGD", True, {"m0plus": 162_200, "m4": 18_764, "rv32": 123_483}),
    Peer(
        "AIfES 2.2, float32: training step",
        True,
        {"m0plus": 313_534, "m4": 83_683, "rv32": 215_911, "avr": 860_271},
    ),
    Peer("RLtools, float32: inference", False, {"m0plus": 44_782, "m4": 3_267, "rv32": 34_866}),
    Peer("AIfES 2.2, float32: inference", False, {"m0plus": 60_460, "m4": 8_845, "rv32": 43_273, "avr": 141_778}),
    Peer("emlearn, float32: inference", False, {"m0plus": 51_496, "m4": 6_523, "rv32": 37_550, "avr": 114_042}),
    Peer("CMSIS-NN, int16: inference", False, {"m0plus": 38_809, "m4": 6_092, "rv32": 7_681}),
    Peer("CMSIS-NN, int8: inference", False, {"m0plus": 13_291, "m4": 5_323, "rv32": 4_940}),
)
"""The network that they were counted on is 4-64-2."""
