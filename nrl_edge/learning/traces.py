"""Eligibility traces of B agents, kept as factors for a while before they are multiplied out.

Every rule here adds to the trace of a layer, each step, an outer product post x pre of a vector over its units and a
vector over its inputs. The factors of a block of steps are stored and added with one matrix product, which is
the same sum for a fraction of the memory traffic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.intp] | slice


class EligibilityTraces:
    """Traces e_l (B, n_l, n_(l-1)) of every layer, as sums of outer products."""

    def __init__(self, sizes: Sequence[int], batch: int, block_steps: int = 32) -> None:
        self._block_steps = block_steps
        # Factors of a step lie together, (steps, B, units): written with agents apart by a whole block each, they would
        # take one page of memory an agent.
        self._slot = 0
        self._written = 0
        """Slots that were written in this block; those behind still hold the block before."""
        layers = range(1, len(sizes))
        self._post: list[Floats] = [np.zeros((block_steps, batch, sizes[layer])) for layer in layers]
        self._pre: list[Floats] = [np.zeros((block_steps, batch, sizes[layer - 1])) for layer in layers]
        self._sums: list[Floats] = [np.zeros((batch, sizes[layer], sizes[layer - 1])) for layer in layers]

    def record(self, layer: int, post: Floats, pre: Floats) -> None:
        """Add outer(post (B, n_l), pre (B, n_(l-1))) of the present step to the trace of layer 0, 1, ..."""
        self._post[layer][self._slot] = post
        self._pre[layer][self._slot] = pre
        self._written = self._slot + 1

    def record_scaled(self, layer: int, post: Floats, pre: Floats, factor: Floats) -> None:
        """`record` with `pre` times a factor (B, 1), written where it stays."""
        self._post[layer][self._slot] = post
        np.multiply(factor, pre, out=self._pre[layer][self._slot])
        self._written = self._slot + 1

    def advance(self) -> None:
        """Close the present step. Call it once a step, after `take`."""
        self._slot += 1
        if self._slot == self._block_steps:
            for post, pre, sums in zip(self._post, self._pre, self._sums, strict=True):
                sums += np.matmul(post.transpose(1, 2, 0), pre.transpose(1, 0, 2))
            self._slot = self._written = 0

    def take(self, rows: Rows) -> list[Floats]:
        """Return the traces of these agents, the present step included, and start them again at zero."""
        taken = []
        for post, pre, sums in zip(self._post, self._pre, self._sums, strict=True):
            # Always the whole block, its unused slots being zero: so a product's shape, and with it its rounding,
            # does not depend on when the other agents' episodes end.
            pre[self._written :, rows] = 0.0
            taken.append(sums[rows] + np.matmul(post[:, rows].transpose(1, 2, 0), pre[:, rows].transpose(1, 0, 2)))
            sums[rows] = 0.0
            pre[:, rows] = 0.0
        return taken

    def take_one(self, row: int) -> list[Floats]:
        """`take` of a single agent, (n_l, n_(l-1)) each: a third of the calls, and no copies."""
        taken = []
        for posts, pres, sums in zip(self._post, self._pre, self._sums, strict=True):
            pre, own = pres[:, row], sums[row]
            pre[self._written :] = 0.0
            trace = posts[:, row].T @ pre
            trace += own
            taken.append(trace)
            own[...] = 0.0
            pre[...] = 0.0
        return taken

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        self._post = [post[:, rows] for post in self._post]
        self._pre = [pre[:, rows] for pre in self._pre]
        self._sums = [sums[rows] for sums in self._sums]
