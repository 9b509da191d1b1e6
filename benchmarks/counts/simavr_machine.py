"""Runs a counted image on an AVR chip of libsimavr, which counts cycles."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.counts.build import AVR_LAST_BYTE_OF_RAM, HERE, Image
from benchmarks.counts.cores import Core
from benchmarks.counts.networks import Stream, call_bytes
from benchmarks.counts.trace import Run
from nrl_edge.errors import MissingToolError, RunError
from nrl_edge.native.compiler import build_cached

_DATA_OFFSET = 0x800000
"""Where avr-gcc's linker puts RAM."""


def _build_harness() -> Path:
    source = (HERE / "simavr_count.c").read_text(encoding="utf-8")
    try:
        return build_cached(
            {"simavr_count.c": source}, "simavr-count", extra_flags=("-w",), libraries=("-lsimavr", "-lelf")
        )
    except RunError as error:
        raise MissingToolError(
            "AVR cycles come from libsimavr, and a program with it could not be built; install it, on Debian and "
            f"Ubuntu with: apt-get install libsimavr-dev libelf-dev ({str(error).splitlines()[-1]})"
        ) from error


def run_on_avr(core: Core, image: Image, stream: Stream, function: str) -> tuple[list[Run], int]:
    """Every call of a stream as a run, and the CRC-32 of the weights after the last."""
    calls = [call_bytes(stream, index) for index in range(len(stream))]
    chip = shlex.split(core.board.emulator or "")[-1]
    with tempfile.TemporaryDirectory() as folder:
        stream_file, log_file = Path(folder) / "stream", Path(folder) / "log"
        stream_file.write_bytes(b"".join(calls))
        numbers = (
            image.address_of("counted_next"),
            image.variables["counted_input"].address - _DATA_OFFSET,
            len(calls[0]),
            image.variables["counted_crc32"].address - _DATA_OFFSET,
            image.address_of(function),
            AVR_LAST_BYTE_OF_RAM,
        )
        done = subprocess.run(
            [_build_harness(), chip, image.path, stream_file, log_file, *map(str, numbers)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RunError(f"{image.path.name} on {chip}: {done.stderr.strip()}")
        log = np.fromfile(log_file, np.uint32)
    runs, place = [], 0
    while place < len(log):
        count = int(log[place])
        blocks = log[place + 1 : place + 1 + 2 * count].reshape(count, 2)
        runs.append(Run(blocks[:, 0], blocks[:, 1], None))
        place += 1 + 2 * count
    return runs, int(done.stdout)
