"""How long a reply takes, and so when a request is given up and sent again: the retransmission timer of RFC 6298."""

from __future__ import annotations

import math

SHORTEST_PATIENCE_SECONDS = 0.0002
"""Below this a wait is mostly that of the two schedulers."""


class RoundTripTime:
    """An estimate of the round trip time: its smoothed mean and mean deviation, with the RFC's gains of 1/8 and 1/4.

    Only requests that were answered at once are to be observed: which of several copies a late reply answers cannot be
    told (Karn's rule).
    """

    def __init__(self, longest_patience: float) -> None:
        self._longest = longest_patience
        self._mean = longest_patience / 16.0
        self._deviation = self._mean / 2.0
        self._observed = False

    def observe(self, seconds: float) -> None:
        """A request was answered after so long."""
        if not self._observed:
            self._observed = True
            self._mean, self._deviation = seconds, seconds / 2.0
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4.0
        self._mean += (seconds - self._mean) / 8.0

    def patience(self, attempt: int) -> float:
        """Seconds to wait for a reply to attempt 0, 1, ...: more and more, as the device may just be slow.

        Twice as long every fourth time, not every time: frames are lost one by one here, and nobody else's are in the
        way.
        """
        first = max(SHORTEST_PATIENCE_SECONDS, self._mean + 4.0 * self._deviation)
        return min(first * math.pow(2.0, min(attempt, 100) / 4.0), self._longest)
