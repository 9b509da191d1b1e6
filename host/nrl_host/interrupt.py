"""Ctrl-C that loses nothing: the first finishes the episode and saves, the second stops at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class GracefulStop:
    """Context manager around a run: the first SIGINT or SIGTERM makes `requested` True, a second SIGINT interrupts."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, object] = {}

    def __call__(self) -> bool:
        """Whether the run was asked to stop at its next episode's end."""
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
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
