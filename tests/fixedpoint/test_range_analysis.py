from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from far_task import FarTask

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import (
    experiment_ranges,
    experiment_scale_exponents,
    experiment_text,
    explicit_experiment,
    learning_settings,
    make_experiment_task,
    parse_experiment,
    resolve_agent,
    task_settings,
)
from nrl_edge.fixedpoint.configuration import Formats
from nrl_edge.fixedpoint.ranges.analysis import FixedFormats, analyse_ranges
from nrl_edge.fixedpoint.ranges.magnitudes import Magnitudes
from nrl_edge.fixedpoint.ranges.saturation import compare_saturation
from nrl_edge.fixedpoint.ranges.scales import choose_scale_exponents
from nrl_edge.fixedpoint.ranges.simulation import probe_task, simulate_ranges
from nrl_edge.learning import LearningSettings, train
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import TaskSettings

FAR = "far_task:Far-v0"


def far(kwargs: str, *, extra: str = "", hidden: str = "[16]", reward: str = "immediate", kind: str = "int16") -> str:
    return (
        f'[task]\nid = "{FAR}"\nreward = "{reward}"\nkwargs = {{ {kwargs} }}\n{extra}\n[network]\nhidden = {hidden}\n'
        f'[learning]\nlearning_rate = "2^-5"\n[arithmetic]\nkind = "{kind}"\n'
    )


def learned(text: str, trials: int, seed: int) -> tuple[float, int, NativeAgent]:
    """Mean reward of the last 300 trials of a native agent, saturated observations, and the agent."""
    experiment = parse_experiment(text)
    task = make_experiment_task(experiment)
    agent = NativeAgent(resolve_agent(experiment), EntropySettings("seeded", seed))
    lockstep = Lockstep(agent, task, seed)
    returns = [lockstep.run_episode(trial).episode_return for trial in range(trials)]
    task.close()
    return float(np.mean(returns[-300:])), lockstep.saturated_observations, agent


def test_magnitudes_count_what_numpy_counts() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate((random.standard_normal(5000), np.exp(3 * random.standard_normal(5000)), np.zeros(100)))
    magnitudes = Magnitudes()
    magnitudes.add(values[:4000].reshape(40, 100))
    magnitudes.add(-values[4000:])
    sizes = np.abs(values)
    assert magnitudes.count == len(values)
    assert magnitudes.maximum == sizes.max()
    assert magnitudes.rms == pytest.approx(math.sqrt((values**2).sum() / np.count_nonzero(values)))
    for limit in (0.25, 0.5, 1.0, 8.0):  # edges of bins, so that nothing is approximate
        assert magnitudes.share_above(limit) == pytest.approx((sizes >= limit).mean())
        assert magnitudes.lost_below(limit) == pytest.approx(sizes[sizes < limit].sum() / sizes.sum(), abs=0.01)
    assert magnitudes.share_above(sizes.max()) == 0.0
    assert Magnitudes().rms == Magnitudes().lost_below(1.0) == Magnitudes().share_above(1.0) == 0.0


def test_scales_bring_inputs_to_the_order_of_one() -> None:
    maxima = np.array([0.0, 0.5, 1.0, 32.0, 33.0, 0.21, 1e-3, 1e4, 1e-300])
    exponents = choose_scale_exponents(maxima)
    assert exponents == (0, 0, 0, 0, -4, 3, 11, -12, 30)
    scaled = maxima[4:8] * np.ldexp(1.0, exponents[4:8])
    assert scaled.min() >= math.sqrt(2) and scaled.max() <= 2 * math.sqrt(2)


def test_automatic_scales_are_those_that_were_measured_to_be_good() -> None:
    def scale(task: str, preset: str = "edge") -> object:
        text = f'[task]\nid = "{task}"\n[learning]\npreset = "{preset}"\n[arithmetic]\nkind = "float64"'
        return experiment_scale_exponents(parse_experiment(text))

    assert scale("CartPole-v1") == (0, 0, 3, 0)
    assert scale("Acrobot-v1") == scale("NRL/XOR-v0") == scale("FrozenLake-v1") == 0
    assert scale("CartPole-v1", "paper") == 0


def test_probing_is_always_the_same_and_reports_what_diverges() -> None:
    first, second = probe_task(TaskSettings("CartPole-v1")), probe_task(TaskSettings("CartPole-v1", {}, 3))
    assert np.array_equal(first.maxima, second.maxima) and np.array_equal(first.observations, second.observations)
    assert first.maxima.shape == (4,) and len(first.observations) >= 32
    assert 0.15 < first.maxima[2] < 0.25
    with pytest.raises(RunError, match="input 0 is nan"):
        probe_task(TaskSettings(FAR, {"magnitude": math.nan}))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["cartpole", "acrobot"])
def test_analysis_depends_on_the_experiment_alone_and_explains_itself(task: str) -> None:
    experiment = parse_experiment(experiment_text(task))
    started = time.process_time()
    settings = task_settings(experiment), experiment.network.hidden, learning_settings(experiment)
    report = analyse_ranges(*settings)
    assert time.process_time() - started < 3.0
    assert report.formats == Formats(16, 10 if task == "cartpole" else 9, 12, 5, 8)
    assert report == analyse_ranges(*settings)
    assert report == experiment_ranges(experiment.with_overrides(seed=7, episodes=3))
    table = report.table()
    assert len({len(row) for row in table}) == 1
    by_name = {each.quantity: each for each in report.quantities}
    for name in ("observation", "pre-activation", "weight", "row norm", "logit", "difference", "trace", "return"):
        assert by_name[name].reason
        assert by_name[name].saturated == 0.0
        assert by_name[name].margin_bits > 0.0
    # The derived bounds hold what was seen.
    for name in ("pre-activation", "logit", "difference", "trace", "return"):
        bound = by_name[name].bound
        assert bound is not None and bound >= by_name[name].seen
    assert by_name["return"].bound == 500.0
    if task == "acrobot":
        assert by_name["observation"].bound == pytest.approx(9 * math.pi)


def test_what_the_file_gives_stays() -> None:
    text = experiment_text("cartpole")
    given = parse_experiment(
        text.replace('formats = "auto"', "formats = { trace_frac_bits = 7, reward_frac_bits = 4 }")
    )
    assert resolve_agent(given).formats == Formats(16, 10, 12, 7, 4)
    scaled = parse_experiment(text.replace("[1, 1, 8, 1]", "[1, 1, 64, 1]"))
    assert experiment_scale_exponents(scaled) == (0, 0, 6, 0)
    # Bounds of +-0.418 rad x 64 = 26.8, and twice that, need one more bit.
    assert resolve_agent(scaled).formats.observation_frac_bits == 9
    explicit = explicit_experiment(parse_experiment(far("magnitude = 1e4")), Formats(16, 9, 12, 8, 8))
    assert explicit.task.observation_scale == 2.0**-13 or set(explicit.task.observation_scale) == {2.0**-13}
    assert resolve_agent(explicit).formats == Formats(16, 9, 12, 8, 8)
    assert parse_experiment(explicit.to_toml()) == explicit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "part"),
    [
        (far("magnitude = 1e4", extra="observation_scale = 8"), r"as large as .*task\.observation_scale"),
        (far("magnitude = 1e-3", extra="observation_scale = 1"), r"typical scaled observations are only 0\.00"),
        (far("") + "formats = { trace_frac_bits = 0 }", r"trace_frac_bits = 0: \d+% .* hidden layers would not learn"),
        (far("reward = 1e-7"), r"rewards are at most 1e-07 and round to zero"),
        (far("reward = 1e8", reward="delayed"), r"returns are as large as 1e\+08"),
        (far("").replace("2^-5", "2^-20").replace("kwargs = {  }", "kwargs = { reward = 0.04 }"), r"learning_rate"),
        (far("inputs = 65"), r"inputs = 65"),
        (far("actions = 17"), r"actions = 17"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(text: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part) as caught:
        resolve_agent(parse_experiment(text, "mine.toml"))
    assert str(caught.value).startswith("mine.toml: ")


@pytest.mark.slow
def test_refused_traces_would_not_have_learned_and_tiny_ones_do_not_round_away() -> None:
    # What the refusal above says, checked on the agent itself: with Q0 traces hidden weights hardly ever move.
    experiment = parse_experiment(far("magnitude = 0.5"))
    good = resolve_agent(experiment)
    moved = {}
    for name, configuration in (
        ("good", good),
        ("refused", replace(good, formats=replace(good.formats, trace_frac_bits=0))),
    ):
        task = make_experiment_task(experiment)
        agent = NativeAgent(configuration, EntropySettings("seeded", 3))
        start = agent.weights()[0].astype(int)
        lockstep = Lockstep(agent, task, 3)
        for trial in range(600):
            lockstep.run_episode(trial)
        moved[name] = np.abs(agent.weights()[0].astype(int) - start).mean()
        task.close()
    assert moved["refused"] < 0.25 * moved["good"]
    tiny = resolve_agent(parse_experiment(far("", kind="tiny") + "formats = { trace_frac_bits = 0 }"))
    assert tiny.formats.trace_frac_bits == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "trials", "at_least"),
    [
        ("inputs = 4, actions = 2, magnitude = 1e-3", 1500, 0.95),
        ("inputs = 4, actions = 2, magnitude = 1e4", 1500, 0.95),
        ("inputs = 12, actions = 4, magnitude = 1e-3, spread = 6.0", 4000, 0.7),
        ("inputs = 64, actions = 16, magnitude = 1e-3", 5000, 0.7),
        ("inputs = 64, actions = 16, magnitude = 1e4", 5000, 0.7),
    ],
)
def test_agents_far_from_the_defaults_learn_without_tuning(kwargs: str, trials: int, at_least: float) -> None:
    score, saturated, agent = learned(far(kwargs), trials, seed=11)
    assert score >= at_least  # chance is 1 / actions
    assert saturated == 0
    counters = agent.counters()
    assert counters.observation == counters.pre_activation == counters.trace == 0


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["immediate", "delayed"])
@pytest.mark.parametrize("kind", ["int16", "tiny"])
@pytest.mark.parametrize("magnitude", ["1e-3", "1.0", "1e4"])
def test_far_agents_learn_in_every_arithmetic(reward: str, kind: str, magnitude: str) -> None:
    text = far(f"inputs = 32, actions = 4, magnitude = {magnitude}", reward=reward, kind=kind)
    assert np.mean([learned(text, 4000, seed)[0] for seed in (1, 2, 3)]) >= 0.8


def test_the_simulation_is_the_trainers_rule() -> None:
    settings = LearningSettings(reward="immediate", episodes=40)
    result = train(TaskSettings("NRL/XOR-v0"), (4, 4), settings, [5, 6])
    ranges = simulate_ranges(TaskSettings("NRL/XOR-v0"), (4, 4), settings, seeds=[5, 6], steps=0, episodes=40)
    assert ranges.episode_return.count == result.returns.size
    assert ranges.episode_return.maximum == 1.0
    rewards = ranges.reward
    assert (rewards.count, rewards.rms) == (80, 1.0)
    assert max(float(np.abs(weights).max()) for weights in result.weights) <= ranges.weight.maximum


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "counter"),
    [
        ({}, None),
        ({"observation_frac_bits": 14}, "observation"),
        ({"parameter_bits": 8, "weight_frac_bits": 5, "trace_frac_bits": 6}, "trace"),
        ({"weight_frac_bits": 15}, "weight"),
    ],
)
def test_saturation_is_predicted(changes: dict[str, int], counter: str | None) -> None:
    experiment = parse_experiment(experiment_text("cartpole"))
    agent = resolve_agent(experiment)
    agent = replace(agent, formats=replace(agent.formats, **changes))
    rows = compare_saturation(task_settings(experiment), agent, learning_settings(experiment), [1, 2], 40)
    assert [row.counter for row in rows] == ["observation", "pre_activation", "difference", "trace", "weight"]
    for row in rows:
        assert row.values > 0
        if row.counter == counter:
            assert row.counted > 0
            # Two runs of a chaotic system, and a trace at its limit is counted less often than one beyond it.
            assert row.counted_share / 4 < row.predicted < 12 * row.counted_share
        elif counter is None:
            assert row.counted == 0 and row.predicted == 0.0


def test_a_comparison_needs_seeds() -> None:
    experiment = parse_experiment(experiment_text("xor"))
    with pytest.raises(ConfigurationError, match="0 seeds"):
        compare_saturation(task_settings(experiment), resolve_agent(experiment), learning_settings(experiment), [], 5)


def test_a_task_with_bounds_that_say_nothing_keeps_its_resolution() -> None:
    class Loose(FarTask):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = type(self.observation_space)(-1e5, 1e5, (8,), np.float64)

    import gymnasium

    gymnasium.register("Loose-v0", entry_point=Loose)
    try:
        settings = LearningSettings(reward="immediate")
        report = analyse_ranges(TaskSettings("Loose-v0"), (8,), settings, fixed=FixedFormats(weight_frac_bits=11))
        assert report.formats == Formats(16, 10, 11, 8, 8)
    finally:
        del gymnasium.registry["Loose-v0"]
