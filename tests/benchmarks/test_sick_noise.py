"""The study of sick noise: its streams are as sick as they say, and its runs draw from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import sick_noise
from benchmarks.sick_noise import CASES, LEVELS, Sickness, points, run, write_figure, write_summary


def bits_of(sickness: Sickness) -> np.ndarray:
    return np.unpackbits(np.frombuffer(sickness.stream(3), np.uint8), bitorder="little")


@pytest.mark.parametrize("level", [0.5, 0.6, 0.7])
def test_streams_lean_and_stick_as_they_say(level: float) -> None:
    biased, sticky = bits_of(Sickness("bias", level)), bits_of(Sickness("correlation", level))
    # A share of 16 million independent bits has a standard deviation of 1.25e-4.
    assert abs(biased.mean() - level) < 1e-3
    assert abs((sticky[1:] == sticky[:-1]).mean() - level) < 1e-3
    assert abs(sticky.mean() - 0.5) < 5e-3


@pytest.mark.parametrize("period", [8, 255, 8191])
def test_streams_repeat_as_they_say(period: int) -> None:
    bits = bits_of(Sickness("period", period))
    assert np.array_equal(bits[period:], bits[:-period])
    assert len(bits) == 8 * sick_noise.STREAM_BYTES


def test_a_run_depends_on_its_noise_and_the_pages_are_written(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(CASES[0], episodes=12)
    healthy, stuck = run(short, Sickness("bias", 0.5), 1), run(short, Sickness("period", 8), 1)
    assert healthy == run(short, Sickness("bias", 0.5), 1) != stuck
    monkeypatch.setattr(sick_noise, "SEEDS", range(2))
    results = {(case.label, each.kind, each.level): [1.0, 2.0] for case, each in points()}
    assert len(results) == len(CASES) * sum(map(len, LEVELS.values()))
    write_summary(tmp_path / "levels.md", results)
    write_figure(tmp_path / "figure.svg", results)
    assert "| bias | 0.5 | 1.5 | 1.0 | 2.0 |" in (tmp_path / "levels.md").read_text(encoding="utf-8")
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").startswith("<?xml")
