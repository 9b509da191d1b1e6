"""The raw noise of a run on hardware: what makes it repeatable.

    noise.bin   the bytes that the agent drew, in order, from its initial weights on
    noise.csv   a line an episode: episodes finished, bytes of noise.bin by then; first line 0 for the initial weights

A line is written after the bytes that it counts, so the last whole line is never ahead of the bytes. Bytes that were
lost on the way are told by a file `noise.lost`: a run with holes in its noise is not taken for a whole one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from nrl_edge.errors import ConfigurationError, RunError

_BYTES, _POSITIONS, _LOST = "noise.bin", "noise.csv", "noise.lost"


class NoiseFile:
    """Appends to the noise of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with ExitStack() as opened:
            try:
                # Unbuffered, so that a line of the second file is never ahead of the first.
                self._bytes = opened.enter_context((folder / _BYTES).open("ab", buffering=0))
                self._positions = opened.enter_context((folder / _POSITIONS).open("ab", buffering=0))
            except OSError as error:
                raise self._not_written(error) from error
            opened.pop_all()

    def add(self, episodes: int, noise: bytes | None) -> None:
        """Add the bytes drawn since the last call, `episodes` being finished; None: they are lost. Raises RunError."""
        try:
            if noise is None:
                (self._folder / _LOST).touch()
                return
            view = memoryview(noise)
            while view:
                view = view[self._bytes.write(view) :]
            self._positions.write(f"{episodes},{self._bytes.tell()}\n".encode("ascii"))
        except OSError as error:
            raise self._not_written(error) from error

    def flush(self, *, durable: bool = False) -> None:
        """With `durable`, wait until everything is on the disk. Raises RunError."""
        try:
            if durable:
                os.fsync(self._bytes.fileno())
                os.fsync(self._positions.fileno())
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> RunError:
        return RunError(f"cannot write the noise of the run {self._folder}: {error}. The disk may be full")

    def close(self) -> None:
        """Close both files."""
        self._bytes.close()
        self._positions.close()


def _positions(folder: Path) -> list[tuple[int, int]]:
    """(episodes, bytes) of every whole line."""
    found = []
    try:
        for line in (folder / _POSITIONS).read_bytes().split(b"\n")[:-1]:
            episodes, position = line.split(b",")
            found.append((int(episodes), int(position)))
    except ValueError:
        pass  # what follows a damaged line is as good as not there
    except OSError as error:
        raise ConfigurationError(f"{folder / _POSITIONS} cannot be read: {error}; the run is damaged") from error
    return found


def _bytes_by(folder: Path, episodes: int) -> int | None:
    """Bytes by the end of so many episodes; None where they are not all there."""
    size = (folder / _BYTES).stat().st_size
    return next((place for done, place in _positions(folder) if done == episodes and place <= size), None)


def noise_holds(folder: Path, episodes: int) -> bool:
    """Whether the noise of so many episodes is there, or the run has none to be there, or none that is of use."""
    return (
        episodes == 0
        or not (folder / _BYTES).exists()
        or (folder / _LOST).exists()
        or _bytes_by(folder, episodes) is not None
    )


def cut_noise(folder: Path, episodes: int) -> None:
    """Cut the noise back to so many episodes; of none, nothing is left: fresh weights draw anew.

    Of a run that has lost some of its noise, what was kept by then is left, and that it is not all.
    """
    if not (folder / _BYTES).exists():
        return
    if episodes == 0:
        for name in (_BYTES, _POSITIONS, _LOST):
            (folder / name).unlink(missing_ok=True)
        return
    kept = [f"{done},{place}\n" for done, place in _positions(folder) if done <= episodes]
    size = _bytes_by(folder, episodes)
    if size is not None:
        os.truncate(folder / _BYTES, size)
    # Cut and not written anew: it would be empty for a moment, and a run that is killed then would begin from nothing.
    os.truncate(folder / _POSITIONS, sum(map(len, kept)))


def read_noise(folder: Path) -> bytes:
    """All bytes of a run's noise. Raises ConfigurationError where there are none, or not all."""
    if (folder / _LOST).exists():
        raise ConfigurationError(
            f"{folder}: some of the noise of this run was lost, as the device's log was too small for this agent; the "
            "run cannot be repeated. A smaller network, or a board with more memory, can be recorded"
        )
    try:
        noise = (folder / _BYTES).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{folder} holds no recorded noise ({error}), so it cannot be repeated") from error
    positions = _positions(folder)
    if not positions or positions[-1][1] > len(noise):
        raise ConfigurationError(f"{folder / _BYTES} is shorter than {_POSITIONS} says; the run is damaged")
    return noise[: positions[-1][1]]
