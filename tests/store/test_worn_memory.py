"""The weight store on memory that is worn out, refuses, or holds what others left: no image is lost, none returns."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nrl_edge.codegen.store import store_settings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from tests.store.test_power_cut import SMALL, TINY, board_with, build


@pytest.mark.parametrize(
    ("configuration", "page_bytes", "word_bytes", "images"),
    [
        pytest.param(SMALL, 128, 4, 1, id="a-page-an-image"),
        pytest.param(SMALL, 64, 4, 1, id="two-pages-an-image"),
        pytest.param(SMALL, 256, 8, 2, id="two-images-a-page-double-words"),
        pytest.param(TINY, 384, 4, 3, id="three-images-a-page-tiny"),
    ],
)
def test_memory_that_fails_costs_no_image(
    configuration: AgentConfiguration, page_bytes: int, word_bytes: int, images: int, tmp_path: Path
) -> None:
    board = board_with(page_bytes, word_bytes)
    settings = store_settings(configuration, board, 1)
    assert settings is not None and settings.images == images
    program = build(configuration, board, tmp_path, harness="wear.c")
    result = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
