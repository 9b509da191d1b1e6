"""The firmware's link under libFuzzer and under ten million frames of noise; `make soak` does the same at length."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import AGENTS, CORPUS, KINDS, fuzz, storm
from tools import require_tool

SECONDS = 11
"""Six fuzzers together take more than a minute."""


@pytest.fixture
def clang() -> None:
    require_tool("clang", "apt-get install clang libclang-rt-dev")


@pytest.mark.slow
@pytest.mark.usefixtures("clang")
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_comes_over_the_line_harms_the_firmware(tmp_path: Path, agent: str, kind: str) -> None:
    result = fuzz(agent, kind, SECONDS, tmp_path)
    assert result.finding is None, result.output[-3000:]
    assert result.executions > 10_000
    # The handlers are reached, or this proves nothing.
    assert result.edges > (300 if kind == "messages" else 80)


@pytest.mark.slow
@pytest.mark.parametrize("agent", AGENTS)
def test_ten_million_frames_of_noise_change_nothing(tmp_path: Path, agent: str) -> None:
    frames = 10_000_000 // len(AGENTS) + 1
    words = storm(agent, frames, tmp_path, sanitize=False).split()
    assert words[:2] == ["frames", str(frames)] and words[-2:] == ["executed", "0"]


@pytest.mark.slow
def test_noise_does_no_harm_that_sanitizers_see(tmp_path: Path) -> None:
    words = storm("edge", 100_000, tmp_path, sanitize=True, seed=2).split()
    # A sixth of them are sound frames of other sessions.
    assert words[-2:] == ["executed", "0"] and 10_000 < int(words[3]) < 30_000


FAULTS = {
    "executes twice": (
        "messages",
        ("nrl_server.c", "header.sequence == server->sequence && request_crc == server->last_request_crc", "false"),
    ),
    "takes any session": ("messages", ("nrl_server.c", "header.session != server->session", "false")),
    "takes any CRC": (
        "messages",
        ("nrl_frames.c", "nrl_frame_crc(receiver->bytes, content) != nrl_get_u32(receiver->bytes + content)", "false"),
    ),
    "keeps overlong frames": ("line", ("nrl_frames.c", "receiver->length == NRL_LARGEST_FRAME", "false")),
}


@pytest.mark.slow
@pytest.mark.usefixtures("clang")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_fuzzers_find_what_is_wrong(tmp_path: Path, fault: str) -> None:
    kind, patch = FAULTS[fault]
    assert fuzz("edge", kind, 30, tmp_path, patch=patch).finding is not None


def test_the_corpus_is_small_and_of_every_agent() -> None:
    files = [path for kind in KINDS for path in (CORPUS / kind).iterdir()]
    assert sum(path.stat().st_size for path in files) < 20_000
    assert {path.name.split("_")[0] for path in files} == set(AGENTS)
