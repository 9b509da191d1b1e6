"""Automatic formats of agents with several noise draws, of preset actor-critic, and with continuous actions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as some

from nrl_edge.agent import Counters, EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    Experiment,
    experiment_ranges,
    experiment_scale_exponents,
    learning_settings,
    make_experiment_task,
    parse_experiment,
    resolve_agent,
    task_settings,
)
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.fixedpoint.ranges.bounds import largest_share, trace_bound
from nrl_edge.fixedpoint.ranges.measured_rules import Ranges
from nrl_edge.fixedpoint.ranges.saturation import compare_saturation
from nrl_edge.fixedpoint.ranges.simulation import simulate_ranges
from nrl_edge.learning import LearningSettings, train
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import TaskSettings
from nrl_edge.validation import PREDICTION_FACTOR, PREDICTION_SLACK

CARTPOLE, PENDULUM = 'id = "CartPole-v1"', 'id = "Pendulum-v1"'
CLASSIC = TaskSettings("CartPole-v1", {}, (0, 0, 3, 0))
PENDULUM_LEARNS = (
    'preset = "actor-critic"\nnoise_draws = 4\nclip = 0.03125\ncritic_features = "cubes"\ndiscount = 0.984375\n'
    "block_steps = 2"
)


def made(task: str, learning: str, *, hidden: str = "[64]", kind: str = "int16", formats: str = "") -> Experiment:
    given_formats = f"formats = {{ {formats} }}" if formats else ""
    return parse_experiment(
        f"[task]\n{task}\n[network]\nhidden = {hidden}\n[learning]\n{learning}\n"
        f'[arithmetic]\nkind = "{kind}"\n{given_formats}\n'
    )


def run(experiment: Experiment, episodes: int, seed: int) -> tuple[list[float], Counters, NativeAgent]:
    """Returns of a native agent, what it saturated, and the agent."""
    task = make_experiment_task(experiment)
    agent = NativeAgent(resolve_agent(experiment), EntropySettings("seeded", seed))
    lockstep = Lockstep(agent, task, seed)
    returns = [lockstep.run_episode(episode).episode_return for episode in range(episodes)]
    task.close()
    return returns, agent.counters(), agent


# Formats


@pytest.mark.parametrize(("draws", "bits"), [(1, 5), (2, 6), (4, 7)])
def test_traces_of_several_draws_get_the_bits_that_were_measured_to_be_good(draws: int, bits: int) -> None:
    experiment = made(CARTPOLE, f'noise_draws = {draws}\nlearning_rate = "2^-6"\nclip = 0.5')
    assert resolve_agent(experiment).formats == Formats(16, 10, 12, bits, 8)
    # The lost share is that of a draw's own part of a step's: four times as small, so lost as early by two bits.
    finest = {each.quantity: each for each in experiment_ranges(experiment).quantities}["trace step"]
    assert "% of the hidden updates round to zero" in finest.reason
    assert float(finest.reason.partition("%")[0]) <= 8.0


def test_a_draws_own_share_is_what_rounds_to_zero() -> None:
    # Traces that hold a step of one draw lose that of four: 48% in the simulation where it was 5%.
    for draws, refused in ((1, False), (4, True)):
        experiment = made(CARTPOLE, f"noise_draws = {draws}", formats="trace_frac_bits = 2")
        if refused:
            with pytest.raises(ConfigurationError, match=r"of what the 4 noise draws of a step add to hidden traces"):
                resolve_agent(experiment)
        else:
            assert resolve_agent(experiment).formats.trace_frac_bits == 2


@pytest.mark.parametrize(
    ("task", "learning", "expected"),
    [
        (CARTPOLE, 'preset = "actor-critic"', Formats(16, 10, 12, 8, 8)),
        (CARTPOLE, 'preset = "actor-critic"\nnoise_draws = 4', Formats(16, 10, 12, 8, 8)),
        ('id = "Acrobot-v1"', 'preset = "actor-critic"', Formats(16, 9, 12, 8, 8)),
        (PENDULUM, PENDULUM_LEARNS, Formats(16, 10, 11, 8, 8)),
    ],
)
def test_formats_that_learned_are_kept(task: str, learning: str, expected: Formats) -> None:
    experiment = made(task, learning)
    assert resolve_agent(experiment).formats == expected
    by_name = {each.quantity: each for each in experiment_ranges(experiment).quantities}
    for name in ("observation", "pre-activation", "weight", "trace", "reward", "value", "critic weight"):
        assert by_name[name].saturated == 0.0, name
        assert by_name[name].margin_bits > 0.0, name
    assert by_name["trace"].bound is not None and by_name["trace"].bound < by_name["trace"].limit
    assert ("mean" in by_name) == ("action" in by_name) == (task == PENDULUM)
    assert len({len(row) for row in experiment_ranges(experiment).table()}) == 1


def test_a_critic_that_diverges_gets_smaller_inputs() -> None:
    assert experiment_scale_exponents(made(PENDULUM, PENDULUM_LEARNS)) == (0, 0, -2)
    # The other preset has no critic, and CartPole's is well with what it sees.
    assert experiment_scale_exponents(made(PENDULUM, "")) == 0
    assert experiment_scale_exponents(made(CARTPOLE, 'preset = "actor-critic"')) == (0, 0, 3, 0)


@pytest.mark.parametrize(
    ("task", "learning", "part"),
    [
        (f"{PENDULUM}\nobservation_scale = 1", PENDULUM_LEARNS, r"critic diverges: .*task.observation_scale"),
        (f"{PENDULUM}\nobservation_scale = 64", PENDULUM_LEARNS, r"as large as 512 .* at least 7 fraction bits"),
        ('id = "far_task:Far-v0"\nkwargs = { reward = 1e3 }', 'preset = "actor-critic"', r"end at 64: divide the rew"),
        ('id = "far_task:Far-v0"\nkwargs = { reward = 1e-3 }', 'preset = "actor-critic"', r"multiply the rewards"),
        ('id = "far_task:Far-v0"\nkwargs = { reward = 1e7 }', 'preset = "actor-critic"', r"rewards are as large as 1e"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(task: str, learning: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        resolve_agent(made(task, learning, hidden="[16]"))


# Bounds


@pytest.mark.parametrize("block_steps", [1, 2, 4])
@pytest.mark.parametrize("continuous", [False, True])
def test_bounds_of_online_traces_hold_what_is_seen(block_steps: int, continuous: bool) -> None:
    task = TaskSettings("Pendulum-v1", {}, (0, 0, -2)) if continuous else CLASSIC
    settings = LearningSettings(preset="actor-critic", block_steps=block_steps, noise_draws=2)
    ranges = simulate_ranges(task, (16,), settings, steps=800)
    bound = trace_bound(ranges, 500, block_steps)
    assert ranges.trace.maximum <= bound <= 2 * block_steps * largest_share(ranges)


def test_a_trace_of_equal_steps_comes_to_the_end_of_its_geometric_series() -> None:
    ranges = Ranges((1, 1, 2), immediate=False, online=True)
    ranges.observation.add(np.array([1.0]))
    ranges.hidden_share.add(np.array([5.0, -1.0]))
    trace = 0.0
    for _ in range(30):
        trace = trace / 2.0 + 4 * 5.0
    assert trace == pytest.approx(trace_bound(ranges, 500, 4)) == 40.0
    # A short episode ends before that.
    assert trace_bound(ranges, 3, 4) == 15.0
    # Draws may agree, but d ends at 8 whatever they do.
    several = Ranges((1, 1, 2), immediate=False, online=True, noise_draws=4)
    several.observation.add(np.array([1.0]))
    several.hidden_share.add(np.array([1.5]))
    assert trace_bound(several, 500, 4) == 48.0
    assert largest_share(several) == 8.0


# What is simulated is what runs


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("continuous", [False, True])
def test_the_simulation_is_the_trainers_rule(draws: int, continuous: bool) -> None:
    task = TaskSettings("Pendulum-v1", {}, (0, 0, -2)) if continuous else CLASSIC
    settings = LearningSettings(preset="actor-critic", episodes=4, noise_draws=draws)
    result = train(task, (4, 4), settings, [5, 6])
    ranges = simulate_ranges(task, (4, 4), settings, seeds=[5, 6], steps=0, episodes=4)
    returns = result.returns if continuous else result.returns[:1]
    # The one that ends first goes on until the other has done its episodes too.
    assert ranges.episode_return.maximum >= np.abs(returns).max()
    if continuous:  # all of Pendulum's episodes are equally long
        assert ranges.episode_return.count == 8
        assert ranges.episode_return.maximum == np.abs(result.returns).max()
        assert ranges.episode_return.rms == pytest.approx(math.sqrt(np.square(result.returns).mean()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "learning", "formats", "counter"),
    [
        (CARTPOLE, 'preset = "actor-critic"', "observation_frac_bits = 14, weight_frac_bits = 12", "observation"),
        (CARTPOLE, 'preset = "actor-critic"', "trace_frac_bits = 12", "trace"),
        (CARTPOLE, 'preset = "actor-critic"', "weight_frac_bits = 15", "weight"),
        (PENDULUM, "noise_draws = 4", "trace_frac_bits = 11", "trace"),
        (PENDULUM, PENDULUM_LEARNS, "observation_frac_bits = 14", "observation"),
    ],
)
def test_saturation_is_predicted(task: str, learning: str, formats: str, counter: str) -> None:
    experiment = made(task, learning, formats=formats)
    agent = resolve_agent(experiment)
    for row in compare_saturation(task_settings(experiment), agent, learning_settings(experiment), [1, 2], 40):
        if row.counter == counter:
            assert row.counted > 0
            # Two runs of a chaotic system, and what is at its limit is counted less often than what is beyond.
            assert row.counted_share / 4 < row.predicted < 12 * row.counted_share


# Whatever the experiment


@some.composite
def experiments(draw: some.DrawFn) -> Experiment:
    """A network, and a task far from the defaults."""
    continuous = draw(some.booleans())
    online = draw(some.booleans())
    inputs = draw(some.sampled_from((1, 2, 5, 16, 64)))
    actions = draw(some.sampled_from((1, 3, 16) if continuous else (2, 3, 16)))
    magnitude = 10.0 ** draw(some.integers(-3, 4))
    spread = draw(some.sampled_from((0.0, 3.0)))
    steps = draw(some.sampled_from((1, 20)))
    hidden = draw(some.sampled_from(("[4]", "[16]", "[128]", "[8, 24]", "[6, 6, 6]")))
    reward = "delayed" if online else draw(some.sampled_from(("delayed", "immediate")))
    kind = draw(some.sampled_from(("int16", "int16", "tiny")))
    learning = f"noise_draws = {draw(some.sampled_from((1, 2, 4)))}\n"
    if online:
        features = draw(some.sampled_from(("products", "squares", *(("cubes",) if inputs <= 8 else ()))))
        # With 127/128 a single reward of 1 is an error of 1/128, and half of what that comes to is nothing.
        learning += f'preset = "actor-critic"\nblock_steps = {draw(some.sampled_from((1, 2, 4)))}\n'
        learning += f'critic_features = "{features}"\ndiscount = 0.9375\n'
    else:
        # The weights of a Gaussian policy grow beyond every format with 2^-5, in float64 too.
        learning += f'learning_rate = "{"2^-8" if continuous else "2^-5"}"\n'
    task = (
        f'id = "far_task:{"FarReach" if continuous else "Far"}-v0"\nreward = "{reward}"\n'
        f"kwargs = {{ inputs = {inputs}, actions = {actions}, magnitude = {magnitude!r}, spread = {spread}, "
        f"steps = {steps} }}"
    )
    return made(task, learning, hidden=hidden, kind=kind)


def nothing_rounds_to_zero(experiment: Experiment, agent: AgentConfiguration) -> None:
    """Observations keep four bits, and most of what hidden traces get is left of it."""
    by_name = {each.quantity: each for each in experiment_ranges(experiment).quantities}
    assert by_name["observation"].seen * 2.0**agent.formats.observation_frac_bits >= 16.0
    if agent.formats.parameter_bits == 16:
        assert float(by_name["trace step"].reason.partition("%")[0]) <= 50.0


@pytest.mark.slow
@settings(max_examples=8)
@given(experiments())
def test_formats_hold_what_is_computed_in_them_and_nothing_rounds_away(experiment: Experiment) -> None:
    try:
        agent = resolve_agent(experiment)
    except ConfigurationError as error:
        # The weights of a Gaussian policy that learns by returns may grow until no format holds the hidden units.
        assert "FarReach" in experiment.task.id and experiment.learning.preset == "edge", error
        assert "hidden units as large as" in str(error)
        reject()
    nothing_rounds_to_zero(experiment, agent)
    steps = 1 if "steps = 1 " in experiment.to_toml() else 20
    rows = compare_saturation(task_settings(experiment), agent, learning_settings(experiment), [1, 2], 600 // steps)
    for row in rows:
        # A handful of values says nothing of shares.
        few = max(PREDICTION_SLACK, 10 / row.values)
        if agent.continuous and row.counter == "difference":
            # They are as large as the weights, and those of a Gaussian policy part from run to run.
            few = max(few, 0.01)
        assert row.counted_share <= max(PREDICTION_FACTOR * row.predicted, few), (row, agent.description)
        # Differences are coarse on purpose, and 8-bit traces hold no tails.
        if row.counter in ("observation", "pre_activation", "weight"):
            assert row.counted_share <= PREDICTION_SLACK, (row, agent.description)
        if row.counter == "trace" and agent.formats.parameter_bits == 16:
            assert row.counted_share <= PREDICTION_SLACK, (row, agent.description)


# It learns


def learns_cartpole(experiment: Experiment, episodes: int, saturated_traces: int) -> None:
    for seed in (1, 2, 3):
        returns, counters, _ = run(experiment, episodes, seed)
        best = max(np.convolve(returns, np.full(100, 0.01), "valid"))
        assert best >= 475.0, (seed, best)
        assert counters.observation == counters.pre_activation == 0
        assert counters.trace <= saturated_traces


@pytest.mark.slow
def test_cartpole_is_learned_with_four_draws() -> None:
    learns_cartpole(made(CARTPOLE, 'noise_draws = 4\nlearning_rate = "2^-5"\nclip = 0.5'), 400, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "tiny"])
@pytest.mark.parametrize("factor", ["1e-3", "1e4"])
def test_an_online_agent_learns_cartpole_in_other_units(factor: str, kind: str) -> None:
    task = f'id = "far_task:ScaledCartPole-v1"\nkwargs = {{ factor = {factor} }}'
    learns_cartpole(made(task, 'preset = "actor-critic"', kind=kind), 300, 0 if kind == "int16" else 1000)


@pytest.mark.slow
def test_pendulum_is_learned_and_does_not_saturate() -> None:
    experiment = made(PENDULUM, PENDULUM_LEARNS)
    returns, counters, agent = run(experiment, 900, 5)
    assert np.mean(returns[:50]) < -900.0 and max(np.convolve(returns, np.full(100, 0.01), "valid")) > -400.0
    assert counters.observation == counters.pre_activation == counters.trace == 0
    updates = agent.steps // 2
    assert counters.weight <= 1e-4 * updates * agent.configuration.parameters
    # Differences end at 8 on purpose: the few beyond are those of an agent that is already sure.
    assert counters.difference <= 0.05 * agent.steps * 4 * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "trials", "at_least"),
    [
        ("inputs = 64, actions = 16, magnitude = 1e-3", 12000, 0.7),
        ("inputs = 64, actions = 16, magnitude = 1e4", 12000, 0.7),
    ],
)
def test_online_agents_far_from_the_defaults_learn_without_tuning(kwargs: str, trials: int, at_least: float) -> None:
    task = f'id = "far_task:Far-v0"\nkwargs = {{ {kwargs} }}'
    returns, counters, _ = run(made(task, 'preset = "actor-critic"\nnoise_draws = 4', hidden="[16]"), trials, 11)
    assert np.mean(returns[-1000:]) >= at_least  # chance is 1/16
    assert counters.observation == counters.pre_activation == counters.trace == 0


@pytest.mark.slow
@pytest.mark.parametrize("magnitude", ["1e-3", "1e4"])
@pytest.mark.parametrize("kind", ["int16", "tiny"])
def test_continuous_agents_far_from_the_defaults_learn_as_float64_does(magnitude: str, kind: str) -> None:
    task = f'id = "far_task:FarReach-v0"\nkwargs = {{ inputs = 64, actions = 4, magnitude = {magnitude} }}'
    learning = 'preset = "actor-critic"\nnoise_draws = 4\nepisodes = 6000'
    exact = made(task, learning, hidden="[16]", kind="float64")
    expected = train(task_settings(exact), (16,), learning_settings(exact), [1, 2, 3, 4]).returns
    returns, counters, _ = run(made(task, learning, hidden="[16]", kind=kind), 6000, 7)
    # A trial earns 0.49 at first, and float64 agents come to 0.66.
    assert expected[:, -500:].mean() > expected[:, :500].mean() + 0.1
    assert np.mean(returns[-500:]) > expected[:, -500:].mean() - 0.06
    assert counters.observation == counters.pre_activation == counters.weight == 0
    assert counters.trace == 0 or kind == "tiny"
