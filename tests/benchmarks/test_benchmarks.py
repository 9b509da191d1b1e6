"""The benchmark command runs and says what it should; how fast anything is, is no matter of a test."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NAMES = [
    "cost of the agent in lock step / cost of CartPole",
    "lock step / gymnasium alone, steps/s",
    "native agent alone / gymnasium alone, steps/s",
    "float trainer, cartpole: 64 seeds / 1 seed",
    "LinkAgent.step / bare echo, tcp",
    "LinkAgent.step / bare echo, pty",
    "LinkAgent.step / the bytes' own time, 115200 baud",
]


@pytest.mark.slow
def test_the_quick_run_prints_one_object_a_ratio_and_the_machine_last() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "progress is for terminals"
    *results, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["name"] for result in results] == NAMES
    assert [result["target"] for result in results] == ["< 1", None, None, ">= 20", ">= 0.8", ">= 0.8", ">= 0.9"]
    for result in results:
        assert result["ratio_min"] <= result["ratio"] <= result["ratio_max"]
        assert result["pairs"] >= 5
        assert len(result["rates"]) == 2 and min(result["rates"].values()) > 0
        assert result["holds"] is None if result["target"] is None else isinstance(result["holds"], bool)
    cost, rate = results[:2]
    assert cost["rates"] == rate["rates"]
    assert (1 + cost["ratio"]) * rate["ratio"] == pytest.approx(1, abs=0.05), "the same pairs, said in two ways"
    assert last["quick"] is True
    assert {"processor", "python", "numpy", "gymnasium", "compiler"} <= set(last["machine"])


def test_a_ratio_is_the_median_of_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.comparison import Comparison, Target, added_cost, measure_in_turns

    rates, order = iter([10.0, 5.0, 9.0, 3.0, 8.0, 1.0]), []

    def side(name: str) -> float:
        order.append(name)
        return next(rates)

    done: list[str] = []
    pairs = measure_in_turns("a / b", lambda: side("a"), lambda: side("b"), 3, done.append)
    assert order == ["a", "b"] * 3 and done == ["a / b"] * 3
    faster = Comparison("a / b", "steps", "a", "b", pairs, target=Target(">=", 3.0))
    assert (faster.ratios, faster.ratio, faster.holds, faster.rates) == ([2.0, 3.0, 8.0], 3.0, True, (9.0, 3.0))
    # 10 steps a second with something added that make 20 without: the addition costs as much as the rest.
    added = Comparison("added", "steps", "both", "one", ((10.0, 20.0),), added_cost, Target("<", 1.0))
    assert (added.ratio, added.holds) == (1.0, False)
    assert added.as_text().splitlines()[0].endswith("target < 1: does not hold")


@pytest.mark.slow
def test_the_comparison_with_pytorch_runs_or_says_how_to_install_it() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.pytorch", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if importlib.util.find_spec("torch") is None:
        assert finished.returncode == 4 and "pip install -r benchmarks/requirements.txt" in finished.stderr
    else:
        assert finished.returncode == 0 and json.loads(finished.stdout)["ratio"] > 0.0, finished.stderr
