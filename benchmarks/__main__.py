"""`python -m benchmarks [--json] [--quick]`: every ratio, one after the other."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from benchmarks.comparison import Comparison, OnPair
from benchmarks.link import compare_link, compare_paced
from benchmarks.lockstep import compare_lock_step
from benchmarks.training import compare_training
from nrl_edge.errors import NrlError
from nrl_edge.native.compiler import find_c_compiler


@dataclass(frozen=True)
class Size:
    """How many pairs are measured of each kind, and how much on one side of one pair."""

    lock_step_pairs: int
    lock_step_episodes: int
    training_pairs: int
    training_steps: int
    """Steps an agent."""
    link_pairs: int
    round_trips: int


FULL = Size(25, 120, 9, 20_000, 25, 500)
QUICK = Size(5, 10, 5, 200, 5, 200)
"""Shows that everything runs; its figures say little."""


def comparisons(size: Size, on_pair: OnPair) -> Iterator[Comparison]:
    yield from compare_lock_step(size.lock_step_episodes, size.lock_step_pairs, on_pair)
    yield compare_training("cartpole", size.training_steps, size.training_pairs, on_pair)
    yield compare_link("tcp", size.round_trips, size.link_pairs, on_pair)
    yield compare_link("pty", size.round_trips, size.link_pairs, on_pair)
    yield compare_paced(size.round_trips, size.link_pairs, on_pair)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
        "compiler": find_c_compiler().version.splitlines()[0],
    }


class Progress:
    """One line on a terminal that says what is being measured; nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._name = ""
        self._pairs = 0

    def __call__(self, name: str) -> None:
        """One more pair of `name` is done."""
        self._pairs = self._pairs + 1 if name == self._name else 1
        self._name = name
        self._write(f"{name}: {self._pairs} pairs")

    def clear(self) -> None:
        """Make room for a result."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios of speed; see docs/benchmarks.md."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line; the machine comes last")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that everything runs")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    progress = Progress()
    try:
        about = machine()
        for comparison in comparisons(size, progress):
            progress.clear()
            print(json.dumps(comparison.as_dict()) if arguments.json else comparison.as_text(), flush=True)
    except NrlError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps({"quick": arguments.quick, "machine": about}))
    else:
        print(", ".join(f"{name} {value}" for name, value in about.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
