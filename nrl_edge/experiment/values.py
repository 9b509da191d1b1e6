"""Values of an experiment that can also be given without a file, on a command line: what of each is allowed.

`load.py` reads them from files, and `schema.py` checks with them what takes a file's place.
"""

from __future__ import annotations

from nrl_edge.boards import load_boards
from nrl_edge.strict_toml import Table

MAX_SEED = (1 << 64) - 1
MAX_EPISODES = 100_000_000


def read_seed(table: Table, default: int | None = None) -> int:
    """`seed` of [entropy] or [task]. Raises ConfigurationError, as all of these do."""
    return table.integer("seed", 0, MAX_SEED, default, high_text="2^64 - 1")


def read_episodes(table: Table, default: int | None = None) -> int:
    """`episodes` of [learning]."""
    return table.integer("episodes", 1, MAX_EPISODES, default)


def read_board(table: Table, default: str | None = None) -> str:
    """`id` of [board]."""
    return table.choice("id", [board.id for board in load_boards()], default)
