"""Property tests draw the same examples every time; NRL_EDGE_FRESH_EXAMPLES=1 draws new ones.

pytest puts this folder on the path because of this file, for `from tools import ...`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fresh" if os.environ.get("NRL_EDGE_FRESH_EXAMPLES") == "1" else "repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests come first; of the slow ones, those that wait for a line rather than compute."""
    items.sort(key=lambda item: (item.get_closest_marker("slow") is not None, item.get_closest_marker("waits") is None))
