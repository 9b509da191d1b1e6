"""What a core did, call by call, and what of it each function took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Run:
    """The blocks of instructions that ran in one call of what is counted, in order."""

    addresses: NDArray[np.uint32]
    """Where each block begins."""
    costs: NDArray[np.integer]
    """Cycles of each block; instructions where no cycles are known."""
    instructions: NDArray[np.integer] | None
    """Instructions of each block; None where they were not counted."""

    @property
    def cost(self) -> int:
        """Of the whole call."""
        return int(self.costs.sum(dtype=np.int64))

    @property
    def instruction_count(self) -> int | None:
        """Of the whole call."""
        return None if self.instructions is None else int(self.instructions.sum(dtype=np.int64))


@dataclass(frozen=True)
class FunctionCost:
    """What one function took, a call of what is counted."""

    name: str
    own: float
    """Mean, without the functions that it called."""
    inclusive: float
    """Mean, with them."""
    calls: float
    """Mean number of times that it was entered."""


def function_costs(
    runs: Sequence[Run], function_at: Callable[[int], str], address_of: Callable[[str], int]
) -> list[FunctionCost]:
    """The functions that were run, the most expensive first: means over the runs.

    Who called whom follows from the order of the blocks: a function that is not among those that are open was called
    by the last of them; one that is open was returned to.
    """
    own: dict[str, int] = {}
    inclusive: dict[str, int] = {}
    calls: dict[str, int] = {}
    names: dict[int, str] = {}
    entries: dict[str, int] = {}
    for run in runs:
        stack: list[str] = []
        for address, cost in zip(run.addresses.tolist(), run.costs.tolist(), strict=True):
            name = names.get(address)
            if name is None:
                name = names[address] = function_at(address)
                entries[name] = address_of(name)
            if not stack or stack[-1] != name:
                if name in stack:
                    while stack[-1] != name:
                        stack.pop()
                else:
                    stack.append(name)
                    calls[name] = calls.get(name, 0) + 1
            elif address == entries[name]:
                calls[name] += 1
            own[name] = own.get(name, 0) + cost
            for each in stack:
                inclusive[each] = inclusive.get(each, 0) + cost
    count = len(runs)
    table = [FunctionCost(name, own[name] / count, inclusive[name] / count, calls[name] / count) for name in own]
    return sorted(table, key=lambda each: -each.own)
