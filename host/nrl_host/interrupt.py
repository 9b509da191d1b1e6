"""Ctrl-C that loses nothing: the first finishes the episode and saves, the second stops at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType


class GracefulStop:
    """Context manager around a run: the first SIGINT or SIGTERM makes `requested` True, a second SIGINT interrupts.

    `notice` is shown at the first: an episode, and so the answer to Ctrl-C, may take long.
    """

    def __init__(self, notice: str = "") -> None:
        self.requested = False
        self._notice = notice
        self._previous: dict[int, object] = {}

    def __call__(self) -> bool:
        """Whether the run was asked to stop at its next episode's end."""
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._notice and not self.requested and sys.__stderr__ is not None:
            # Past all buffers and locks, which whatever was interrupted may hold.
            os.write(sys.__stderr__.fileno(), f"\nnrl-edge: {self._notice}\n".encode())
        self.requested = True

    def __enter__(self) -> GracefulStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
