"""Jobs and their cells: what is planned, what is computed, how it is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from study_helpers import small_study

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import RunError
from nrl_edge.experiment import learning_settings, task_settings
from nrl_edge.learning import train
from nrl_edge.simulation import simulate
from nrl_edge.study import CellResult, Job, plan_jobs, run_job
from nrl_edge.study.cells import seeds_per_job


def test_every_missing_cell_is_planned_once() -> None:
    study = small_study(seeds='"0:50"')
    done = {(variant.identity, seed) for variant in study.variants for seed in range(0, 50, 3)}
    jobs = plan_jobs(study.variants, study.seeds, done)
    planned = [(job.variant.identity, seed) for job in jobs for seed in job.seeds]
    expected = {(v.identity, seed) for v in study.variants for seed in study.seeds} - done
    assert len(planned) == len(set(planned)) and set(planned) == expected
    int16, float64, _ = study.variants
    for variant in (int16, float64):
        assert {len(job.seeds) for job in jobs if job.variant == variant} == {16, 17}, "33 seeds in two even jobs"


def test_fixed_point_cells_of_a_task_without_a_batched_form_run_alone() -> None:
    variant = small_study(id='"MountainCar-v0"', observation_scale="1", episodes="2").variants[0]
    assert seeds_per_job(variant) == 1
    (cell,) = run_job(Job(variant, (7,)))
    assert cell.weights_crc32 == simulate(variant.experiment.with_overrides(seed=7)).weights_crc32


def test_long_float64_runs_are_cut_into_small_jobs() -> None:
    together = [seeds_per_job(small_study(episodes=str(episodes)).variants[1]) for episodes in (100, 10_000, 200_000)]
    assert together[0] == 20 and together[1] < 20 and together[2] == 1


def test_a_fixed_point_cell_is_the_run_of_nrl_edge_sim() -> None:
    study = small_study(episodes="20")
    variant = study.variants[0]
    _, cell = run_job(Job(variant, (6, 7)))
    summary = simulate(variant.experiment.with_overrides(seed=7))
    assert cell.weights_crc32 == summary.weights_crc32
    assert int(cell.lengths.sum()) == summary.steps and len(cell.returns) == 20
    assert cell.counters["entropy"] == 0 and cell.seconds > 0
    assert EntropySettings("seeded", 7).seed == cell.seed


def test_float64_cells_do_not_depend_on_their_job() -> None:
    variant = small_study(episodes="20").variants[1]
    together = run_job(Job(variant, (3, 4, 5)))
    (alone,) = run_job(Job(variant, (4,)))
    assert [cell.seed for cell in together] == [3, 4, 5]
    assert np.array_equal(together[1].returns, alone.returns)
    experiment = variant.experiment
    expected = train(task_settings(experiment), experiment.network.hidden, learning_settings(experiment), [4])
    assert np.array_equal(alone.returns, expected.returns[0])


def test_a_cell_that_diverges_is_a_result_and_spares_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    from nrl_edge.study import cells

    variant = small_study(episodes="5").variants[1]

    def diverging(task, hidden, settings, seeds):
        if 2 in seeds:
            raise RunError("the weights grew without bounds")
        return train(task, hidden, settings, seeds)

    monkeypatch.setattr(cells, "train", diverging)
    results = run_job(Job(variant, (1, 2, 3)))
    assert [(cell.seed, cell.error) for cell in results] == [
        (1, None),
        (2, "the weights grew without bounds"),
        (3, None),
    ]
    assert len(results[1].returns) == 0 and len(results[2].returns) == 5


def test_a_cell_survives_its_file_and_a_damaged_file_is_refused() -> None:
    variant = small_study(episodes="5").variants[0]
    (cell,) = run_job(Job(variant, (1,)))
    data = cell.to_bytes()
    again = CellResult.from_bytes(data)
    assert np.array_equal(again.returns, cell.returns) and np.array_equal(again.lengths, cell.lengths)
    assert replace(again, returns=cell.returns, lengths=cell.lengths) == cell
    for damaged in (b"", data[: len(data) // 2], b"PK" + data[2:40], bytes(len(data))):
        with pytest.raises(ValueError):
            CellResult.from_bytes(damaged)
