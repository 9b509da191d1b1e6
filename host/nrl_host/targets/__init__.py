"""Where firmware runs: one class for each kind of place, all with the same interface."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class Target(Protocol):
    """A place where firmware runs, reachable over a link. A context manager: running inside, stopped outside."""

    @property
    def url(self) -> str:
        """The port to open with `nrl_host.link.Link`, valid while the target runs."""
        ...

    def start(self) -> None:
        """Start the firmware. Raises DeviceError where it does not start."""
        ...

    def stop(self) -> None:
        """Stop the firmware. Stopping twice is fine."""
        ...

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
