"""Four traces of 8 bits in a word, on cores that have such words: every trace, kind of change and sign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.counts.build import agent_sources, build
from benchmarks.counts.cores import CORES, find_core
from benchmarks.counts.measure import run_image
from benchmarks.counts.networks import Stream
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from tests.tools import require_board

HERE = Path(__file__).parent

CHANGES = (-128, -127, -1, 0, 1, 127, 126, 5)
VARIANTS = (0, 1, 2, 3)


@pytest.mark.parametrize("core_id", [core.id for core in CORES if core.id != "avr"])
def test_four_traces_saturate_as_one_by_one(core_id: str) -> None:
    core, configuration = find_core(core_id), AgentConfiguration(4, (16,), 2, Formats(8, 10, 5, 0, 8))
    require_board(core.board_id)
    sources = agent_sources(configuration, 0)
    sources["agent.c"] = (HERE / "harness" / "quads.c").read_text(encoding="utf-8")
    image = build(core, sources, configuration.inputs)
    # Neighbours in a word are of every kind, too: a carry that left its byte would be seen.
    changes = [[CHANGES[(first + step * j) % 8] for j in range(4)] for first in range(8) for step in (0, 1, 3)]
    observations = np.repeat(np.array(changes, np.int16), len(VARIANTS), axis=0)
    variants = np.tile(np.array(VARIANTS, np.int32), len(changes))
    stream = Stream(observations, variants, np.zeros(len(variants), np.uint8), 0)
    _, saturated = run_image(core, image, stream, "lay_out_traces")
    assert saturated != 2**32 - 1, "a trace, or the number of those that saturated, differs"
    assert saturated > 10_000
