"""Sources of random bits for modelled chips, well or sick."""

from __future__ import annotations

import random

KINDS = ("healthy", "zero", "one", "period2", "bias60", "dead", "error")
"""What a generator can be: see BitSource."""


class BitSource:
    """The bits that a chip's random number generator reads.

    `kind` is one of KINDS: `healthy`; `zero` and `one`, stuck; `period2`, alternating; `bias60`, 60% ones; `dead`,
    never ready; `error`, ready, but reporting that its noise is wrong. With `@N` behind it the source is healthy for
    its first N bits: `one@60000`. `share_of_ones` and `repeats` (the chance that a bit is as the one before, whatever
    it would be) say what healthy is. Equal seeds give equal bits. Raises ValueError for another kind.
    """

    def __init__(self, kind: str, seed: int, *, share_of_ones: float = 0.5, repeats: float = 0.0) -> None:
        self._sick, _, begin = kind.partition("@")
        if self._sick not in KINDS or (begin and not begin.isdecimal()):
            raise ValueError(f"generator {kind!r}: {', '.join(KINDS)} are known, and KIND@N: sick from bit N on")
        self._begin = int(begin) if begin else 0
        self._random = random.Random(seed)
        self._share_of_ones, self._repeats = share_of_ones, repeats
        self._last = 0
        self.read = 0
        """Bits given so far."""

    @property
    def kind(self) -> str:
        """What it is by now."""
        return self._sick if self.read >= self._begin else "healthy"

    @property
    def is_running(self) -> bool:
        """Whether it gives bits at all."""
        return self.kind != "dead"

    @property
    def reports_error(self) -> bool:
        """Whether it says that its noise is wrong."""
        return self.kind == "error"

    def bit(self) -> int:
        """The next bit."""
        kind = self.kind
        self.read += 1
        drawn = self._random.random()
        if kind in ("healthy", "error"):
            bit = self._last if drawn < self._repeats else int(self._random.random() < self._share_of_ones)
        else:
            bit = {"zero": 0, "one": 1, "dead": 0, "period2": 1 - self._last, "bias60": int(drawn < 0.6)}[kind]
        self._last = bit
        return bit

    def word(self) -> int:
        """The next 32 bits, the first as the lowest."""
        return sum(self.bit() << place for place in range(32))
