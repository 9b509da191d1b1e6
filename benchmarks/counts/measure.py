"""Counts one agent on one core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.counts.build import Image, agent_sources, build
from benchmarks.counts.cores import Core
from benchmarks.counts.naive import NAIVE_STEP, NAIVE_STEPS, NaiveKind, naive_flags, naive_sources
from benchmarks.counts.networks import SEED, Network, Stream, configuration_of, record_stream
from benchmarks.counts.simavr_machine import run_on_avr
from benchmarks.counts.timings import Pricer
from benchmarks.counts.trace import FunctionCost, Run, function_costs
from benchmarks.counts.unicorn_machine import UnicornMachine
from nrl_edge.errors import RunError

STEP = "nrl_agent_step"
"""The function that is counted, from its first instruction to its return."""

CRITIC = "nrl_critic_"
"""How the functions of an online agent's critic begin."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some calls."""

    median: int
    min: int
    max: int
    mean: float
    calls: int

    @classmethod
    def of(cls, costs: Sequence[int]) -> Spread:
        """Of one cost a call."""
        return cls(int(np.median(costs)), min(costs), max(costs), float(np.mean(costs)), len(costs))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"median": self.median, "min": self.min, "max": self.max, "mean": round(self.mean, 1)}


@dataclass(frozen=True)
class Count:
    """What an agent costs on a core."""

    core: Core
    image: Image
    steps: tuple[Run, ...]
    """The calls that gave an action and did not begin an episode."""
    updates: tuple[Run, ...]
    """The calls that closed an episode."""

    @property
    def step(self) -> Spread:
        """Cost of a step, in the core's unit."""
        return Spread.of([run.cost for run in self.steps])

    @property
    def update(self) -> Spread:
        """Cost of the call that closes an episode: with preset edge, of the update."""
        return Spread.of([run.cost for run in self.updates])

    @property
    def step_instructions(self) -> Spread | None:
        """Instructions of a step; None on AVR, whose emulator tells cycles."""
        counts = [run.instruction_count for run in self.steps]
        return None if None in counts else Spread.of([count for count in counts if count is not None])

    @property
    def critic(self) -> float:
        """Mean cost of the critic in a step, with what it calls."""
        functions = self.functions(self.steps)
        return sum(each.inclusive for each in functions if each.name.startswith(CRITIC))

    def functions(self, runs: Sequence[Run]) -> list[FunctionCost]:
        """What each function takes of some calls."""
        return function_costs(runs, self.image.function_at, self.image.address_of)


def count_agent(core: Core, network: Network, kind: str = "int16") -> Count:
    """Build the agent, run it on the network's stream and count every call.

    Raises RunError where its weights are not those of the reference in the end: what is not right is not counted.
    """
    configuration = configuration_of(network, kind)
    stream = record_stream(network, kind)
    image = build(core, agent_sources(configuration, SEED), configuration.inputs)
    runs, crc = run_image(core, image, stream, STEP)
    if crc != stream.weights_crc32:
        raise RunError(
            f"{network.name} {kind} on {core.name}: the weights have CRC {crc:08x}, the reference's "
            f"{stream.weights_crc32:08x}; run the equivalence tests of the core"
        )
    return Count(core, image, *split(runs, stream))


def count_naive(core: Core, network: Network, kind: NaiveKind) -> Count:
    """The same of a naive agent, on the first steps of the same stream. It has no reference."""
    stream = record_stream(network, "int16", NAIVE_STEPS)
    inputs = network.layer_sizes[0]
    image = build(core, naive_sources(network, kind), inputs, naive_flags(core.id, kind))
    runs, _ = run_image(core, image, stream, NAIVE_STEP)
    return Count(core, image, *split(runs, stream))


def split(runs: Sequence[Run], stream: Stream) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The steps that are neither first nor last of their episode, and the calls that close one."""
    ends = stream.ends
    begins = np.concatenate([[True], ends[:-1]])
    steps = tuple(run for run, end, begin in zip(runs, ends, begins, strict=True) if not end and not begin)
    return steps, tuple(run for run, end in zip(runs, ends, strict=True) if end)


def run_image(core: Core, image: Image, stream: Stream, function: str) -> tuple[list[Run], int]:
    """Every call of a stream as a run, and the CRC-32 of the weights after the last."""
    if core.id == "avr":
        return run_on_avr(core, image, stream, function)
    machine = UnicornMachine(core, image)
    prices = _Prices(core, image)
    entry = image.address_of(function)
    runs = [prices.run(machine.call(stream, index, entry)) for index in range(len(stream))]
    return runs, machine.word("counted_crc32")


class _Prices:
    """Prices of the blocks of an image, each priced once."""

    def __init__(self, core: Core, image: Image) -> None:
        self._pricer = Pricer(core.id)
        self._image = image
        self._known: dict[int, tuple[int, int, int]] = {}

    def run(self, blocks: NDArray[np.uint32]) -> Run:
        addresses = blocks[:, 0].astype(np.int64)
        lengths = blocks[:, 1].astype(np.int64)
        keys, inverse = np.unique(addresses << 16 | lengths, return_inverse=True)
        prices = np.array([self._price(int(key)) for key in keys], np.int64)
        instructions, cycles, taken = prices[inverse].T
        following = np.append(addresses[1:], -1)
        costs = cycles + np.where(following == addresses + lengths, 0, taken)
        # A stream of a large network has tens of millions of blocks.
        return Run(blocks[:, 0].copy(), costs.astype(np.uint16), instructions.astype(np.uint16))

    def _price(self, key: int) -> tuple[int, int, int]:
        if key not in self._known:
            address, length = key >> 16, key & 0xFFFF
            price = self._pricer.price(address, self._image.code(address, length))
            self._known[key] = (price.instructions, price.cycles, price.taken)
        return self._known[key]
