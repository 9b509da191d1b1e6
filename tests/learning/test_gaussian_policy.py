"""The Gaussian policy in float64: NRL's estimate is the gradient's, and who cannot have one says so."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError
from nrl_edge.learning.actor_critic import Critic
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.streams import agent_generator
from nrl_edge.learning.trainer import make_rule, train
from nrl_edge.tasks.task import TaskSettings

SIZES = (3, 6, 5, 2)
ONLINE = LearningSettings(preset="actor-critic", critic_features="cubes", noise_draws=4, episodes=2)


def gradients(rule_name: str, steps: int) -> list[np.ndarray]:
    """Mean trace of `steps` steps on one observation with one action's noise."""
    settings = LearningSettings(rule=rule_name, preset="edge", noise_draws=1)  # type: ignore[arg-type]
    rule = make_rule(SIZES, [settings], [agent_generator(1)], continuous=True)
    rule.weights[-1][:] = np.random.default_rng(2).normal(0.0, 0.5, rule.weights[-1].shape)
    observation, number = np.array([[0.5, -1.0, 0.25]]), np.array([[0.7, -1.2]])
    generator = np.random.default_rng(3)
    for _ in range(steps):
        noise = generator.choice([-1.0, 1.0], (1, rule.noise_units))
        action = rule.act(observation, noise, number)
        rule.finish_step()
    # The action is the mean plus the number, whatever the noise of the units.
    assert action.shape == (1, 2)
    return [trace[0] / steps for trace in rule.traces.take(slice(None))]


def test_nrl_estimates_the_gradient_of_the_normal_density() -> None:
    exact, estimate = gradients("reinforce", 1), gradients("nrl", 20000)
    assert np.allclose(estimate[-1], exact[-1])
    for layer in (0, 1):
        cosine = (exact[layer] * estimate[layer]).sum() / np.linalg.norm(exact[layer]) / np.linalg.norm(estimate[layer])
        assert cosine > 0.98


def test_backpropagation_gives_the_derivative_of_the_log_density() -> None:
    settings = LearningSettings(rule="reinforce", preset="edge")
    rule = make_rule(SIZES, [settings], [agent_generator(1)], continuous=True)
    rule.weights[-1][:] = 0.3
    observation, number = np.array([[0.5, -1.0, 0.25]]), np.array([[0.7, -1.2]])
    action = rule.act(observation, np.zeros((1, 0)), number)
    gradient = [trace[0] for trace in rule.traces.take(slice(None))]

    def log_density() -> float:
        return float(-0.5 * ((action - rule.act(observation, np.zeros((1, 0)), np.zeros((1, 2)))) ** 2).sum())

    for layer, (i, j) in ((0, (2, 1)), (1, (3, 2)), (2, (1, 4))):
        before = log_density()
        rule.weights[layer][0, i, j] += 1e-6
        assert (log_density() - before) / 1e-6 == pytest.approx(gradient[layer][i, j], abs=1e-4)
        rule.weights[layer][0, i, j] -= 1e-6


def test_a_cubic_critic_has_every_monomial_and_a_safe_normaliser() -> None:
    critic = Critic(3, 1, ONLINE)
    x = np.array([[0.5, -2.0, 3.0]])
    critic.see(x)
    assert critic.features.shape == (1, 20)
    assert critic.features[0, -1] == 27.0
    bound = (1.0 + (x**2).sum()) ** 3
    assert (critic.features**2).sum() <= bound
    assert np.abs(critic.trace).max() <= np.abs(critic.features).max() / bound


@pytest.mark.parametrize(
    "settings", [ONLINE, LearningSettings(episodes=2), LearningSettings(rule="random", episodes=2)]
)
def test_training_on_pendulum_is_the_same_alone_and_in_company(settings: LearningSettings) -> None:
    task = TaskSettings("Pendulum-v1", {}, (0, 0, -2))
    both, alone = train(task, (4,), settings, [5, 6]), train(task, (4,), settings, [6])
    assert np.array_equal(both.returns[1], alone.returns[0])
    assert both.lengths.tolist() == [[200, 200]] * 2


def test_rules_without_a_gaussian_policy_say_so() -> None:
    with pytest.raises(ConfigurationError, match=r"rule rmhl.*continuous"):
        train(TaskSettings("Pendulum-v1"), (4,), LearningSettings(rule="rmhl", episodes=1), [1])
