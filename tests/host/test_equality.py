"""The promise, end to end: the same seed ends with the same weights on every target."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_helpers import TARGETS, run_target, write_experiment

from nrl_edge.experiment import load_experiment, new_experiment
from nrl_edge.simulation import RunSummary

SEEDS = (42, 101, 300, 482, 708)


def same_on_all(path: Path) -> RunSummary:
    """Run on every target; everything but the speed and the link has to be equal."""
    summaries = [run_target(path, target) for target in TARGETS]
    first = summaries[0]
    for other in summaries[1:]:
        assert other.weights_crc32 == first.weights_crc32, other.target
        assert (other.steps, other.episodes, other.mean_return_last_100) == (
            first.steps,
            first.episodes,
            first.mean_return_last_100,
        )
        assert (other.counters, other.agent) == (first.counters, first.agent)
        assert other.saturated_observations == first.saturated_observations
        assert other.episodes_to_threshold == first.episodes_to_threshold
    assert first.counters["entropy"] == 0
    return first


@pytest.mark.parametrize("kind", ["int16", "tiny"])
def test_cartpole_ends_with_the_same_weights_everywhere(tmp_path: Path, kind: str) -> None:
    learned = same_on_all(write_experiment(tmp_path / "long", hidden=(64,), kind=kind, episodes=15))
    started = run_target(write_experiment(tmp_path / "short", hidden=(64,), kind=kind, episodes=1), "native")
    # The first episode sets the baseline and moves nothing: equal weights would mean that nobody has learned.
    assert learned.weights_crc32 != started.weights_crc32


@pytest.mark.parametrize("reward", ["delayed", "immediate"])
@pytest.mark.parametrize("hidden", [(7, 5), (6, 5, 4)])
def test_deep_networks_end_with_the_same_weights_everywhere(
    tmp_path: Path, reward: str, hidden: tuple[int, ...]
) -> None:
    same_on_all(write_experiment(tmp_path, hidden=hidden, reward=reward, episodes=8))


def test_immediate_rewards_end_with_the_same_weights_everywhere(tmp_path: Path) -> None:
    same_on_all(write_experiment(tmp_path, reward="immediate", kind="tiny", episodes=8))


def test_saturated_observations_are_counted_alike_everywhere(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, scale="[64, 64, 64, 64]", episodes=6, formats="{ observation_frac_bits = 10 }")
    assert same_on_all(path).saturated_observations > 0


def test_other_seeds_end_with_other_weights(tmp_path: Path) -> None:
    experiment = load_experiment(write_experiment(tmp_path, episodes=4))
    ends = {run_target(experiment.with_overrides(seed=seed), "native").weights_crc32 for seed in SEEDS}
    assert len(ends) == len(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["int16", "tiny"])
@pytest.mark.parametrize("task", ["cartpole", "acrobot"])
def test_learning_runs_end_with_the_same_weights_everywhere(tmp_path: Path, task: str, kind: str, seed: int) -> None:
    path = new_experiment(tmp_path, task)
    text = path.read_text(encoding="utf-8")
    changes = {'kind = "int16"': f'kind = "{kind}"', "\nseed = 42": f"\nseed = {seed}"}
    for before, after in changes.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    episodes = next(line for line in text.splitlines() if line.startswith("episodes = "))
    path.write_text(text.replace(episodes, "episodes = 200"), encoding="utf-8")
    summary = same_on_all(path)
    assert (summary.seed, summary.episodes) == (seed, 200)
    assert summary.agent.split()[2] == ("B=16" if kind == "int16" else "B=8")
