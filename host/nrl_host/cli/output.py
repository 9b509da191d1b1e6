"""How every verb talks: text and progress bars for a person, one JSON object a line for a program.

With --json, standard output carries JSON lines only, the last of which is the result; with --quiet, only the result.
Progress bars appear on a terminal only, and on standard error, so that standard output can always be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class ProgressBar(Protocol):
    """A running progress bar."""

    def update(self, completed: float, note: str, total: int | None = None) -> None:
        """Show that `completed` units are done, with a short note; `total` where it was not known before.

        Parts of a unit move the bar and its time, not the count beside it.
        """
        ...


class _HiddenBar:
    def update(self, completed: float, note: str, total: int | None = None) -> None:
        """Nothing is shown."""


class _TerminalBar:
    def __init__(self, progress: Progress, total: int, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, note="")

    def update(self, completed: float, note: str, total: int | None = None) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=completed, note=note, total=total)


class Output:
    """Where a verb's messages, tables and results go."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        # Paths and names of devices are text, whatever brackets and colons they have.
        self.console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._progress_console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """A message for a person."""
        if not self.as_json and not self.quiet:
            self.console.print(text)

    def warn(self, text: str) -> None:
        """What a person has to know while the work goes on: on standard error, whatever the verbosity."""
        self._progress_console.print(f"nrl-edge: {text}", soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table for a person."""
        if not self.as_json:
            self.console.print(table)

    def line(self, record: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own; nothing without --json."""
        if self.as_json:
            print(json.dumps(record), flush=True)

    def result(self, record: Mapping[str, Any], text: str = "") -> None:
        """The result, as the last line: `record` with --json, else `text`."""
        if self.as_json:
            self.line(record)
        elif text:
            self.console.print(text)

    @contextmanager
    def progress(self, total: int, label: str) -> Iterator[ProgressBar]:
        """A progress bar of `total` units where standard error is a terminal and nothing asked for quiet."""
        if self.as_json or self.quiet or not sys.stderr.isatty():
            yield _HiddenBar()
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._progress_console) as progress:
            yield _TerminalBar(progress, total, label)
