"""A study small enough to be run in a second or two, and what its tests look at."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from nrl_edge.study import Study, parse_study

SMALL = """
[study]
name = "small"
seeds = "100:104"
[base.task]
id = "CartPole-v1"
threshold = 21
observation_scale = [1, 1, 8, 1]
[base.learning]
learning_rate = "2^-14"
clip = 0.5
episodes = 101
[base.network]
hidden = [4]
[[variant]]
label = "int16"
[[variant]]
label = "float64"
arithmetic.kind = "float64"
[[variant]]
label = "REINFORCE"
arithmetic.kind = "float64"
learning.rule = "reinforce"
"""


def small_study(**replacements: str) -> Study:
    """The study with some lines replaced: `seeds='"1:3"'` sets the line that begins with `seeds`."""
    lines = [
        next((f"{key} = {value}" for key, value in replacements.items() if line.startswith(f"{key} =")), line)
        for line in SMALL.splitlines()
    ]
    return parse_study("\n".join(lines))


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows but for what differs from run to run."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
