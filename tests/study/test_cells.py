"""Jobs and their cells: what is computed, how it is kept."""

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
from nrl_edge.study import CellResult, Job, run_job


def test_a_task_without_a_batched_form_runs_one_environment_after_the_other() -> None:
    variant = small_study(id='"MountainCar-v0"', observation_scale="1", episodes="2").variants[0]
    (cell,) = run_job(Job(variant, (7,)))
    assert cell.weights_crc32 == simulate(variant.experiment.with_overrides(seed=7)).weights_crc32


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
    ran: list[int] = []

    def diverging(task, hidden, settings, seeds, progress):
        ran.append(len(seeds))
        if 2 in seeds:
            raise RunError("the weights grew without bounds")
        return train(task, hidden, settings, seeds, progress)

    monkeypatch.setattr(cells, "train", diverging)
    results = run_job(Job(variant, tuple(range(16))))
    assert [(cell.seed, cell.error) for cell in results] == [
        (seed, "the weights grew without bounds" if seed == 2 else None) for seed in range(16)
    ]
    assert [len(cell.returns) for cell in results] == [0 if seed == 2 else 5 for seed in range(16)]
    assert sorted(ran, reverse=True) == [16, 8, 8, 4, 4, 2, 2, 1, 1], "wide jobs are found apart by halves"


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
