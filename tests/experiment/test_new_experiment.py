from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from nrl_edge.agent import EntropyMode
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    Choices,
    experiment_text,
    load_experiment,
    new_experiment,
    parse_experiment,
    resolve_agent,
)
from nrl_edge.fixedpoint.configuration import CRITIC_FEATURES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "description"),
    [
        ("cartpole", "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed"),
        ("CartPole-v1", "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed"),
        ("Acrobot", "nrl-agent/1 6-64-3 B=16 Fx=9 Fw=12 Ft=5 Fr=8 K=7 C=2 reward=delayed"),
        ("reaching", "nrl-agent/1 32-64-3 B=16 Fx=10 Fw=12 Ft=8 Fr=8 K=7 C=2 reward=immediate"),
        ("xor", "nrl-agent/1 2-8-8-2 B=16 Fx=10 Fw=12 Ft=8 Fr=8 K=6 C=2 reward=immediate"),
        ("NRL/ContextualBandit-v0", "nrl-agent/1 3-8-8-2 B=16 Fx=10 Fw=12 Ft=8 Fr=8 K=6 C=2 reward=immediate"),
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
    assert (other.learning.episodes, other.task.threshold, other.task.observation_scale) == (1000, None, "auto")
    bandit = parse_experiment(experiment_text("bandit"))
    assert (bandit.task.reward, bandit.network.hidden, bandit.task.observation_scale) == ("immediate", (8, 8), 1.0)
    assert parse_experiment(experiment_text("xor", Choices(hidden=(8,)))).network.hidden == (8,)
    deep = parse_experiment(experiment_text("acrobot", Choices(hidden=(64, 64))))
    assert (deep.learning.learning_rate, deep.learning.clip, deep.learning.episodes) == (2**-8, 0.25, 1200)
    assert deep.network.hidden == (64, 64)


def test_a_new_experiment_makes_the_choices_it_is_given() -> None:
    made = parse_experiment(
        experiment_text("cartpole", Choices((8, 8), preset="actor-critic", entropy_mode="raw", board="microbit"))
    )
    assert (made.network.hidden, made.entropy.mode, made.board.id) == ((8, 8), "raw", "microbit")
    assert (made.learning.preset, made.learning.learning_rate, made.learning.clip) == ("actor-critic", 0.5, 0.125)
    for wrong in (Choices(hidden=(129,)), Choices(preset="edgy"), Choices(entropy_mode="dice"), Choices(board="no")):
        with pytest.raises(ConfigurationError, match=r"experiment\.toml: "):
            experiment_text("cartpole", wrong)


def test_every_key_is_in_the_commented_file() -> None:
    text = experiment_text("cartpole")
    uncommented = tomllib.loads(text)
    canonical = tomllib.loads(parse_experiment(text).to_toml())
    assert {name: set(keys) for name, keys in uncommented.items()} == {
        name: set(keys) for name, keys in canonical.items()
    }
    for key in ("kwargs", "seed", "sigma", "recording", "observation_frac_bits", "reward_frac_bits", "key_file"):
        assert f"{key} =" in text
    for mode in get_args(EntropyMode):
        assert f'# "{mode}":' in text
    for features in CRITIC_FEATURES:
        assert f'"{features}"' in text
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
        ("NoSuch-v0", "Short names are acrobot, balance, bandit, bandit4, cartpole, reaching, xor"),
        ("no_such_module:Env-v0", "module.*correct the name$"),
    ],
)
def test_new_explains_tasks_it_cannot_make(task: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=part):
        new_experiment(tmp_path, task)
    assert not list(tmp_path.iterdir())


def test_resolving_names_the_file_of_a_task_that_cannot_be_made() -> None:
    experiment = parse_experiment('[task]\nid = "CartPole-v1"\nkwargs = { gravitas = 1 }', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine.toml: .*gravitas"):
        resolve_agent(experiment)
