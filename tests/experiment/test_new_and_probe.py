from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import (
    choose_observation_frac_bits,
    experiment_text,
    load_experiment,
    new_experiment,
    parse_experiment,
    probe_task,
    resolve_agent,
)


class Spiral(gymnasium.Env[Any, Any]):
    """An endless environment whose observations stay at one magnitude."""

    def __init__(self, magnitude: float = 3.0, bound: float = np.inf, actions: int = 2) -> None:
        self.observation_space = gymnasium.spaces.Box(-bound, bound, (2, 1), np.float64)
        self.action_space = gymnasium.spaces.Discrete(actions, start=5)
        self.magnitude = magnitude
        self.actions_seen: set[int] = set()
        self.closed = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.full((2, 1), self.magnitude), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions_seen.add(action)
        return np.array([[self.magnitude], [-self.magnitude / 2]]), 0.0, False, False, {}

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("task", "description"),
    [
        ("cartpole", "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed"),
        ("CartPole-v1", "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed"),
        ("Acrobot", "nrl-agent/1 6-64-3 B=16 Fx=9 Fw=12 Ft=5 Fr=8 K=7 C=2 reward=delayed"),
        ("MountainCar-v0", "nrl-agent/1 2-64-3 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=7 C=2 reward=delayed"),
    ],
)
def test_a_new_experiment_gives_the_measured_agent(task: str, description: str, tmp_path: Path) -> None:
    path = new_experiment(tmp_path / "made" / "here", task)
    experiment = load_experiment(path)
    assert resolve_agent(experiment).description == description
    assert resolve_agent(experiment.with_overrides(seed=1)).description == description


def test_defaults_of_new_experiments() -> None:
    cartpole, acrobot = parse_experiment(experiment_text("cartpole")), parse_experiment(experiment_text("acrobot"))
    assert (cartpole.learning.episodes, cartpole.task.threshold) == (500, 475.0)
    assert cartpole.task.observation_scale == (1.0, 1.0, 8.0, 1.0)
    assert (acrobot.learning.episodes, acrobot.task.threshold) == (1000, -100.0)
    other = parse_experiment(experiment_text("MountainCar-v0"))
    assert (other.learning.episodes, other.task.threshold, other.task.observation_scale) == (1000, None, 1.0)
    deep = parse_experiment(experiment_text("acrobot", hidden_layers=2))
    assert (deep.learning.learning_rate, deep.learning.clip, deep.learning.episodes) == (2**-8, 0.25, 1200)
    assert deep.network.hidden == (64, 64)


def test_every_key_is_in_the_commented_file() -> None:
    text = experiment_text("cartpole")
    uncommented = tomllib.loads(text)
    canonical = tomllib.loads(parse_experiment(text).to_toml())
    assert {name: set(keys) for name, keys in uncommented.items()} == {
        name: set(keys) for name, keys in canonical.items()
    }
    for key in ("kwargs", "seed", "sigma", "recording", "observation_frac_bits", "reward_frac_bits"):
        assert f"{key} =" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_new_never_overwrites(tmp_path: Path) -> None:
    path = new_experiment(tmp_path, "cartpole")
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        new_experiment(tmp_path, "cartpole")
    assert path.read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        new_experiment(tmp_path / "file", "cartpole")


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("cartpol", "did you mean cartpole"),
        ("NoSuch-v0", "Short names are acrobot, cartpole"),
        ("no_such_module:Env-v0", "module"),
        ("Pendulum-v1", "Discrete"),
    ],
)
def test_new_explains_tasks_it_cannot_make(task: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=part):
        new_experiment(tmp_path, task)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("low", "high", "seen", "expected"),
    [
        ([-4.8, -np.inf, -3.35, -np.inf], [4.8, np.inf, 3.35, np.inf], [1, 3, 2, 3], 10),
        ([-1, -1, -1, -1, -12.57, -28.27], [1, 1, 1, 1, 12.57, 28.27], [1, 1, 1, 1, 5, 9], 9),
        ([-16], [16], [1], 10),
        ([-16.001], [16], [1], 9),
        ([-np.inf], [np.inf], [0.001], 10),
        ([-2e6], [2e6], [100.0], 7),
        ([-1.0], [1.0], [100.0], 7),
        ([0], [np.inf], [16384.0], 0),
    ],
)
def test_choice_of_observation_frac_bits(low: list[float], high: list[float], seen: list[float], expected: int) -> None:
    assert choose_observation_frac_bits(low, high, seen) == expected


def test_observations_too_large_for_sixteen_bits() -> None:
    with pytest.raises(ConfigurationError, match=r"16400.*observation_scale"):
        choose_observation_frac_bits([-np.inf], [np.inf], [16400.0])


def test_probing_scales_closes_and_ends() -> None:
    environment = Spiral()
    probe = probe_task(lambda: environment, (3, 0), episodes=2)
    assert (probe.inputs, probe.actions) == (2, 2)
    assert probe.sampled_max.tolist() == [24.0, 3.0]
    assert probe.observation_frac_bits == 9
    assert environment.actions_seen == {5, 6}
    assert environment.closed == 1
    bounded = probe_task(lambda: Spiral(bound=100.0), 1, episodes=1)
    assert bounded.high.tolist() == [200.0, 200.0]
    with pytest.raises(RunError, match=r"observation input 0 is nan"):
        probe_task(lambda: Spiral(magnitude=np.nan))
    with pytest.raises(ConfigurationError, match="Discrete"):
        probe_task(lambda: gymnasium.make("Pendulum-v1"))
    with pytest.raises(ConfigurationError, match="3 exponents"):
        probe_task(lambda: Spiral(), (1, 2, 3))


def test_resolving_names_the_file_of_a_task_that_cannot_be_made() -> None:
    experiment = parse_experiment('[task]\nid = "CartPole-v1"\nkwargs = { gravitas = 1 }', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine.toml: .*gravitas"):
        resolve_agent(experiment)
