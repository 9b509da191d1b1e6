"""Reads a growing CSV file piece by piece, and notices when it was cut back."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO

_PIECE_BYTES = 1 << 22
"""Read at once at most, so that a long file does not take all memory."""


class CsvTail:
    """Whole lines of a CSV file that somebody else appends to, each handed out once.

    A file that is shorter than what was read, or another one under its name, was cut back, as a resumed run does it:
    it is then read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: tuple[str, ...] = ()
        """Of the first line; empty while there is none."""
        self._position = 0
        self._inode = 0
        self._last_line = b""

    def read(self) -> tuple[bool, list[dict[str, str]]]:
        """(whether the file was cut back, rows that are new). Rows with too few or too many fields are left out."""
        try:
            with self.path.open("rb") as file:
                again = self._was_cut_back(file)
                if again:
                    self._start_anew()
                file.seek(self._position)
                rows: list[dict[str, str]] = []
                while piece := file.read(_PIECE_BYTES):
                    end = piece.rfind(b"\n") + 1
                    if end == 0:
                        break
                    rows += self._rows(piece[:end])
                    self._position += end
                    self._last_line = piece[:end].rsplit(b"\n", 2)[-2] + b"\n"
                    file.seek(self._position)
                return again, rows
        except OSError:
            # Not there yet, or not any more: a run is looked at, and not ours to judge.
            again = self._position > 0
            self._start_anew()
            return again, []

    def _was_cut_back(self, file: IO[bytes]) -> bool:
        if self._position == 0:
            return False
        # What was read last has to be still there: a run that was cut back may have grown past it again.
        start = self._position - len(self._last_line)
        file.seek(start)
        return file.read(len(self._last_line)) != self._last_line

    def _start_anew(self) -> None:
        self.columns, self._position, self._last_line = (), 0, b""

    def _rows(self, data: bytes) -> list[dict[str, str]]:
        lines = list(csv.reader(data.decode("utf-8", "replace").splitlines()))
        if not self.columns and lines:
            self.columns = tuple(lines.pop(0))
        return [dict(zip(self.columns, line, strict=True)) for line in lines if len(line) == len(self.columns)]
