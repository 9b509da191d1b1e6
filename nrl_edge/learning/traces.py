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
        self._slot = 0
        layers = range(1, len(sizes))
        self._post: list[Floats] = [np.zeros((batch, block_steps, sizes[layer])) for layer in layers]
        self._pre: list[Floats] = [np.zeros((batch, block_steps, sizes[layer - 1])) for layer in layers]
        self._sums: list[Floats] = [np.zeros((batch, sizes[layer], sizes[layer - 1])) for layer in layers]

    def record(self, layer: int, post: Floats, pre: Floats) -> None:
        """Add outer(post (B, n_l), pre (B, n_(l-1))) of the present step to the trace of layer 0, 1, ..."""
        self._post[layer][:, self._slot] = post
        self._pre[layer][:, self._slot] = pre

    def advance(self) -> None:
        """Close the present step. Call it once a step, after `take`."""
        self._slot += 1
        if self._slot == self._block_steps:
            for post, pre, sums in zip(self._post, self._pre, self._sums, strict=True):
                sums += np.matmul(post.transpose(0, 2, 1), pre)
                pre[:] = 0.0
            self._slot = 0

    def take(self, rows: Rows) -> list[Floats]:
        """Return the traces of these agents, the present step included, and start them again at zero."""
        taken = []
        for post, pre, sums in zip(self._post, self._pre, self._sums, strict=True):
            # Always the whole block, its unused slots being zero: so a product's shape, and with it its rounding,
            # does not depend on when the other agents' episodes end.
            taken.append(sums[rows] + np.matmul(post[rows].transpose(0, 2, 1), pre[rows]))
            sums[rows] = 0.0
            pre[rows] = 0.0
        return taken

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        self._post = [post[rows] for post in self._post]
        self._pre = [pre[rows] for pre in self._pre]
        self._sums = [sums[rows] for sums in self._sums]
