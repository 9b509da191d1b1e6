"""The record of a run: every call of `step`, so that the run can be repeated without its environment.

A file is a 28-byte header and then one entry a call, appended as the run goes on, all little-endian:

    header: 4 bytes "NRLR", u16 version 1, u16 inputs, u32 agent identity, u64 seed, u32 outputs,
            u32 CRC-32 of all before
    entry:  inputs x i16 observation, i32 reward, u8 flags (bit 0 terminated, bit 1 truncated), u8 action (255: none),
            outputs x i16, the numbers of a continuous action; outputs is 0 where actions are discrete
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError, RunError

TERMINATED, TRUNCATED = 1, 2
"""Bits of an entry's flags."""
NO_ACTION = 255
"""An entry's action where the call closed an episode."""

_MAGIC, _VERSION = b"NRLR", 1
_HEADER = struct.Struct("<4sHHIQI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
_FLUSH_BYTES = 1 << 20
_READ_ENTRIES = 1 << 16


@dataclass(frozen=True)
class RecordHeader:
    """Which run a record is of."""

    inputs: int
    identity: int
    """Identity of the agent (`AgentConfiguration.identity`)."""
    seed: int
    outputs: int = 0
    """Numbers of a continuous action; 0: actions are discrete."""

    def to_bytes(self) -> bytes:
        """The header as it stands in the file."""
        fields = _HEADER.pack(_MAGIC, _VERSION, self.inputs, self.identity, self.seed, self.outputs)
        return fields + _CRC.pack(zlib.crc32(fields))


def entry_dtype(inputs: int, outputs: int = 0) -> np.dtype[Any]:
    """The NumPy type of one entry: observation (inputs,) int16, reward int32, flags uint8, action uint8, and where
    there are some outputs (outputs,) int16; packed."""
    fields: list[Any] = [("observation", "<i2", (inputs,)), ("reward", "<i4"), ("flags", "u1"), ("action", "u1")]
    return np.dtype(fields + ([("outputs", "<i2", (outputs,))] if outputs else []))


class RecordWriter:
    """Appends to a record; it is a `StepObserver`. Made by `create` or `resume`."""

    def __init__(self, path: Path, header: RecordHeader) -> None:
        self.path = path
        self.header = header
        self._pack = struct.Struct(f"<{2 * header.inputs}siBB{2 * header.outputs}s").pack
        self._buffer = bytearray()
        self._observation_bytes = 2 * header.inputs
        self._file = path.open("ab", buffering=0)

    @classmethod
    def create(cls, path: Path, *, inputs: int, identity: int, seed: int, outputs: int = 0) -> RecordWriter:
        """Begin a new record. Raises ConfigurationError where the file exists or cannot be written."""
        header = RecordHeader(inputs, identity, seed, outputs)
        try:
            if path.exists():
                raise FileExistsError("it is there already")
            # The header is there as a whole or not at all: a run may be killed right here, and is then resumed.
            unfinished = path.with_suffix(".new")
            unfinished.write_bytes(header.to_bytes())
            unfinished.replace(path)
            return cls(path, header)
        except OSError as error:
            raise ConfigurationError(f"cannot begin the record {path}: {error}") from error

    @classmethod
    def resume(
        cls, path: Path, *, inputs: int, identity: int, seed: int, episodes: int, outputs: int = 0
    ) -> RecordWriter:
        """Go on with a record after its first `episodes` episodes; what follows them is removed.

        Raises ConfigurationError where it is the record of another run, or has fewer episodes.
        """
        header = read_record_header(path)
        if header != RecordHeader(inputs, identity, seed, outputs):
            raise ConfigurationError(f"{path} is the record of another run ({header}); resume the run it belongs to")
        truncate_record(path, episodes)
        return cls(path, header)

    def append(
        self, observation: NDArray[np.int16], reward: int, flags: int, action: int, outputs: bytes = b""
    ) -> None:
        """Add one call of step: (inputs,) int16, reward, TERMINATED | TRUNCATED, action or EPISODE_ENDED (-1).

        `outputs`: the numbers of a continuous action, int16 in Q12, little-endian.
        """
        data = observation.tobytes()
        if len(data) != self._observation_bytes:
            # struct would pad or cut it, and every entry after it would still look right.
            raise ValueError(f"an observation of {len(data)} bytes for a record of {self.header.inputs} inputs")
        if len(outputs) != 2 * self.header.outputs:
            raise ValueError(f"an action of {len(outputs)} bytes for a record of {self.header.outputs} numbers")
        self._buffer += self._pack(data, reward, flags, action & 0xFF, outputs)
        if flags or len(self._buffer) > _FLUSH_BYTES:
            self.flush()

    __call__ = append

    def flush(self, *, durable: bool = False) -> None:
        """Hand everything to the operating system; with `durable`, wait until it is on the disk. Raises RunError."""
        try:
            if self._buffer:
                view = memoryview(self._buffer)
                while view:
                    view = view[self._file.write(view) :]
                del view
                self._buffer = bytearray()
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"cannot write the record {self.path}: {error}. The disk may be full") from error

    def close(self) -> None:
        """Write what is left and close the file."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_record_header(path: Path) -> RecordHeader:
    """The header of a record. Raises ConfigurationError where there is none or it is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(HEADER_BYTES)
    except OSError as error:
        raise ConfigurationError(f"cannot read the record {path}: {error}") from error
    if len(data) < HEADER_BYTES or data[:4] != _MAGIC or zlib.crc32(data[:-4]) != _CRC.unpack(data[-4:])[0]:
        raise ConfigurationError(f"{path} is no record of steps, or its header is damaged; it cannot be replayed")
    _, version, inputs, identity, seed, outputs = _HEADER.unpack(data[:-4])
    if version != _VERSION:
        raise ConfigurationError(f"{path} has record version {version}; this nrl-edge reads version {_VERSION}")
    return RecordHeader(inputs, identity, seed, outputs)


def read_record(path: Path) -> NDArray[Any]:
    """All whole entries of a record, as a structured array of `entry_dtype`; a half-written last one is left out.

    Raises ConfigurationError where the file is no record.
    """
    header = read_record_header(path)
    dtype = entry_dtype(header.inputs, header.outputs)
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        data = file.read()
    return np.frombuffer(data, dtype, count=len(data) // dtype.itemsize)


def truncate_record(path: Path, episodes: int) -> None:
    """Cut a record off after its first `episodes` episodes. Raises ConfigurationError where it has fewer."""
    size = bytes_of_episodes(path, episodes)
    if size is None:
        raise ConfigurationError(f"{path} holds fewer than {episodes} episodes; the record is damaged")
    os.truncate(path, size)


def bytes_of_episodes(path: Path, episodes: int) -> int | None:
    """Size of a record's header and first `episodes` episodes, or None where it has fewer."""
    if episodes == 0:
        return HEADER_BYTES
    header = read_record_header(path)
    dtype = entry_dtype(header.inputs, header.outputs)
    seen, before = 0, 0
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        while chunk := file.read(_READ_ENTRIES * dtype.itemsize):
            entries = np.frombuffer(chunk, dtype, count=len(chunk) // dtype.itemsize)
            ends = np.flatnonzero(entries["flags"] & (TERMINATED | TRUNCATED))
            if seen + len(ends) >= episodes:
                return HEADER_BYTES + (before + int(ends[episodes - seen - 1]) + 1) * dtype.itemsize
            seen += len(ends)
            before += len(entries)
    return None
