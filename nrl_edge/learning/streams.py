"""The random numbers of B agents: each from a generator of its own, drawn ahead in blocks so that a step is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_STEPS = 256

_EIGHT_SIGNS: NDArray[np.int64] = (
    (2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int8) - 1).view(np.int64).reshape(-1)
)
"""The eight signs of a byte, its highest bit first, as the int8 numbers that an int64 holds."""


def agent_generator(seed: int) -> np.random.Generator:
    """The one generator that an agent's weights, noise and actions come from."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


class RandomStreams:
    """Each step: noise of mean 0 and variance 1 for `units` units, and one uniform number of [0, 1) for the action, or,
    for continuous ones, a normally distributed number for each of `outputs`.

    An agent's numbers depend on its own generator only, which is drawn from in blocks of `BLOCK_STEPS` steps: the noise
    of the block, then its uniform numbers.
    """

    def __init__(
        self,
        generators: Sequence[np.random.Generator],
        units: int,
        kind: Literal["sign", "gaussian"],
        outputs: int = 0,
    ) -> None:
        self._generators = list(generators)
        self._units = units
        self._kind = kind
        batch = len(self._generators)
        # Signs wait as int8: a block of them is an eighth of its float64 form.
        self._noise: NDArray[Any] = np.empty(
            (BLOCK_STEPS, batch, units), dtype=np.int8 if kind == "sign" else np.float64
        )
        self._outputs = outputs
        self._uniform: Floats = np.empty((BLOCK_STEPS, batch, outputs) if outputs else (BLOCK_STEPS, batch))
        self._step = BLOCK_STEPS

    def next(self) -> tuple[Floats, Floats]:
        """Noise (B, units) and uniform numbers (B,), or normal ones (B, outputs), of the next step."""
        if self._step == BLOCK_STEPS:
            self._refill()
        step = self._step
        self._step += 1
        return self._noise[step].astype(np.float64), self._uniform[step]

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Go on with these agents only, in this order."""
        self._generators = [self._generators[row] for row in rows]
        self._noise = np.ascontiguousarray(self._noise[:, rows])
        self._uniform = np.ascontiguousarray(self._uniform[:, rows])

    def _refill(self) -> None:
        for row, generator in enumerate(self._generators):
            if self._kind == "gaussian":
                self._noise[:, row] = generator.standard_normal((BLOCK_STEPS, self._units))
            elif self._units:
                # The bytes that generator.bytes gives, which takes whole words too: a block has 32 bytes a unit.
                words: NDArray[np.uint64] = generator.bit_generator.random_raw(BLOCK_STEPS // 64 * self._units)
                signs = _EIGHT_SIGNS[words.astype("<u8", copy=False).view(np.uint8)]
                self._noise[:, row] = signs.view(np.int8).reshape(BLOCK_STEPS, self._units)
            if self._outputs:
                self._uniform[:, row] = generator.standard_normal((BLOCK_STEPS, self._outputs))
            else:
                self._uniform[:, row] = generator.random(BLOCK_STEPS)
        self._step = 0
