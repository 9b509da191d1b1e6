"""The folder of a study: one file a finished cell, so that a killed study loses nothing and doubles nothing.

study.toml                                the study file as it was last run
cells/<label>-<identity>/seed_<seed>.npz  returns and lengths of every episode, and what else is known of the cell
results.csv                               one row a cell, made anew from the cells each time
summary.csv, *.svg                        statistics and plots
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nrl_edge.errors import ConfigurationError
from nrl_edge.runs.files import write_atomically
from nrl_edge.runs.lock import FolderBusyError, FolderLock
from nrl_edge.study.cells import CellResult
from nrl_edge.study.definition import Study, Variant

STUDY_FILE = "study.toml"
CELLS = "cells"


def _was_begun(path: Path) -> bool:
    """Whether a folder is empty, but for what a study leaves that a full disk or a kill ended before its first file."""
    return all(
        each.name == f".{STUDY_FILE}.tmp" or (each.name == CELLS and each.is_dir() and not any(each.iterdir()))
        for each in path.iterdir()
    )


class StudyFolder:
    """The folder of one study; a context manager that keeps other processes from writing into it meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FolderLock | None = None

    @classmethod
    def open(cls, path: Path, study: Study) -> StudyFolder:
        """Begin a folder, or go on with one. Raises ConfigurationError where it holds something else."""
        folder = cls(path)
        if path.exists() and not (path.is_dir() and ((path / STUDY_FILE).exists() or _was_begun(path))):
            raise ConfigurationError(f"{path} holds something that is no study; name another folder with --output")
        try:
            (path / CELLS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make the study's folder {path}: {error}") from error
        folder._take()
        write_atomically(path / STUDY_FILE, study.text.encode())
        return folder

    def _take(self) -> None:
        try:
            self._lock = FolderLock(self.path / CELLS)
        except FolderBusyError:
            raise ConfigurationError(
                f"another nrl-edge is running a study in {self.path}; wait for it, or name another --output"
            ) from None

    def close(self) -> None:
        """Let others write into the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> StudyFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def cell_path(self, variant: Variant, seed: int) -> Path:
        """Where the result of a cell is kept."""
        label = re.sub(r"[^a-z0-9]+", "-", variant.name.lower()).strip("-")[:80]
        return self.path / CELLS / f"{label}-{variant.identity}" / f"seed_{seed}.npz"

    def save(self, variant: Variant, result: CellResult) -> None:
        """Keep a finished cell; it is whole or absent whenever the power goes."""
        path = self.cell_path(variant, result.seed)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, result.to_bytes())

    def load(self, variant: Variant, seed: int) -> CellResult | None:
        """A finished cell; None where there is none, or its file is damaged and has to be made again."""
        try:
            result = CellResult.from_bytes(self.cell_path(variant, seed).read_bytes())
        except (OSError, ValueError):
            return None
        return result if (result.identity, result.seed) == (variant.identity, seed) else None

    def cells(self, study: Study) -> Iterator[tuple[Variant, CellResult]]:
        """All finished cells of a study, in its order."""
        for variant in study.variants:
            for seed in study.seeds:
                result = self.load(variant, seed)
                if result is not None:
                    yield variant, result
