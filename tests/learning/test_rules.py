"""Each rule against numbers worked out by hand, against the gradient, and against its other form."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nrl_edge.errors import RunError
from nrl_edge.learning.network import forward, leaky_relu_slope, log_softmax, sample_action, softmax
from nrl_edge.learning.nrl import (
    NrlEdge,
    NrlPaper,
    Rule,
    difference_pass,
    reward_prediction_error,
    step_size,
    two_passes,
)
from nrl_edge.learning.random_policy import RandomPolicy
from nrl_edge.learning.reinforce import Reinforce
from nrl_edge.learning.rmhl import Rmhl
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.streams import agent_generator

ALL = slice(None)


def rule_with_weights(kind: type[Rule], weights: list, agents: int = 1, **constants) -> Rule:
    """A rule whose agents all hold the given weights (rows of numbers, one matrix a layer)."""
    matrices = [np.array(matrix, dtype=np.float64) for matrix in weights]
    sizes = [matrices[0].shape[1], *(len(matrix) for matrix in matrices)]
    settings = LearningSettings(**{"clip": None, "learning_rate": 0.5, **constants})
    rule = kind(sizes, [settings] * agents, [agent_generator(seed) for seed in range(agents)])
    rule.weights = [np.repeat(matrix[None], agents, axis=0) for matrix in matrices]
    return rule


def act(rule: Rule, observation: list[float], noise: list[float], uniform: float) -> int:
    """One step of a single agent."""
    action = rule.act(np.array([observation]), np.array([noise]), np.array([uniform]))
    return int(action[0])


def test_edge_on_a_1_1_2_network_by_hand():
    rule = rule_with_weights(NrlEdge, [[[0.5]], [[1.0], [-1.0]]])
    # a_1 = 0.5 * 2 = 1 >= 0, x_1 = 1, logits (1, -1): pi_0 = 1 / (1 + e^-2) = 0.8808, and 0.5 draws action 0.
    assert act(rule, [2.0], [-1.0], 0.5) == 0
    pi = 1.0 / (1.0 + math.exp(-2.0))
    # dx_1 = -1, dl = (-1, 1), d = dl_0 - (pi_0 * -1 + pi_1 * 1) = -1 + pi_0 - pi_1 = -2 pi_1; v = d * 2; e = -1 * v.
    hidden, output = rule.traces.take(ALL)
    assert hidden[0] == pytest.approx(np.array([[4.0 * (1.0 - pi)]]), rel=1e-12)
    assert output[0] == pytest.approx(np.array([[1.0 - pi], [pi - 1.0]]), rel=1e-12)


def test_edge_on_a_2_2_2_network_by_hand_with_a_negative_unit_over_two_steps():
    rule = rule_with_weights(NrlEdge, [[[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]])
    # Step 1: a = (1, -2), x = (1, -0.2), logits the same. Signs (+, -): dx = (1, -0.1) = dl.
    # pi_0 = 1 / (1 + e^-1.2) = 0.7685; 0.9 draws action 1. d = -0.1 - (pi_0 - 0.1 pi_1) = -1.1 pi_0.
    assert act(rule, [1.0, -1.0], [1.0, -1.0], 0.9) == 1
    rule.finish_step()
    p = 1.0 / (1.0 + math.exp(-1.2))
    # Step 2: a = (0, 1), x = (0, 1), signs (-, -): at 0 the slope is 1, so dx = (-1, -1) = dl. All logits move
    # together, the policy does not: d = 0, and only the output learns. pi_0 = 1 / (1 + e) = 0.2689; 0.1 draws action 0.
    assert act(rule, [0.0, 0.5], [-1.0, -1.0], 0.1) == 0
    q = 1.0 / (1.0 + math.e)
    hidden, output = rule.traces.take(ALL)
    d = -1.1 * p
    # outer(signs, d * observation): signs (1, -1), observation (1, -1).
    assert hidden[0] == pytest.approx(np.array([[d, -d], [-d, d]]), rel=1e-12)
    assert output[0] == pytest.approx(np.array([[-p, 0.2 * p + (1.0 - q)], [p, -0.2 * p - (1.0 - q)]]), rel=1e-12)
    assert all((trace == 0.0).all() for trace in rule.traces.take(ALL)), "taken traces start again at zero"


@pytest.mark.parametrize("exact_output", [True, False])
def test_edge_with_several_draws_adds_the_mean_of_what_each_draw_alone_would_add(exact_output):
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=shape) for shape in ((4, 3), (5, 4), (3, 5))]
    observation, draws = rng.normal(size=3), 4
    noise = rng.choice([-1.0, 1.0], (draws, 9 if exact_output else 12))
    together = rule_with_weights(NrlEdge, weights, noise_draws=draws, exact_output=exact_output)
    assert together.noise_units == noise.size
    action = act(together, observation, noise.ravel(), 0.4)
    alone = []
    for one in noise:
        rule = rule_with_weights(NrlEdge, weights, exact_output=exact_output)
        assert act(rule, observation, one, 0.4) == action, "the noise has no part in the choice"
        alone.append(rule.traces.take(ALL))
    for layer, trace in enumerate(together.traces.take(ALL)):
        assert trace == pytest.approx(np.mean([traces[layer] for traces in alone], axis=0), rel=1e-12, abs=1e-14)


def test_paper_on_a_1_1_2_network_by_hand():
    sigma = 0.1
    rule = rule_with_weights(NrlPaper, [[[0.5]], [[1.0], [-1.0]]], preset="paper", sigma=sigma)
    assert act(rule, [2.0], [-1.0, 2.0, 0.5], 0.5) == 0
    # xi = (-0.1; 0.2, 0.05): a~_1 = 0.9, logits (0.9 + 0.2, -0.9 + 0.05).
    d = -math.log(1.0 + math.exp(-0.85 - 1.1)) + math.log(1.0 + math.exp(-2.0))
    norm = 0.1**2 + 0.2**2 + 0.05**2
    hidden, output = rule.traces.take(ALL)
    assert hidden[0] == pytest.approx(np.array([[d * -0.1 / norm * 2.0]]), rel=1e-9)
    assert output[0] == pytest.approx(np.array([[d * 0.2 / norm * 0.9], [d * 0.05 / norm * 0.9]]), rel=1e-9)
    assert rule.layer_factors == [1.0, 2.0], "n_l of each layer"

    immediate = rule_with_weights(NrlPaper, [[[0.5]], [[1.0], [-1.0]]], preset="paper", sigma=sigma, reward="immediate")
    act(immediate, [2.0], [-1.0, 2.0, 0.5], 0.5)
    hidden, output = immediate.traces.take(ALL)
    assert hidden[0] == pytest.approx(np.array([[d / -0.1 * 2.0]]), rel=1e-9), "normalised by its own layer's noise"
    assert output[0, 0, 0] == pytest.approx(d * 0.2 / (0.2**2 + 0.05**2) * 0.9, rel=1e-9)


def test_noisy_only_compares_with_the_mean_of_other_noisy_passes():
    weights = [[[0.5]], [[1.0], [-1.0]]]
    xi = [-1.0, 2.0, 0.5]
    clean = rule_with_weights(NrlPaper, weights, preset="paper", sigma=0.1)
    noisy = rule_with_weights(NrlPaper, weights, preset="paper", sigma=0.1, noisy_passes=2)
    assert (clean.noise_units, noisy.noise_units) == (3, 9)
    # Two passes with opposite noise that bends nowhere have the clean pass as their mean.
    other = [3.0, -1.0, 2.0]
    assert act(clean, [2.0], xi, 0.5) == act(noisy, [2.0], [*xi, *other, *(-value for value in other)], 0.5)
    for expected, found in zip(clean.traces.take(ALL), noisy.traces.take(ALL), strict=True):
        assert found == pytest.approx(expected, rel=1e-12)
    # The same noise in all passes leaves nothing to learn from.
    act(noisy, [2.0], xi * 3, 0.5)
    assert all(np.abs(trace).max() < 1e-14 for trace in noisy.traces.take(ALL))


def test_rmhl_by_hand_with_both_noise_estimates():
    weights = [[[0.5]], [[1.0], [-1.0]]]
    exact = rule_with_weights(Rmhl, weights, rule="rmhl", sigma=0.1)
    # Noisy logits (1.1, -0.85): the noisy policy acts. pi~_0 = 0.8754, clean 0.8808; 0.878 tells them apart.
    assert act(exact, [2.0], [-1.0, 2.0, 0.5], 0.878) == 1
    hidden, output = exact.traces.take(ALL)
    assert hidden[0] == pytest.approx(np.array([[-0.1 * 2.0]]), rel=1e-12)
    assert output[0] == pytest.approx(np.array([[0.2 * 0.9], [0.05 * 0.9]]), rel=1e-12)

    moving = rule_with_weights(
        Rmhl, weights, rule="rmhl", sigma=0.1, noise_estimate="moving_average", activity_rate=0.25
    )
    act(moving, [2.0], [-1.0, 0.0, 0.0], 0.5)
    moving.finish_step()
    act(moving, [2.0], [1.0, 0.0, 0.0], 0.5)
    moving.finish_step()
    act(moving, [2.0], [1.0, 0.0, 0.0], 0.5)
    # a~_1 = 0.9, 1.1, 1.1: the average is 0.9, then 0.95, so the estimates are 0, 0.2 and 0.15.
    hidden, _ = moving.traces.take(ALL)
    assert hidden[0, 0, 0] == pytest.approx((0.2 + 0.15) * 2.0, rel=1e-12)
    moving.episode_ended(ALL)
    act(moving, [2.0], [5.0, 0.0, 0.0], 0.5)
    assert moving.traces.take(ALL)[0][0, 0, 0] == 0.0, "a new episode starts its average at its first activity"


def random_network(sizes: list[int], seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(0.0, 1.0 / math.sqrt(n), (m, n)) for n, m in itertools.pairwise(sizes)]


def gradient_of_log_policy(weights: list[np.ndarray], observation: np.ndarray, action: int) -> np.ndarray:
    """By central differences, flat."""

    def log_policy(changed: list[np.ndarray]) -> float:
        pre_activations, _ = forward([matrix[None] for matrix in changed], observation[None])
        return float(log_softmax(pre_activations[-1])[0, action])

    gradient = []
    for layer, matrix in enumerate(weights):
        for index in np.ndindex(matrix.shape):
            up, down = [m.copy() for m in weights], [m.copy() for m in weights]
            up[layer][index] += 1e-6
            down[layer][index] -= 1e-6
            gradient.append((log_policy(up) - log_policy(down)) / 2e-6)
    return np.array(gradient)


def flat(traces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([trace.reshape(-1) for trace in traces])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("sizes", [[3, 5, 2], [4, 6, 5, 3], [2, 4, 3, 4, 3]])
def test_reinforce_is_the_gradient(sizes):
    weights = random_network(sizes, 1)
    observation = np.random.default_rng(2).normal(size=sizes[0])
    rule = rule_with_weights(Reinforce, weights, rule="reinforce")
    action = rule.act(observation[None], np.empty((1, 0)), np.array([0.6]))
    assert flat([trace[0] for trace in rule.traces.take(ALL)]) == pytest.approx(
        gradient_of_log_policy(weights, observation, int(action[0])), abs=1e-8
    )


def mean_estimate(kind: type[Rule], weights, observation, draws: int, **constants) -> tuple[list[np.ndarray], int]:
    """Mean trace of one observation and one action over many draws of noise."""
    agents = 64
    rule = rule_with_weights(kind, weights, agents, **constants)
    random = np.random.default_rng(7)
    for _ in range(draws // agents):
        noise = 2.0 * random.integers(0, 2, (agents, rule.noise_units)) - 1.0
        action = rule.act(np.repeat(observation[None], agents, axis=0), noise, np.full(agents, 0.4))
        rule.finish_step()
    return [trace.sum(axis=0) / draws for trace in rule.traces.take(ALL)], int(action[0])


@pytest.mark.parametrize("sizes", [[4, 16, 2], [4, 8, 8, 3]])
def test_edge_estimates_the_gradient_without_bias(sizes):
    weights = random_network(sizes, 3)
    observation = np.random.default_rng(4).normal(size=4)
    few, action = mean_estimate(NrlEdge, weights, observation, 64)
    many, _ = mean_estimate(NrlEdge, weights, observation, 64 * 256)
    gradient = gradient_of_log_policy(weights, observation, action)
    outputs = weights[-1].size
    # The output layer's part is exact, so the hidden layers' part is looked at on its own.
    assert flat(many)[-outputs:] == pytest.approx(gradient[-outputs:], abs=1e-7)
    hidden = flat(many)[:-outputs], gradient[:-outputs]
    assert cosine(*hidden) > 0.99
    assert np.linalg.norm(hidden[0]) == pytest.approx(np.linalg.norm(hidden[1]), rel=0.05), "size, not only direction"
    assert cosine(flat(few)[:-outputs], hidden[1]) < cosine(*hidden)


def test_the_published_layer_factor_is_a_biased_direction():
    sizes = [4, 64, 2]
    weights = random_network(sizes, 5)
    observation = np.random.default_rng(6).normal(size=4)
    constants = {"preset": "paper", "sigma": 1e-3}
    fewer, _ = mean_estimate(NrlPaper, weights, observation, 64 * 128, **constants)
    mean, action = mean_estimate(NrlPaper, weights, observation, 64 * 512, **constants)
    gradient = gradient_of_log_policy(weights, observation, action)

    def scaled(traces: list[np.ndarray]) -> np.ndarray:
        return flat([units * trace for units, trace in zip(sizes[1:], traces, strict=True)])

    assert cosine(flat(mean), gradient) > 0.97, "one common factor: the gradient"
    assert cosine(scaled(mean), gradient) < 0.9
    assert cosine(scaled(mean), gradient) - cosine(scaled(fewer), gradient) < 0.02, "and more draws do not help"


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("sizes", [[4, 8, 2], [3, 16, 8, 4], [5, 8, 8, 8, 3]])
def test_difference_pass_equals_two_passes(sizes, sigma):
    random = np.random.default_rng(8)
    agents = 50
    weights = [random.normal(0.0, 0.7, (agents, m, n)) for n, m in itertools.pairwise(sizes)]
    observation = random.normal(size=(agents, sizes[0]))
    noise = [sigma * random.normal(size=(agents, units)) for units in sizes[1:]]
    action = random.integers(0, sizes[-1], agents)
    pre_activations, activities = forward(weights, observation)
    d, noisy = two_passes(weights, observation, noise, pre_activations[-1], action)
    d_by_difference, noisy_by_difference = difference_pass(weights, pre_activations, activities, noise, action)
    # The subtraction of two passes loses up to 1e-16 / d digits, hence a floor of 1e-9 of a typical d.
    assert d_by_difference == pytest.approx(d, rel=1e-9, abs=1e-9 * float(np.abs(d).mean()))
    for mine, theirs in zip(noisy_by_difference, noisy, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_edge_is_the_limit_of_small_noise():
    weights = random_network([4, 6, 5, 3], 9)
    observation = np.random.default_rng(10).normal(size=(1, 4))
    signs = [np.array([[1.0, -1, -1, 1, 1, -1]]), np.array([[-1.0, 1, 1, -1, 1]])]
    rule = rule_with_weights(NrlEdge, weights)
    action = rule.act(observation, np.concatenate(signs, axis=1), np.array([0.3]))
    hidden = rule.traces.take(ALL)[0]
    sigma = 1e-7
    noise = [sigma * signs[0], sigma * signs[1], np.zeros((1, 3))]
    stack = [matrix[None] for matrix in weights]
    d, _ = difference_pass(stack, *forward(stack, observation), noise, action)
    assert hidden[0] == pytest.approx(np.outer(signs[0], d / sigma * observation), rel=1e-5)


def test_prediction_error_is_defined_where_the_return_is_zero():
    returns, baselines = np.array([20.0, -50.0, 0.0, 0.0, 7.0]), np.array([10.0, -100.0, -4.0, 0.0, 7.0])
    assert reward_prediction_error(returns, baselines).tolist() == [0.5, 1.0, 1.0, 0.0, 0.0]


def test_step_size_is_limited_by_the_clip():
    error, rate = np.array([1.0, -1.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.5])
    clip, norm = np.array([0.25, 0.25, np.inf, 0.25]), np.array([2.0, 2.0, 2.0, 0.0])
    assert step_size(error, rate, clip, norm).tolist() == [0.125, -0.125, 0.5, 0.5]


def test_an_update_moves_only_the_agents_whose_episode_ended():
    rule = rule_with_weights(NrlEdge, [[[0.5], [1.0]], [[1.0, 0.5], [-1.0, 0.0]]], agents=3, clip=0.05)
    before = [weights.copy() for weights in rule.weights]
    rule.act(np.full((3, 1), 2.0), np.ones((3, 2)), np.full(3, 0.99))
    rule.learn(np.array([1]), np.array([0.8]))
    moved = [after - weights for after, weights in zip(rule.weights, before, strict=True)]
    assert all((change[[0, 2]] == 0.0).all() for change in moved)
    assert np.linalg.norm(flat([change[1] for change in moved])) == pytest.approx(0.05, rel=1e-12), "the clip's length"
    assert all((trace[[0, 2]] != 0.0).any() for trace in rule.traces.take(ALL))


def test_factors_scale_the_update_of_each_layer():
    weights = [[[0.5], [0.25]], [[1.0, 0.5], [-1.0, 0.25]]]
    paper = rule_with_weights(NrlPaper, weights, preset="paper", learning_rate=0.5, sigma=0.1)
    paper.act(np.array([[2.0]]), np.array([[1.0, -1.0, 1.0, 1.0]]), np.array([0.5]))
    trace = [sums.copy() for sums in paper.traces.take(ALL)]
    paper.act(np.array([[2.0]]), np.array([[1.0, -1.0, 1.0, 1.0]]), np.array([0.5]))
    paper.learn(ALL, np.array([0.1]))
    for layer in range(2):
        expected = np.array(weights[layer]) + 0.5 * 2 * 0.1 * trace[layer][0]
        assert paper.weights[layer][0] == pytest.approx(expected, rel=1e-12), "lr * n_l * RPE * e_l, n_l = 2"

    frozen = rule_with_weights(NrlEdge, weights, freeze_hidden=True, clip=0.01)
    frozen.act(np.array([[2.0]]), np.array([[1.0, -1.0]]), np.array([0.99]))
    frozen.learn(ALL, np.array([1.0]))
    assert (frozen.weights[0][0] == np.array(weights[0])).all()
    assert np.linalg.norm(frozen.weights[1][0] - np.array(weights[1])) == pytest.approx(0.01)


def test_hidden_layers_may_learn_at_a_rate_of_their_own_within_the_same_norm():
    weights = [[[0.5], [0.25]], [[1.0, 0.5], [-1.0, 0.25]]]
    changes = {}
    for rate in (1.0, 4.0):
        rule = rule_with_weights(NrlEdge, weights, hidden_rate=rate, learning_rate=2.0**-6, clip=None)
        rule.act(np.array([[2.0]]), np.array([[1.0, -1.0]]), np.array([0.99]))
        rule.learn(ALL, np.array([1.0]))
        changes[rate] = [rule.weights[layer][0] - np.array(weights[layer]) for layer in range(2)]
    assert np.abs(changes[1.0][0]).min() > 0.0
    assert changes[4.0][0] == pytest.approx(4.0 * changes[1.0][0]) and changes[4.0][1] == pytest.approx(changes[1.0][1])

    limited = rule_with_weights(NrlEdge, weights, hidden_rate=4.0, clip=0.01)
    limited.act(np.array([[2.0]]), np.array([[1.0, -1.0]]), np.array([0.99]))
    limited.learn(ALL, np.array([1.0]))
    moved = np.concatenate([(limited.weights[k][0] - np.array(weights[k])).ravel() for k in range(2)])
    assert np.linalg.norm(moved) == pytest.approx(0.01)


def test_divergence_is_an_error_in_words():
    rule = rule_with_weights(NrlEdge, [[[1e200]], [[1.0], [-1.0]]])
    with np.errstate(all="ignore"):
        rule.act(np.array([[1e200]]), np.ones((1, 1)), np.array([0.5]))
        with pytest.raises(RunError, match="lower learning_rate, or set a clip"):
            rule.learn(ALL, np.array([1.0]))


@pytest.mark.parametrize("outputs", [2, 3, 7, 8, 16])
def test_what_is_computed_output_by_output_equals_the_formula_to_the_last_bit(outputs):
    """Published tables can only be made again while every float64 stays what it was."""
    rng = np.random.default_rng(outputs)
    logits = rng.normal(0.0, 4.0, (2000, outputs))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert np.array_equal(softmax(logits), probabilities)
    uniform = rng.random(2000)
    chosen = (np.cumsum(probabilities[:, :-1], axis=1) <= uniform[:, None]).sum(axis=1)
    assert np.array_equal(sample_action(probabilities, uniform), chosen)
    logits[0, 0], logits[1, 0] = 0.0, -0.0
    assert np.array_equal(leaky_relu_slope(logits), np.where(logits >= 0.0, 1.0, 0.1))


def test_one_agent_learns_alone_what_it_learns_among_others():
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=(6, 3)).tolist(), rng.normal(size=(2, 6)).tolist()]
    rules = [rule_with_weights(NrlEdge, weights, agents=4, clip=0.25) for _ in range(2)]
    for _ in range(5):
        step = rng.normal(size=(4, 3)), rng.choice([-1.0, 1.0], (4, 6)), rng.random(4)
        for rule in rules:
            rule.act(*step)
            rule.finish_step()
    rules[0].learn(np.array([2]), np.array([0.7]))
    rules[1].learn(np.array([1, 2]), np.array([0.4, 0.7]))
    for mine, theirs in zip(rules[0].weights, rules[1].weights, strict=True):
        assert np.array_equal(mine[2], theirs[2]) and not np.array_equal(mine[2], mine[0])


def test_policy_is_sampled_by_its_probabilities():
    rule = rule_with_weights(Reinforce, [[[1.0]], [[0.0], [1.0], [2.0]]], agents=20000, rule="reinforce")
    uniform = np.random.default_rng(11).random(20000)
    actions = rule.act(np.ones((20000, 1)), np.empty((20000, 0)), uniform)
    assert np.bincount(actions) / 20000 == pytest.approx(softmax(np.array([0.0, 1.0, 2.0])), abs=0.015)


def flat_estimate(kind: type[Rule], weights, observation, draws: int, **constants) -> tuple[np.ndarray, int]:
    """Mean of what one step makes of the weights: the traces of all layers, each times its layer's factor."""
    traces, action = mean_estimate(kind, weights, observation, draws, **constants)
    rule = rule_with_weights(kind, weights, **constants)
    return flat([factor * trace for factor, trace in zip(rule.layer_factors, traces, strict=True)]), action


@pytest.mark.parametrize("preset", ["edge", "paper"])
@pytest.mark.parametrize("exact_output", [True, False])
@pytest.mark.parametrize("layer_factors", [True, False])
def test_the_third_change_can_be_switched_by_halves_in_both_presets(preset, exact_output, layer_factors):
    sizes = [4, 16, 2]
    weights = random_network(sizes, 11)
    observation = np.random.default_rng(12).normal(size=4)
    kind = NrlEdge if preset == "edge" else NrlPaper
    constants = {
        "preset": preset, "exact_output": exact_output, "layer_factors": layer_factors, "sigma": 1e-4
    }  # fmt: skip
    estimate, action = flat_estimate(kind, weights, observation, 64 * 400, **constants)
    gradient = gradient_of_log_policy(weights, observation, action)
    hidden = sizes[0] * sizes[1]
    noisy_units = 16 if exact_output else 18
    factors = (16 / noisy_units, 1.0 if exact_output else 2 / noisy_units) if layer_factors else (1.0, 1.0)
    for part, factor in ((slice(0, hidden), factors[0]), (slice(hidden, None), factors[1])):
        assert cosine(estimate[part], gradient[part]) > 0.97
        size = np.linalg.norm(estimate[part]) / np.linalg.norm(gradient[part])
        assert size == pytest.approx(factor, rel=0.1)
    if exact_output:
        assert estimate[hidden:] == pytest.approx(gradient[hidden:], abs=1e-6), "exact, not only on average"


def test_the_presets_are_their_switches():
    weights = random_network([3, 5, 4, 2], 13)
    observation, noise = [0.3, -1.0, 0.5], list(np.random.default_rng(14).choice([-1.0, 1.0], 11))
    for kind, preset, exact_output, units in ((NrlEdge, "edge", True, 9), (NrlPaper, "paper", False, 11)):
        plain = rule_with_weights(kind, weights, preset=preset)
        switched = rule_with_weights(
            kind, weights, preset=preset, exact_output=exact_output, layer_factors=not exact_output
        )
        assert plain.noise_units == units
        for rule in (plain, switched):
            act(rule, observation, noise[:units], 0.5)
        for mine, other in zip(plain.traces.take(ALL), switched.traces.take(ALL), strict=True):
            assert np.array_equal(mine, other)
        assert plain.layer_factors == switched.layer_factors


def test_switches_and_the_frozen_control_go_together():
    weights = random_network([3, 5, 2], 15)
    rule = rule_with_weights(NrlEdge, weights, freeze_hidden=True, layer_factors=True, exact_output=False)
    assert rule.layer_factors == [0.0, 2 / 7]
    immediate = rule_with_weights(NrlEdge, weights, layer_factors=True, exact_output=False, reward="immediate")
    assert immediate.layer_factors == [1.0, 1.0], "noise is normalised layer by layer"


def test_the_random_policy_draws_every_action_alike_and_learns_nothing():
    agents, steps = 50, 600
    settings = LearningSettings(rule="random")
    rule = RandomPolicy((2, 4, 3), [settings] * agents, [agent_generator(seed) for seed in range(agents)])
    before = [weights.copy() for weights in rule.weights]
    uniform = np.random.default_rng(20261124).random((steps, agents))
    drawn = np.array([rule.act(np.full((agents, 2), 9.0), np.zeros((agents, 0)), each) for each in uniform])
    rule.learn(ALL, np.ones(agents))
    expected = steps * agents / 3
    assert np.abs(np.bincount(drawn.reshape(-1), minlength=3) - expected).max() < 5.0 * math.sqrt(expected * 2 / 3)
    assert set(drawn.reshape(-1)) == {0, 1, 2}
    assert all(np.array_equal(now, then) for now, then in zip(rule.weights, before, strict=True))
    assert (rule.act(np.zeros((2, 2)), np.zeros((2, 0)), np.array([0.0, np.nextafter(1.0, 0.0)])) == [0, 2]).all()
