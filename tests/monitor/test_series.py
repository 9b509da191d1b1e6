"""Bounded curves, tails of growing files, prediction errors."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrl_host.monitor.prediction_error import BASELINE_RATE, PredictionErrors
from nrl_host.monitor.series import BoundedSeries
from nrl_host.monitor.tail import CsvTail
from nrl_host.monitor.terminal import sparkline


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([2, 4, 16]))
def test_a_curve_stays_whole_however_long_it_gets(values: list[float], points: int) -> None:
    series = BoundedSeries(("return", "other"), points)
    for episode, value in enumerate(values, 1):
        series.add(episode, (value, -value))
    shown = series.as_dict()
    assert all(len(column) <= points for column in shown.values()) and series.rows == len(values)
    per = 1
    while math.ceil(len(values) / per) > points:
        per *= 2
    buckets = [values[start : start + per] for start in range(0, len(values), per)]
    assert shown["episode"] == [min((index + 1) * per, len(values)) for index in range(len(buckets))]
    for name, expected in (
        ("return", [np.mean(bucket) for bucket in buckets]),
        ("other", [-np.mean(bucket) for bucket in buckets]),
        ("least", [min(bucket) for bucket in buckets]),
        ("largest", [max(bucket) for bucket in buckets]),
    ):
        assert shown[name] == pytest.approx(expected, rel=1e-5, abs=1e-3), name


def test_what_is_not_known_is_not_a_number() -> None:
    series = BoundedSeries(("return", "rpe"), 2)
    for episode in range(1, 5):
        series.add(episode, (float(episode), math.nan if episode < 4 else 3.0))
    assert series.as_dict()["rpe"] == [None, 3.0]
    series.clear()
    assert series.as_dict()["return"] == [] and series.rows == 0
    with pytest.raises(ValueError, match="even"):
        BoundedSeries(("a",), 3)


def test_rows_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    tail = CsvTail(path)
    assert tail.read() == (False, [])
    path.write_text("a,b\n1,2\n3,")
    assert tail.read() == (False, [{"a": "1", "b": "2"}])
    with path.open("a") as file:
        file.write("4\n\nnonsense\n5,6\n")
    assert tail.read() == (False, [{"a": "3", "b": "4"}, {"a": "5", "b": "6"}])
    assert tail.read() == (False, [])


@pytest.mark.parametrize("regrown", ["a\n1\n9\n", "a\n1\n7\n8\n9\n10\n", "", "a\n"])
def test_a_file_that_was_cut_back_is_read_again(tmp_path: Path, regrown: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n2\n3\n")
    tail = CsvTail(path)
    assert len(tail.read()[1]) == 3
    path.write_text(regrown)
    cut_back, rows = tail.read()
    assert cut_back and [row["a"] for row in rows] == regrown.split()[1:]
    path.unlink()
    assert tail.read()[1] == []


def test_quoted_fields_are_read_as_csv(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("episode", "health"), (1, "stuck, or biased?")])
    (tmp_path / "a.csv").write_text(text.getvalue())
    assert CsvTail(tmp_path / "a.csv").read()[1] == [{"episode": "1", "health": "stuck, or biased?"}]


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=50), st.sets(st.integers(1, 50)))
def test_prediction_errors_with_and_without_the_device_s_baseline(returns: list[float], lost: set[int]) -> None:
    """By the rule itself, whether the baseline is told with every episode, with some, or never."""
    baseline = returns[0]
    expected, after = [], []
    for value in returns:
        divisor = abs(value) or abs(baseline)
        expected.append((value - baseline) / divisor if divisor else 0.0)
        baseline += BASELINE_RATE * (value - baseline)
        after.append(baseline)
    alone, told = PredictionErrors(), PredictionErrors()
    for episode, value in enumerate(returns, 1):
        scale = 1 + abs(expected[episode - 1])
        assert alone.add(episode, value) == pytest.approx(expected[episode - 1], abs=1e-6 * scale)
        if episode not in lost:
            error = told.add(episode, value, after[episode - 1])
            divisor = abs(value) or 1.0
            assert error == pytest.approx(expected[episode - 1], abs=1e-6 * scale + 1e-9 / divisor) or abs(value) < 1e-3


def test_sparklines() -> None:
    assert sparkline([], 10) == "" and sparkline([None, math.nan], 10) == ""
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, 5], 20) == "▄▄"
    assert sparkline(range(1000), 8) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(range(37), 10)) == 10
    assert sparkline([0, 1], 4, "_#") == "_#"
