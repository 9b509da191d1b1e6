"""Runs a study: what is missing in its folder, job by job, and then tables and plots of everything that is there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrl_edge.study.cells import CellResult
from nrl_edge.study.definition import Study, Variant
from nrl_edge.study.plan import plan_jobs
from nrl_edge.study.schedule import LocalScheduler, OnProgress, Scheduler
from nrl_edge.study.store import StudyFolder
from nrl_edge.study.table import Summary, summarise, write_markdown, write_results, write_summary

RESULTS_FILE, SUMMARY_FILE, MARKDOWN_FILE = "results.csv", "summary.csv", "summary.md"

OnCell = Callable[[Variant, CellResult, int], None]
"""Is called for every finished cell, with the number of cells that are finished in all."""


@dataclass(frozen=True)
class StudyOutcome:
    """What a study came to."""

    summaries: list[Summary]
    table: list[dict[str, Any]]
    """Rows of summary.csv; empty without statistics."""
    files: list[Path]
    """Tables and plots that were written."""
    cells: int
    """Cells of the study, all of which are finished."""
    ran: int
    """Cells that ran now; the others were there already."""


@dataclass(frozen=True)
class VariantState:
    """How far one variant is."""

    variant: Variant
    finished: int
    seeds: int
    seconds_per_cell: float | None
    """Mean of its finished cells; None where there are none."""

    @property
    def seconds_left(self) -> float | None:
        """Worker-seconds that its other cells will take, about; None where nothing is known."""
        if self.finished == self.seeds:
            return 0.0
        return None if self.seconds_per_cell is None else self.seconds_per_cell * (self.seeds - self.finished)


def study_state(study: Study, path: Path) -> list[VariantState]:
    """How far a study is in its folder, which need not be there yet. Nothing is written."""
    folder = StudyFolder(path)
    states = []
    for variant in study.variants:
        found = [result for seed in study.seeds if (result := folder.load(variant, seed)) is not None]
        seconds = sum(result.seconds for result in found) / len(found) if found else None
        states.append(VariantState(variant, len(found), len(study.seeds), seconds))
    return states


def run_study(
    study: Study,
    path: Path,
    scheduler: Scheduler | None = None,
    on_cell: OnCell = lambda variant, result, finished: None,
    *,
    on_progress: OnProgress = lambda cells: None,
    statistics: bool = True,
) -> StudyOutcome:
    """Run the cells of `study` that are not in the folder `path` yet, and write tables and plots of all of them.

    `on_progress` is called now and then with how much of the running jobs is done, in cells. Killed at any moment, the
    study goes on when it is called again; no cell is ever lost or counted twice. Summary and plots need the extra
    `evidence`, and are left out with `statistics` False. Raises ConfigurationError where the folder is something else
    or in use, and whatever the jobs raise.
    """
    scheduler = scheduler or LocalScheduler()
    with StudyFolder.open(path, study) as folder:
        done = {(variant.identity, result.seed) for variant, result in folder.cells(study)}
        jobs = plan_jobs(study.variants, study.seeds, done, scheduler.workers)
        finished = before = len(done)
        with closing(scheduler.run(jobs, on_progress)) as results:
            for job, cells in results:
                for result in cells:
                    folder.save(job.variant, result)
                    finished += 1
                    on_cell(job.variant, result, finished)
        cells_now = list(folder.cells(study))
        summaries = summarise(cells_now)
        files = [path / RESULTS_FILE]
        write_results(files[0], summaries)
        table: list[dict[str, Any]] = []
        if statistics:
            files.append(path / SUMMARY_FILE)
            table = write_summary(files[1], summaries)
            files.append(path / MARKDOWN_FILE)
            write_markdown(files[2], table)
            from nrl_edge.study.plots import write_plots  # plotting takes half a second to load: only here

            files += write_plots(path, study.name, summaries, cells_now)
        return StudyOutcome(summaries, table, files, len(cells_now), finished - before)
