"""A study runs once, wholly, whatever happens to it on the way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from study_helpers import read_table, small_study, without_times

from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.study import CellResult, Job, StudyFolder, make_scheduler, plan_jobs, run_job, run_study, study_state
from nrl_edge.study.plots import running_means
from nrl_edge.study.schedule import LocalScheduler, OnProgress, Results


class InThisProcess:
    """Runs jobs one after the other; after `until` of them it breaks, as a scheduler may."""

    workers = 1

    def __init__(self, until: float = math.inf) -> None:
        self.until = until
        self.jobs: list[Job] = []

    def run(self, jobs: list[Job], on_progress: OnProgress) -> Results:
        for job in jobs:
            if len(self.jobs) >= self.until:
                raise RunError("the power went")
            self.jobs.append(job)
            yield job, run_job(job)


def test_a_study_makes_a_complete_table_and_does_nothing_twice(tmp_path: Path) -> None:
    study = small_study()
    seen: list[int] = []
    outcome = run_study(study, tmp_path / "s", InThisProcess(), lambda variant, result, done: seen.append(done))
    rows = read_table(tmp_path / "s" / "results.csv")
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (variant, str(seed)) for variant in ("int16", "float64", "REINFORCE") for seed in study.seeds
    ]
    assert seen == list(range(1, 13)) and (outcome.cells, outcome.ran) == (12, 12)
    assert all(row["weights_crc32"] != "" for row in rows[:4]) and all(row["weights_crc32"] == "" for row in rows[4:])
    assert all(path.exists() for path in outcome.files)
    assert {path.suffix for path in outcome.files} == {".csv", ".md", ".svg"}

    table = {row["variant"]: row for row in outcome.table}
    assert table["int16"]["reference"] == "REINFORCE" and table["REINFORCE"]["median_ratio"] is None
    assert all(row["seeds"] == 4 and row["diverged"] == 0 for row in outcome.table)
    medians = [row["median_episodes"] for row in outcome.table]
    for row, median in zip(outcome.table, medians, strict=True):
        own = [int(r["episodes_to_threshold"] or 10**9) for r in rows if r["variant"] == row["variant"]]
        assert median == (np.median(own) if np.median(own) < 1e6 else None)

    lines = (tmp_path / "s" / "summary.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| int16", "| float64", "| REINFORCE"], lines
    for line, row in zip(lines[4:], outcome.table, strict=True):
        median = "never" if row["median_episodes"] is None else f"{row['median_episodes']:.1f} ["
        assert f"| {row['reached']}/4 | {median}" in line, line
        low = row["lowest_return_after_threshold"]
        assert line.endswith("|  |" if low is None else f"| {low:.1f} |"), line

    svg = (tmp_path / "s" / "learning-curves-cartpole-v1.svg").read_bytes()
    again = InThisProcess()
    outcome = run_study(study, tmp_path / "s", again)
    assert again.jobs == [] and outcome.ran == 0
    assert (tmp_path / "s" / "learning-curves-cartpole-v1.svg").read_bytes() == svg, "the same figures, the same plot"


def test_a_study_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    study = small_study()
    whole = run_study(study, tmp_path / "whole", InThisProcess(), statistics=False)
    with pytest.raises(RunError, match="the power went"):
        run_study(study, tmp_path / "broken", InThisProcess(until=2))
    kept = sum(state.finished for state in study_state(study, tmp_path / "broken"))
    assert 0 < kept < 12
    second = InThisProcess()
    outcome = run_study(study, tmp_path / "broken", second, statistics=False)
    assert outcome.ran == 12 - kept == sum(len(job.seeds) for job in second.jobs)
    assert without_times(read_table(tmp_path / "broken" / "results.csv")) == without_times(
        read_table(tmp_path / "whole" / "results.csv")
    )
    assert outcome.table == whole.table == []


def test_more_seeds_and_variants_add_to_what_is_there(tmp_path: Path) -> None:
    few = small_study(seeds='"100:102"').select(only=["int16"])
    run_study(few, tmp_path / "s", InThisProcess(), statistics=False)
    states = study_state(small_study(), tmp_path / "s")
    assert [(state.finished, state.seeds) for state in states] == [(2, 4), (0, 4), (0, 4)]
    assert states[0].seconds_left == pytest.approx(2 * states[0].seconds_per_cell) and states[1].seconds_left is None
    outcome = run_study(small_study(), tmp_path / "s", InThisProcess(), statistics=False)
    assert outcome.ran == 10
    changed = run_study(small_study(episodes="102"), tmp_path / "s", InThisProcess(), statistics=False)
    assert changed.ran == 12, "other experiments have cells of their own"


def test_a_damaged_cell_is_made_again(tmp_path: Path) -> None:
    study = small_study().select(only=["int16"], seeds=[1, 2])
    run_study(study, tmp_path / "s", InThisProcess(), statistics=False)
    folder = StudyFolder(tmp_path / "s")
    path = folder.cell_path(study.variants[0], 1)
    before = CellResult.from_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:100])
    other = folder.cell_path(study.variants[0], 2)
    assert run_study(study, tmp_path / "s", InThisProcess(), statistics=False).ran == 1
    assert np.array_equal(CellResult.from_bytes(path.read_bytes()).returns, before.returns)
    path.write_bytes(other.read_bytes())
    assert folder.load(study.variants[0], 1) is None, "a file in the place of another cell is not that cell"


def test_folders_that_are_not_free_are_refused(tmp_path: Path) -> None:
    study = small_study()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="holds something that is no study"):
        run_study(study, tmp_path / "letters", InThisProcess())
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]
    with (
        StudyFolder.open(tmp_path / "busy", study),
        pytest.raises(ConfigurationError, match="another nrl-edge is running a study"),
    ):
        run_study(study, tmp_path / "busy", InThisProcess())
    assert run_study(study.select(only=["int16"], seeds=[1]), tmp_path / "busy", InThisProcess()).ran == 1


def test_a_task_without_a_threshold_has_no_episodes_to_it(tmp_path: Path) -> None:
    text = small_study().text.replace("threshold = 21\n", "")
    from nrl_edge.study import parse_study

    study = parse_study(text).select(seeds=[1, 2])
    outcome = run_study(study, tmp_path / "s", InThisProcess())
    assert [path.name for path in outcome.files][3:] == ["learning-curves-cartpole-v1.svg"]
    assert all(row["reached"] is None and row["median_episodes"] is None for row in outcome.table)
    assert all(row["iqm_return_last_100"] > 9 for row in outcome.table)


def test_running_means_are_means_of_the_last_100() -> None:
    returns = np.random.default_rng(0).normal(size=(3, 450))
    episodes, means = running_means(returns)
    assert len(episodes) == 200 and episodes[0] == 1 and episodes[-1] == 450
    for episode, column in zip(episodes, means.T, strict=True):
        assert column == pytest.approx(returns[:, max(0, episode - 100) : episode].mean(axis=1))


def test_schedulers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_scheduler("local", 3), LocalScheduler)
    for address, processes, message in (
        ("cluster", None, "allowed are local"),
        ("local", 0, "at least 1"),
        ("tcp://127.0.0.1:1", 2, "--processes is for"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            make_scheduler(address, processes)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingToolError, match=r"pip install 'nrl-edge\[dask\]'"):
        make_scheduler("tcp://127.0.0.1:8786")


@pytest.mark.slow
def test_local_processes_do_what_one_process_does(tmp_path: Path) -> None:
    study = small_study(episodes="20").select(seeds=range(6))
    run_study(study, tmp_path / "one", InThisProcess(), statistics=False)
    run_study(study, tmp_path / "two", LocalScheduler(2), statistics=False)
    one, two = (read_table(tmp_path / name / "results.csv") for name in ("one", "two"))
    assert without_times(one) == without_times(two)
    assert plan_jobs(study.variants, study.seeds, {(row["identity"], int(row["seed"])) for row in two}) == []


def test_a_job_that_runs_tells_how_far_it_is(tmp_path: Path) -> None:
    """One job of four cells, of a second or more: between nothing and all there is something to be told."""
    study = small_study(episodes="2000", threshold="600")
    told: list[float] = []
    finished: list[int] = []
    run_study(
        study.select(only=["int16"]),
        tmp_path / "s",
        LocalScheduler(1),
        lambda variant, result, done: finished.append(done),
        on_progress=lambda cells: told.append(cells) if not finished else None,
        statistics=False,
    )
    assert told == sorted(told) and finished == [1, 2, 3, 4]
    assert any(0.0 < cells < 4.0 for cells in told), told
    assert max(told) <= 4.0
