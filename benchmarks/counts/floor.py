"""The least that one learning step can cost: what no rearrangement of the same arithmetic avoids.

Every weight is streamed once, products are summed at the core's peak rate, every trace is read, changed and written
once, and every hidden unit takes the least element-wise work. Not counted, so that the floor is one: calls, loops over
layers, softmax, sampling, noise, counters, and what the output layer adds beyond its weights.

    floor = first * A + later * B + units * C
    A = load + mac + trace          weights of the first layer, whose input carries no noise
    B = load + 2 mac + trace        all others: the clean pass and the difference pass share the load

In cycles, or in instructions where a core is counted in these. Two int16 share a word of 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.counts.networks import Network


@dataclass(frozen=True)
class Floor:
    """The terms of one core, each in its unit."""

    load: float
    """One weight into a register."""
    mac: float
    """One product into a sum."""
    trace: float
    """One trace read, changed and written."""
    unit: float
    """One hidden unit: shift, saturate, test, leak, noise bit, difference, the output trace's product and its shift."""
    why: str
    """How the terms come about."""

    @property
    def first_layer_weight(self) -> float:
        """A of the formula."""
        return self.load + self.mac + self.trace

    @property
    def later_weight(self) -> float:
        """B of the formula."""
        return self.load + 2 * self.mac + self.trace

    def of(self, network: Network) -> int:
        """The floor of a network."""
        sizes = network.layer_sizes
        first = sizes[0] * sizes[1]
        later = network.parameters - first
        hidden = sum(sizes[1:-1])
        return round(first * self.first_layer_weight + later * self.later_weight + hidden * self.unit)


_DSP = Floor(
    0.5,
    0.5,
    1.5,
    10.0,
    "a word holds two weights and its load is pipelined; SMLAD does two products; two traces take a load, a QADD16 and "
    "a store; a unit takes a shift, SSAT, test, product and shift of the leak, noise bit, choice of the difference, "
    "product and shift of the output trace, PKHBT",
)
FLOORS = {
    "m0plus": Floor(
        1.0,
        2.0,
        2.5,
        17.0,
        "a load or store of a word of two takes 2 cycles; MULS and ADDS; two traces take a load, one add and a store; "
        "without SSAT, PKHBT and conditional instructions a unit takes the 10 of Cortex-M4, 2 more to saturate, 1 to "
        "choose the difference, 1 to pack and 3 for its loop",
    ),
    "m3": Floor(
        1.0,
        2.0,
        1.5,
        10.0,
        "a pipelined LDRSH a weight; MLA takes 2 cycles; two traces take a load, one add and a store",
    ),
    "m4": _DSP,
    "m7": _DSP,
    "m33": _DSP,
    "rv32": Floor(
        1.0,
        2.0,
        1.5,
        16.0,
        "LH a weight; MUL and ADD; two traces take LW, ADD, SW; without saturating and packing instructions a unit "
        "takes the 10 of Cortex-M4, 2 more to saturate, 1 to choose the difference, 1 to pack and 2 for its loop",
    ),
    "avr": Floor(
        4.0,
        14.0,
        10.0,
        37.0,
        "a byte takes 2 cycles to load or store; a 16 x 16 product into 24 bits takes four MUL of 2 cycles and six "
        "byte additions; a trace takes 4 to load, 2 to add, 4 to store; a unit takes 10 for its shift by 12, 4 to "
        "saturate, 1 to test, 5 for the leak (half of the units), 1 for the noise bit, 2 for the difference, 8 for the "
        "output trace's product, 3 for its shift and 3 for the loop",
    ),
}
