"""How cells are grouped into jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_helpers import small_study

from nrl_edge.study import Job, plan_jobs
from nrl_edge.study.plan import MAX_SECONDS_PER_JOB, MAX_SEEDS_PER_JOB, _Cost, seeds_per_job


def seconds(job: Job) -> float:
    return _Cost.of(job.variant).seconds(len(job.seeds))


@given(st.integers(1, 80), st.integers(1, 9), st.sampled_from([2, 5, 1000]))
def test_every_missing_cell_is_planned_once(seeds: int, workers: int, every: int) -> None:
    study = small_study(seeds=f'"0:{seeds}"')
    done = {(variant.identity, seed) for variant in study.variants for seed in range(1, seeds, every)}
    jobs = plan_jobs(study.variants, study.seeds, done, workers)
    planned = [(job.variant.identity, seed) for job in jobs for seed in job.seeds]
    expected = {(v.identity, seed) for v in study.variants for seed in study.seeds} - done
    assert len(planned) == len(set(planned)) and set(planned) == expected
    assert max(len(job.seeds) for job in jobs) <= MAX_SEEDS_PER_JOB


def test_nothing_is_planned_where_all_is_done() -> None:
    study = small_study()
    assert plan_jobs(study.variants, study.seeds, {(v.identity, s) for v in study.variants for s in study.seeds}) == []


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 1000])
def test_no_worker_has_to_wait_for_a_job_that_could_be_divided(workers: int) -> None:
    study = small_study(seeds='"0:40"')
    jobs = plan_jobs(study.variants, study.seeds, (), workers)
    times = [seconds(job) for job in jobs]
    assert times == sorted(times, reverse=True), "longest first"
    assert len(jobs) >= min(workers, 120)
    assert times[0] <= sum(times) / workers * 1.05 or all(len(job.seeds) == 1 for job in jobs)
    if workers == 1:
        assert [len(job.seeds) for job in jobs] == [40, 40, 40], "side by side is cheapest"


def test_one_long_variant_beside_short_ones_is_what_is_divided() -> None:
    short, long = small_study(seeds='"0:40"').variants[1], small_study(episodes="900").variants[1]
    jobs = plan_jobs([short, long], range(40), (), 2)
    assert [len(job.seeds) for job in jobs if job.variant == short] == [40]
    assert len([job for job in jobs if job.variant == long]) == 2


def test_fixed_point_cells_of_a_task_without_a_batched_form_run_alone() -> None:
    variant = small_study(id='"MountainCar-v0"', observation_scale="1", episodes="2").variants[0]
    assert seeds_per_job(variant) == 1
    assert [len(job.seeds) for job in plan_jobs([variant], range(3), ())] == [1, 1, 1]


def test_jobs_take_five_minutes_or_twice_what_one_seed_takes() -> None:
    variants = [small_study(episodes=str(episodes)).variants[1] for episodes in (100, 2_500, 1_000_000)]
    together = [seeds_per_job(variant) for variant in variants]
    assert together[0] == MAX_SEEDS_PER_JOB > together[1] > 1 and together[2] > 1
    costs = [_Cost.of(variant) for variant in variants]
    assert costs[1].seconds(together[1]) <= MAX_SECONDS_PER_JOB < costs[1].seconds(together[1] + 1)
    assert costs[2].seconds(together[2]) <= 2 * costs[2].seconds(1) < costs[2].seconds(together[2] + 1)


def test_what_makes_a_step_dear_makes_jobs_narrow() -> None:
    plain, deep = (
        seeds_per_job(small_study(hidden=hidden, episodes="2500").variants[1]) for hidden in ("[64]", "[64, 64, 64]")
    )
    assert deep < plain
