"""Agents in C side by side on a batched task: each does what it does alone in lock step with gymnasium."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import RunError
from nrl_edge.experiment import make_experiment_task, parse_experiment, resolve_agent, task_settings
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.side_by_side import run_side_by_side
from nrl_edge.tasks import ObservationQuantiser, quantise_reward
from nrl_edge.tasks.quantise import REWARD_LIMIT, quantise_observations, quantise_rewards

SEEDS = [3, 2**40 + 1, 5]
CASES = {
    "episodes of different lengths": 'task.id = "CartPole-v1"\nlearning = { learning_rate = "2^-6", clip = 0.5 }',
    "observations that do not fit": """
task = { id = "CartPole-v1", observation_scale = [1, 1, 8, 1] }
arithmetic.formats = { observation_frac_bits = 14, weight_frac_bits = 12 }
""",
    "online": 'task.id = "Acrobot-v1"\nlearning.preset = "actor-critic"\narithmetic.kind = "tiny"',
    "immediate reward": 'task = { id = "NRL/XOR-v0", reward = "immediate" }',
    "arguments": 'task = { id = "NRL/Reaching1D-v0", kwargs = { exact_target = true }, reward = "immediate" }',
    "numbers": """
task = { id = "Pendulum-v1", observation_scale = [1, 1, 0.25], action_scale = 1 }
learning = { preset = "actor-critic", critic_features = "cubes", noise_draws = 4 }
""",
    "gymnasium's own environments": 'task.id = "MountainCar-v0"\nnetwork.hidden = [3]',
}
EPISODES = {"episodes of different lengths": 60, "immediate reward": 50}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_agent_does_what_it_does_alone(case: str) -> None:
    hidden = "" if "network" in CASES[case] else "network.hidden = [5, 4]\n"
    experiment = parse_experiment(hidden + CASES[case])
    configuration, episodes = resolve_agent(experiment), EPISODES.get(case, 4)
    runs = run_side_by_side(configuration, task_settings(experiment), SEEDS, episodes)
    saturated = 0
    for seed, run in zip(SEEDS, runs, strict=True):
        agent = NativeAgent(configuration, EntropySettings("seeded", seed))
        task = make_experiment_task(experiment)
        lockstep = Lockstep(agent, task, seed)
        outcomes = [lockstep.run_episode(episode) for episode in range(episodes)]
        task.close()
        assert run.returns.tolist() == [outcome.episode_return for outcome in outcomes]
        assert run.lengths.tolist() == [outcome.length for outcome in outcomes]
        assert run.agent.snapshot() == agent.snapshot()
        assert run.saturated_observations == lockstep.saturated_observations
        saturated += run.saturated_observations
    assert (saturated > 0) == (case == "observations that do not fit")


def test_batches_are_quantised_as_single_values_are() -> None:
    rng = np.random.default_rng(1)
    observations = rng.normal(0.0, 20.0, (300, 3)) * [1.0, 0.01, 3.0]
    observations[0] = [0.5 / 1024, 1.5 / 1024, -2.5 / 1024]
    single = ObservationQuantiser((0, 3, -1), 10)
    expected = [single(each).tolist() for each in observations]
    quantised, beyond = quantise_observations(observations, np.ldexp(1.0, [10, 13, 9]))
    assert quantised.tolist() == expected and int(beyond.sum()) == single.saturated > 0
    rewards = np.concatenate([rng.normal(0.0, 1.0, 300), [0.5 / 256, 1.5 / 256, 1e9, -1e300]])
    assert quantise_rewards(rewards, 8).tolist() == [quantise_reward(each, 8) for each in rewards.tolist()]
    assert quantise_rewards(np.array([1e9]), 8)[0] == REWARD_LIMIT
    for bad in (np.nan, np.inf):
        with pytest.raises(RunError, match="NaN or infinite"):
            quantise_observations(np.array([[bad]]), np.ones(1))
        with pytest.raises(RunError, match="NaN or infinite"):
            quantise_rewards(np.array([bad]), 8)
