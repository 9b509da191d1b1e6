"""The chips that can be modelled, by the name that board files give them."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass

from nrl_host.targets.machines.cortex_m import CortexM, Receive, Send
from nrl_host.targets.machines.generators import BitSource
from nrl_host.targets.machines.rp2040 import Rp2040
from nrl_host.targets.machines.rp2350 import Rp2350
from nrl_host.targets.machines.stm32l4 import Stm32g474, Stm32l432, Stm32l476

# What was measured of the RP2040's oscillator, and fair bits, have something between them.
_RING_OSCILLATOR = {"share_of_ones": 0.48, "repeats": 0.04}
_FAIR: dict[str, float] = {}


@dataclass(frozen=True)
class Chip:
    """One chip."""

    kind: Callable[[mmap.mmap, BitSource, Receive, Send], CortexM]
    flash_bytes: int
    healthy: dict[str, float]
    """What its generator is like when it is well."""

    def make(self, flash: mmap.mmap, generator: str, seed: int, receive: Receive, send: Send) -> CortexM:
        """The chip with a generator of some kind; see BitSource."""
        return self.kind(flash, BitSource(generator, seed, **self.healthy), receive, send)


CHIPS = {
    "rp2040": Chip(Rp2040, 2 << 20, _RING_OSCILLATOR),
    "rp2350": Chip(Rp2350, 4 << 20, _FAIR),
    "stm32g474re": Chip(Stm32g474, 512 << 10, _FAIR),
    "stm32l432kc": Chip(Stm32l432, 256 << 10, _FAIR),
    "stm32l476rg": Chip(Stm32l476, 1 << 20, _FAIR),
}
