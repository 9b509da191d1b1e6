"""Property tests draw the same examples every time; NRL_EDGE_FRESH_EXAMPLES=1 draws new ones.

pytest puts this folder on the path because of this file, for `from tools import ...`.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fresh" if os.environ.get("NRL_EDGE_FRESH_EXAMPLES") == "1" else "repeatable")
