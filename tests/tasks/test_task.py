from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.tasks import (
    NEUTRAL_DEFAULTS,
    TASK_DEFAULTS,
    TaskSettings,
    episode_seed,
    make_batched_task,
    make_task,
    task_defaults,
)


class ScriptedEnvironment(gymnasium.Env):
    """Returns what it is told to: a 2 x 2 observation, actions 5, 6, 7, and at step `fault_at` a given fault."""

    def __init__(self, fault_at: int = -1, observation: float = 0.0, reward: float = 1.0, columns: int = 2) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2, 2), dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(3, start=5)
        self.fault_at, self.fault_observation, self.fault_reward, self.columns = fault_at, observation, reward, columns
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.array([[0.0, 1.0], [2.0, 3.0]], dtype=np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        fault = self.steps == self.fault_at
        observation = np.full((2, self.columns if fault else 2), float(action), dtype=np.float32)
        if fault:
            observation[1, 0] = self.fault_observation
        return observation, self.fault_reward if fault else 0.5, self.steps == 4, False, {}


class SpaceOf(gymnasium.Env):
    """Observations drawn from any space; the last of them is kept."""

    def __init__(self, kind: str = "Discrete", actions: str = "Discrete", wrong: bool = False) -> None:
        spaces = gymnasium.spaces
        self.observation_space = {
            "Discrete": spaces.Discrete(7, start=3),
            "MultiDiscrete": spaces.MultiDiscrete([3, 4]),
            "MultiDiscrete2": spaces.MultiDiscrete([[2, 3], [4, 2]]),
            "MultiBinary": spaces.MultiBinary([2, 3]),
            "Box": spaces.Box(-2.0, 2.0, (2, 3, 2), np.float32),
            "Dict": spaces.Dict({"a": spaces.Discrete(2)}),
            "Tuple": spaces.Tuple((spaces.Discrete(2),)),
            "Text": spaces.Text(5),
        }[kind]
        self.action_space = {
            "Discrete": spaces.Discrete(2),
            "Box": spaces.Box(-1.0, 1.0, (1,)),
            "MultiDiscrete": spaces.MultiDiscrete([2, 2]),
        }[actions]
        self.wrong = wrong

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self._draw(), {}

    def step(self, action):
        return 99 if self.wrong else self._draw(), 0.0, False, False, {}

    def _draw(self):
        self.last = self.observation_space.sample()
        return self.last


@pytest.fixture(autouse=True)
def registered():
    gymnasium.register("Scripted-v0", entry_point=ScriptedEnvironment)
    gymnasium.register("SpaceOf-v0", entry_point=SpaceOf)
    yield
    del gymnasium.registry["Scripted-v0"], gymnasium.registry["SpaceOf-v0"]


def test_observations_are_flattened_and_actions_start_where_the_space_starts():
    task = make_task("Scripted-v0")
    assert (task.inputs, task.actions, task.action_start, task.time_limit) == (4, 3, 5, None)
    assert task.reset(1).tolist() == [0.0, 1.0, 2.0, 3.0]
    observation, reward, terminated, truncated = task.step(2)
    assert observation.dtype == np.float64
    assert (observation.tolist(), reward, terminated, truncated) == ([7.0] * 4, 0.5, False, False)


@pytest.mark.parametrize(
    ("kind", "inputs"), [("Discrete", 7), ("MultiDiscrete", 7), ("MultiDiscrete2", 11), ("MultiBinary", 6), ("Box", 12)]
)
def test_spaces_are_flattened_as_gymnasium_flattens_them(kind, inputs):
    task = make_task("SpaceOf-v0", {"kind": kind})
    inner = task.environment.unwrapped
    assert task.inputs == inputs == len(task.observation_low) == len(task.observation_high)
    low, high = (-2.0, 2.0) if kind == "Box" else (0.0, 1.0)
    assert set(task.observation_low) == {low} and set(task.observation_high) == {high}
    observations = [task.reset(5), *(task.step(0)[0] for _ in range(20))]
    assert np.array_equal(observations[-1], gymnasium.spaces.flatten(inner.observation_space, inner.last))
    assert all(observation.dtype == np.float64 and observation.shape == (inputs,) for observation in observations)
    if kind == "Discrete":
        assert {observation.sum() for observation in observations} == {1.0}
    batch = make_batched_task(TaskSettings("SpaceOf-v0", {"kind": kind}), 2)
    assert batch.reset(np.arange(2), [5, 6]).shape == (2, inputs)
    batch.close()


def test_observations_outside_their_space_are_refused():
    task = make_task("SpaceOf-v0", {"wrong": True})
    task.reset(1)
    with pytest.raises(RunError, match=r"the observation 99 in episode 0, step 1 is not in.*Discrete\(7, start=3\)"):
        task.step(0)


def test_frozen_lake_is_sixteen_inputs_of_which_one_is_on():
    task = make_task("FrozenLake-v1")
    assert task.reset(3).tolist() == [1.0] + [0.0] * 15


def test_scaling_is_by_powers_of_two():
    task = make_task("CartPole-v1", observation_scale=(0, 0, 3, -1))
    assert task.scale(np.ones((2, 4))).tolist() == [[1.0, 1.0, 8.0, 0.5]] * 2
    assert make_task("CartPole-v1", observation_scale=2).scale(np.ones(4)).tolist() == [4.0] * 4


def test_time_limit_is_a_truncation():
    task = make_task("Acrobot-v1")
    task.reset(0)
    ends = [task.step(1)[2:] for _ in range(500)]
    assert task.time_limit == 500
    assert ends[:-1] == [(False, False)] * 499 and ends[-1] == (False, True)


def test_a_module_before_the_colon_is_imported(tmp_path, monkeypatch):
    (tmp_path / "my_tasks.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v3', entry_point='gymnasium.envs.classic_control.cartpole:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert make_task("my_tasks:Mine-v3").inputs == 4
    finally:
        gymnasium.registry.pop("Mine-v3", None)


@pytest.mark.parametrize("scale", [(0, 0, 3), (0, 0, 0.5, 0), 31, (True, 0, 0, 0)])
def test_wrong_scales_are_refused(scale):
    with pytest.raises(ConfigurationError, match="observation_scale"):
        make_task("CartPole-v1", observation_scale=scale)
    with pytest.raises(ConfigurationError, match="observation_scale"):
        make_batched_task(TaskSettings("CartPole-v1", {}, scale), 2)


@pytest.mark.parametrize(
    ("task_id", "kwargs", "message"),
    [
        ("CartPoel-v1", {}, "CartPole-v1"),
        ("cartpole-v1", {}, "CartPole-v1"),
        ("no_such_module_here:Task-v0", {}, "no module 'no_such_module_here'.*PYTHONPATH"),
        ("CartPole-v1", {"gravity_of_mars": 3.7}, "gravity_of_mars"),
        ("SpaceOf-v0", {"actions": "MultiDiscrete"}, r"MultiDiscrete actions.*each combination is an action"),
        ("SpaceOf-v0", {"kind": "Dict"}, r"SpaceOf-v0 has Dict observations.*vector of numbers"),
        ("SpaceOf-v0", {"kind": "Tuple"}, r"has Tuple observations.*FlattenObservation"),
        ("SpaceOf-v0", {"kind": "Text"}, r"has Text observations"),
    ],
)
def test_tasks_that_cannot_be_made_say_why(task_id, kwargs, message):
    with pytest.raises(ConfigurationError, match=message):
        make_task(task_id, kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"observation": math.nan}, r"Scripted-v0: observation input 2 is nan in episode 1, step 3.*diverged"),
        ({"observation": -math.inf}, r"observation input 2 is -inf in episode 1, step 3"),
        ({"reward": math.inf}, r"Scripted-v0: the reward is inf in episode 1, step 3"),
        ({"columns": 3}, r"Scripted-v0: an observation of shape \(2, 3\) in episode 1, step 3.*shape \(2, 2\)"),
    ],
)
def test_faults_at_run_time_name_input_value_and_step(kwargs, message):
    task = make_task("Scripted-v0", {"fault_at": 3, "observation": 5.0, **kwargs})
    task.environment.unwrapped.fault_at = -1
    task.reset(0)
    for _ in range(4):
        task.step(0)
    task.environment.unwrapped.fault_at = 3
    task.reset(1)
    task.step(0)
    task.step(0)
    with pytest.raises(RunError, match=message):
        task.step(0)


def test_large_but_finite_observations_pass():
    task = make_task("Scripted-v0", {"fault_at": 1, "observation": 3e38})
    task.reset(0)
    assert task.step(0)[0][2] == np.float32(3e38)


def test_episode_seed_is_splitmix64():
    # Steele, Lea, Flood 2014: the first outputs of SplitMix64 started at 0 are e220a8397b1dcdaf, 6e789e6aa1b965f4.
    def splitmix64(state: int, number: int) -> int:
        for _ in range(number):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
            value = z ^ (z >> 31)
        return value

    assert splitmix64(0, 1) == 0xE220A8397B1DCDAF
    assert splitmix64(0, 2) == 0x6E789E6AA1B965F4
    for seed in (0, 1, 42, 2**63):
        for episode in (0, 1, 999):
            assert episode_seed(seed, episode) == splitmix64(splitmix64(seed, 1), episode + 1) >> 33
    seeds = [episode_seed(seed, episode) for seed in range(40) for episode in range(500)]
    # 20000 draws of 31 bits meet by chance in 20000^2 / 2^32 = 0.09 pairs on average.
    assert len(set(seeds)) >= len(seeds) - 2
    assert min(seeds) >= 0 and max(seeds) < 2**31
    assert abs(np.mean(seeds) / 2**30 - 1.0) < 0.02


def test_defaults_follow_the_task_and_the_depth():
    cartpole = task_defaults("cartpole")
    assert cartpole is task_defaults("CartPole-v1") is TASK_DEFAULTS["cartpole"]
    assert cartpole.task_settings() == TaskSettings("CartPole-v1", {}, (0, 0, 3, 0), 475.0)
    assert (cartpole.learning_rate, cartpole.clip, cartpole.episodes) == (2**-6, 0.5, 500)
    acrobot = task_defaults("acrobot")
    assert (acrobot.threshold, acrobot.learning_rate, acrobot.clip, acrobot.episodes) == (-100.0, 2**-7, 0.25, 1000)
    deep = task_defaults("acrobot", hidden_layers=2)
    assert (deep.learning_rate, deep.clip, deep.episodes, deep.hidden) == (2**-8, 0.25, 1200, (64, 64))
    bandit = task_defaults("NRL/ContextualBandit-v0")
    assert (bandit.hidden, bandit.reward, bandit.episodes) == ((8, 8), "immediate", 5000)
    assert task_defaults("bandit", hidden_layers=3).hidden == (8, 8, 8)
    assert task_defaults("xor", hidden_layers=1).hidden == (8,)
    assert task_defaults("acrobot", hidden_layers=1) is acrobot
    other = task_defaults("MountainCar-v0")
    assert other.task_settings().task_id == "MountainCar-v0" and other.threshold is None
    assert other.episodes == NEUTRAL_DEFAULTS.episodes


@pytest.mark.parametrize("defaults", TASK_DEFAULTS.values(), ids=TASK_DEFAULTS)
def test_every_default_makes_a_task(defaults):
    settings = defaults.task_settings()
    assert make_batched_task(settings, 2).reset(np.arange(2), [1, 2]).shape[0] == 2
    assert make_task(settings.task_id, settings.kwargs, settings.observation_scale).actions >= 2


class FailingEnvironment(gymnasium.Env[Any, Any]):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        raise KeyError("a bug of the user's")


def test_an_exception_of_the_environment_becomes_one_message_with_its_place() -> None:
    gymnasium.register("Failing-v0", entry_point=FailingEnvironment)
    task = make_task("Failing-v0")
    task.reset(0)
    with pytest.raises(RunError, match=r"Failing-v0: .*step failed in episode 0, step 0: KeyError.*test_task\.py"):
        task.step(0)
