"""Validates an experiment: is it the same everywhere, does it learn, and does it learn for the reason we think?

Each finding is one claim with a figure and a verdict. What is claimed, and the margins, are in docs/validation.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge import statistics
from nrl_edge.agent import EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes, step_draw_bytes
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    ArithmeticSection,
    EntropySection,
    Experiment,
    Float64Section,
    check_experiment,
    learning_settings,
    make_experiment_task,
    resolve_agent,
    task_settings,
)
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import GAUSSIAN_BYTES, AgentConfiguration
from nrl_edge.fixedpoint.policy import GaussianChoice
from nrl_edge.fixedpoint.ranges.saturation import compare_saturation
from nrl_edge.learning import train
from nrl_edge.learning.network import forward, layer_sizes, output_error, sample_action, softmax
from nrl_edge.learning.reinforce import backpropagate
from nrl_edge.learning.streams import agent_generator
from nrl_edge.learning.trainer import make_rule
from nrl_edge.lockstep import CONTINUOUS_ONE, Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.runs import snapshot_weights
from nrl_edge.runs.snapshot import without_entropy
from nrl_edge.study.cells import CellResult
from nrl_edge.study.definition import Variant
from nrl_edge.study.plan import plan_jobs
from nrl_edge.study.schedule import LocalScheduler, Scheduler
from nrl_edge.study.table import Summary, summarise
from nrl_edge.tasks import episode_seed

Floats = NDArray[np.float64]

DEFAULT_SEEDS = 40
FIRST_SEED = 900_000
"""Seeds of a validation start here: no default of the project was chosen on them."""
EQUIVALENCE_EPISODES = 20
SATURATION_SEEDS, SATURATION_EPISODES = 2, 40
"""Runs and their episodes in which predicted and counted saturation are compared."""
PREDICTION_FACTOR, PREDICTION_SLACK = 4.0, 1e-4
"""Counted shares may be so many times the predicted ones, or up to so much where hardly anything saturates."""

EPISODES_MARGIN = 1.25
"""Level: the upper end of the interval of the ratio of median episodes is at most this."""
REACHED_MARGIN = 0.05
"""Level: at most this share of the seeds fewer reached the threshold."""
GAIN_MARGIN = 0.9
"""Level: the lower end of the interval of the ratio of gains in return is at least this."""
ALIGNMENT_LIMIT = 0.9
"""Aligned: the cosine of the mean estimate with the gradient is at least this."""
SATURATION_LIMIT = 1e-3
"""Formats fit: of each quantity at most this share of all values did not."""
NEEDED_SHARE = 0.5
"""The hidden layers are needed where frozen ones come to at most this share: of seeds that reach the threshold, else of
the gain in return."""

ALIGNMENT_OBSERVATIONS = 16
DRAWS_A_UNIT = 50
"""Draws of noise an observation and noisy unit: by themselves they leave a cosine of about 0.99."""
STOCHASTIC_ROUNDING_DRAWS = 2
"""So many times the draws where traces round to whole numbers, at random: rounding is noise of its own."""
MAX_DRAWS = 400_000

Stage = Callable[[str, int], Callable[[float, str], None]]
"""Begins a stage with a title and a number of units; returns what is told how many of them are done, and a note."""
RunElsewhere = Callable[[Experiment], str]
"""Runs an experiment on some target and returns the CRC-32 of its weights, eight hexadecimal digits."""


@dataclass(frozen=True)
class Finding:
    """One line of a validation."""

    claim: str
    holds: bool
    figure: str
    """The figure that the verdict rests on, for people."""
    details: dict[str, Any]
    """The numbers, for programs."""

    @property
    def verdict(self) -> str:
        """holds, or does not hold."""
        return "holds" if self.holds else "does not hold"

    def as_dict(self) -> dict[str, Any]:
        """The finding with its verdict in words."""
        return asdict(self) | {"verdict": self.verdict}


def _no_stage(title: str, units: int) -> Callable[[float, str], None]:
    return lambda done, note: None


def validate(
    experiment: Experiment,
    seeds: Sequence[int],
    *,
    targets: Sequence[tuple[str, RunElsewhere]] = (),
    scheduler: Scheduler | None = None,
    stage: Stage = _no_stage,
) -> Iterator[Finding]:
    """Yield the findings of an experiment one after the other.

    `seeds` are those of the learning runs; `targets` are places besides this process where firmware runs, each with a
    name. A float64 experiment has no equivalence and no formats. Raises ConfigurationError for an experiment of another
    rule than NRL, MissingToolError without the extra `evidence` or a C compiler.
    """
    if experiment.learning.rule != "nrl":
        raise ConfigurationError(
            f"{experiment.name}: learning.rule = {experiment.learning.rule}: what is validated is nrl; the baselines "
            "are run beside it"
        )
    if len(seeds) < 2:
        raise ConfigurationError(f"{len(seeds)} seeds: a confidence interval needs at least 2")
    statistics.require_statistics()
    configuration = None if experiment.arithmetic.kind == "float64" else resolve_agent(experiment)
    if configuration is not None:
        yield from _equivalence(experiment, configuration, targets, stage)

    variants = {each.label: each for each in _variants(experiment, configuration)}
    summaries, cells = _learn(list(variants.values()), seeds, scheduler or LocalScheduler(), stage)
    mine = summaries["fixed point" if configuration is not None else "float64"]
    if configuration is not None:
        yield _parity("fixed point learns level with float64", mine, summaries["float64"])
    yield _parity("it learns level with REINFORCE", mine, summaries["REINFORCE"])
    yield _alignment(experiment, configuration, seeds[0], stage)
    yield _frozen_control(summaries["float64"], summaries["frozen"])
    if configuration is not None:
        yield _formats(configuration, cells)
        yield _saturation(experiment, configuration, seeds[:SATURATION_SEEDS], stage)


def _equivalence(
    experiment: Experiment,
    configuration: AgentConfiguration,
    targets: Sequence[tuple[str, RunElsewhere]],
    stage: Stage,
) -> Iterator[Finding]:
    episodes = min(EQUIVALENCE_EPISODES, experiment.learning.episodes)
    advance = stage("reference and native, weights compared after every episode", episodes)
    task_a, task_b = make_experiment_task(experiment), make_experiment_task(experiment)
    entropy = EntropySettings("seeded", experiment.entropy.seed)
    reference, native = reference_agent(configuration, entropy), NativeAgent(configuration, entropy)
    runs = (
        Lockstep(reference, task_a, experiment.episode_seed),
        Lockstep(native, task_b, experiment.episode_seed),
    )
    equal, steps = 0, 0
    try:
        for episode in range(episodes):
            expected, found = (run.run_episode(episode) for run in runs)
            steps += found.length
            if expected != found or reference.weights_crc32() != native.weights_crc32():
                break
            equal += 1
            advance(equal, "")
    finally:
        task_a.close()
        task_b.close()
    crc = f"{reference.weights_crc32():08x}"
    yield Finding(
        "native C computes what the reference does",
        equal == episodes,
        f"equal weights after {equal} of {episodes} episodes, {steps:,} steps, CRC-32 {crc}",
        {"episodes": episodes, "equal": equal, "steps": steps, "weights_crc32": crc},
    )
    short = replace(
        experiment,
        learning=replace(experiment.learning, episodes=episodes),
        entropy=EntropySection("seeded", experiment.entropy.seed),
    )
    for name, run in targets:
        stage(f"the same episodes on {name}", 1)
        found_crc = run(short)
        yield Finding(
            f"firmware on {name} computes what the reference does",
            equal == episodes and found_crc == crc,
            f"CRC-32 of the weights {found_crc} on {name}, {crc} in the reference, after {episodes} episodes",
            {"episodes": episodes, "weights_crc32": found_crc, "reference_weights_crc32": crc},
        )


def _variants(experiment: Experiment, configuration: AgentConfiguration | None) -> Iterator[Variant]:
    learning = experiment.learning
    network = "-".join(str(units) for units in experiment.network.hidden)

    def variant(label: str, changed: Experiment, agent: AgentConfiguration | None = None) -> Variant:
        return Variant(experiment.task.id, network, label, check_experiment(changed), agent)

    if configuration is not None:
        yield variant("fixed point", experiment, configuration)
    in_float = replace(experiment, arithmetic=ArithmeticSection("float64"))
    yield variant("float64", in_float)
    shared = Float64Section(gamma_avg=learning.float64.gamma_avg, zero_output=learning.float64.zero_output)
    reinforce = replace(learning, rule="reinforce", sigma=None, noise_draws=None, float64=shared)
    yield variant("REINFORCE", replace(in_float, learning=reinforce))
    frozen = replace(learning, float64=replace(learning.float64, freeze_hidden=True))
    yield variant("frozen", replace(in_float, learning=frozen))


def _learn(
    variants: Sequence[Variant], seeds: Sequence[int], scheduler: Scheduler, stage: Stage
) -> tuple[dict[str, Summary], list[CellResult]]:
    """Summaries by label, and the cells of fixed point."""
    total = len(variants) * len(seeds)
    advance = stage(f"learning with {len(seeds)} seeds: {', '.join(each.label for each in variants)}", total)
    cells: dict[tuple[str, int], CellResult] = {}
    jobs = plan_jobs(variants, seeds, (), scheduler.workers)
    for job, results in scheduler.run(jobs, lambda running: advance(len(cells) + running, "")):
        for result in results:
            cells[job.variant.label, result.seed] = result
        advance(len(cells), job.variant.label)
    ordered = [(variant, cells[variant.label, seed]) for variant in variants for seed in seeds]
    summaries = {each.variant.label: each for each in summarise(ordered)}
    return summaries, [result for variant, result in ordered if variant.configuration is not None]


def _gains(summary: Summary, start: float) -> Floats:
    """By how much the last 100 returns are above a run's beginning, (seeds,); nothing where learning diverged."""
    return np.array(
        [0.0 if row.mean_return_last_100 is None else row.mean_return_last_100 - start for row in summary.rows]
    )


def _start(*summaries: Summary) -> float:
    """Mean return of first episodes, before anything was learned."""
    first = [row.first_return for each in summaries for row in each.rows if row.first_return is not None]
    return float(np.mean(first)) if first else 0.0


def _parity(claim: str, mine: Summary, other: Summary) -> Finding:
    """Non-inferiority: the interval, not only the figure, has to be within the margin."""
    start = _start(mine, other)
    gain = statistics.ratio(_gains(mine, start), _gains(other, start), statistics.interquartile_mean)
    learned = float(np.mean(_gains(other, start))) > 0.0
    holds = learned and gain.low >= GAIN_MARGIN
    # The figure itself is within its margin, and its interval is not.
    too_wide = learned and gain.low < GAIN_MARGIN <= gain.value
    texts = []
    details: dict[str, Any] = {"seeds": len(mine.rows), "baseline": other.variant.label}
    improvement = statistics.probability_of_improvement(_gains(mine, start), _gains(other, start))
    if mine.has_threshold:
        medians = [float(np.median(each.episodes)) for each in (mine, other)]
        details |= {"reached": mine.reached, "baseline_reached": other.reached}
        details["median_episodes"] = [value if math.isfinite(value) else None for value in medians]
        texts.append(f"reached {mine.reached}/{len(mine.rows)} against {other.reached}/{len(other.rows)}")
        holds = holds and mine.reached >= other.reached - REACHED_MARGIN * len(mine.rows)
        if math.isfinite(medians[1]):
            ratio = statistics.ratio(mine.episodes, other.episodes)
            holds = holds and ratio.high <= EPISODES_MARGIN
            improvement = statistics.probability_of_improvement(mine.episodes, other.episodes, smaller_is_better=True)
            details["median_ratio"] = ratio.as_list()
            texts.append(f"median episodes {medians[0]:g} against {medians[1]:g}, ratio {ratio}")
            too_wide = too_wide or ratio.value <= EPISODES_MARGIN < ratio.high
    details |= {"gain_ratio": gain.as_list() if learned else None, "probability_of_improvement": improvement.as_list()}
    texts.append(f"IQM of gains in return, ratio {gain}" if learned else "the baseline learned nothing")
    texts.append(f"P(better) {improvement}")
    if too_wide:
        texts.append("more seeds would narrow the interval")
    return Finding(claim, bool(holds), "; ".join(texts), details)


def _frozen_control(learned: Summary, frozen: Summary) -> Finding:
    start = _start(learned, frozen)
    gains = _gains(learned, start), _gains(frozen, start)
    by_episodes = learned.has_threshold and learned.reached >= len(learned.rows) / 2
    if by_episodes:
        improvement = statistics.probability_of_improvement(learned.episodes, frozen.episodes, smaller_is_better=True)
        needed = frozen.reached <= NEEDED_SHARE * learned.reached
        figure = f"frozen reached {frozen.reached}/{len(frozen.rows)}, learned {learned.reached}/{len(learned.rows)}"
    else:
        improvement = statistics.probability_of_improvement(*gains)
        means = [statistics.interquartile_mean(each) for each in gains]
        needed = means[0] > 0.0 and means[1] <= NEEDED_SHARE * means[0]
        figure = f"IQM of gains in return: frozen {means[1]:.4g}, learned {means[0]:.4g}"
    meaning = (
        "the task needs its hidden layers"
        if needed
        else "the task does NOT need its hidden layers, so solving it says nothing of credit assignment in them"
    )
    return Finding(
        "learning in hidden layers does no harm",
        improvement.high >= 0.5,
        f"{meaning}: {figure}; P(learned is better) {improvement}",
        {
            "needs_hidden_layers": bool(needed),
            "reached": learned.reached,
            "frozen_reached": frozen.reached,
            "probability_of_improvement": improvement.as_list(),
        },
    )


def _saturation(
    experiment: Experiment, configuration: AgentConfiguration, seeds: Sequence[int], stage: Stage
) -> Finding:
    claim = "no more saturates than the range analysis predicts"
    episodes = min(experiment.learning.episodes, SATURATION_EPISODES)
    show = stage("predicted and counted saturation", episodes * len(seeds))
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        show(done, "")

    rows = compare_saturation(
        task_settings(experiment), configuration, learning_settings(experiment), seeds, episodes, count
    )
    off = [row for row in rows if row.counted_share > max(PREDICTION_FACTOR * row.predicted, PREDICTION_SLACK)]
    shares = ", ".join(f"{row.counter} {row.predicted:.2g}/{row.counted_share:.2g}" for row in rows)
    return Finding(
        claim,
        not off,
        f"predicted/counted shares over {len(seeds)} runs of {episodes} episodes: {shares}",
        {row.counter: {"predicted": row.predicted, "counted": row.counted, "values": row.values} for row in rows},
    )


def _formats(configuration: AgentConfiguration, cells: Sequence[CellResult]) -> Finding:
    steps = sum(int(cell.lengths.sum()) for cell in cells)
    episodes = sum(len(cell.lengths) for cell in cells)
    units = sum(configuration.hidden) + configuration.actions
    inputs = configuration.inputs + sum(configuration.hidden)
    updates = episodes
    if configuration.immediate_reward:
        updates = steps
    elif configuration.online:
        updates = steps // configuration.block_steps
    values = {
        "observation": steps * configuration.inputs,
        "pre_activation": steps * units,
        "difference": steps * (units + 1),
        "trace": steps * (inputs + configuration.parameters),
        "weight": updates * configuration.parameters,
    }
    shares = {}
    for name, number in values.items():
        # The host's quantiser saturates first; the agent counts the same value again, at the edge of its range.
        counted = sum(cell.counters.get(name, 0) for cell in cells)
        shares[name] = counted / max(number, 1)
    failed = sum(cell.counters.get("entropy", 0) for cell in cells)
    worst = max(shares, key=lambda name: shares[name])
    return Finding(
        "the formats hold what is computed in them",
        bool(cells) and failed == 0 and shares[worst] <= SATURATION_LIMIT,
        f"{configuration.description}; largest share of saturated values: {worst} {shares[worst]:.2g}, "
        f"over {len(cells)} runs of {steps:,} steps together; failed draws of entropy: {failed}",
        {"steps": steps, "shares": shares, "failed_draws": failed, "agent": configuration.description},
    )


@dataclass(frozen=True)
class _Visit:
    """Where an agent was, and what it did there."""

    observation: Floats
    """(inputs,), scaled."""
    quantised: NDArray[np.int16] | None
    action: int
    """0 where actions are continuous."""
    numbers: Floats | None = None
    """(actions,) of a continuous action: how far it is from the policy's mean, in standard deviations."""
    number_bytes: bytes = b""
    """The random bytes that a fixed-point agent makes those numbers of (section 12 of docs/arithmetic.md)."""


def _alignment(experiment: Experiment, configuration: AgentConfiguration | None, seed: int, stage: Stage) -> Finding:
    """Cosine of mean noise estimates with the gradient of log pi, on observations met in the middle of learning."""
    advance = stage("gradient alignment on visited observations", ALIGNMENT_OBSERVATIONS)
    episodes = max(2, experiment.learning.episodes // 4)
    short = replace(
        experiment,
        learning=replace(experiment.learning, episodes=episodes),
        task=replace(experiment.task, seed=None),
        entropy=EntropySection("seeded", seed),
    )
    if configuration is None:
        weights, visits = _float_visits(short, seed)
        estimator: _Estimator = _FloatEstimator(short, weights, visits[0].numbers is not None)
    else:
        snapshot, visits = _native_visits(short, configuration, seed)
        weights = snapshot_weights(snapshot, configuration)
        estimator = _NativeEstimator(configuration, snapshot, seed)
    exact_output = estimator.output_is_exact
    products = np.zeros(3)
    draws = 0
    for number, visit in enumerate(visits, 1):
        estimate, count = estimator.mean_estimate(visit)
        gradient = _gradient(weights, visit)
        draws += count
        # An exact output layer is the gradient by definition, and would hide what the noise achieves.
        layers = slice(None, -1) if exact_output else slice(None)
        a, b = (np.concatenate([matrix.reshape(-1) for matrix in each[layers]]) for each in (estimate, gradient))
        products += (a @ b, a @ a, b @ b)
        advance(number, "")
    norm = math.sqrt(products[1] * products[2])
    cosine = float(products[0] / norm) if norm > 0.0 else 0.0
    where = "hidden layers" if exact_output else "all layers"
    how = "the generated C's traces" if configuration is not None else "float64 traces"
    return Finding(
        "noise estimates point along the policy gradient",
        cosine >= ALIGNMENT_LIMIT,
        f"cosine {cosine:.3f} ({where}, mean of {draws:,} draws of {how}, {len(visits)} observations visited after "
        f"{episodes} episodes)",
        {"cosine": cosine, "draws": draws, "observations": len(visits), "episodes": episodes, "layers": where},
    )


def _gradient(weights: Sequence[Floats], visit: _Visit) -> list[Floats]:
    """Gradient of log pi(action) with respect to every weight, by backpropagation."""
    stack = [matrix[None] for matrix in weights]
    pre_activations, activities = forward(stack, visit.observation[None])
    if visit.numbers is None:
        error = output_error(softmax(pre_activations[-1]), np.array([visit.action]))
    else:
        error = visit.numbers[None]
    deltas = backpropagate(stack, pre_activations, error)
    return [np.outer(delta[0], x[0]) for delta, x in zip(deltas, activities, strict=True)]


def _spread(visits: Sequence[_Visit]) -> list[_Visit]:
    """Some of them, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(visits) - 1, ALIGNMENT_OBSERVATIONS).round().astype(int))
    return [visits[index] for index in chosen]


def _float_visits(experiment: Experiment, seed: int) -> tuple[list[Floats], list[_Visit]]:
    """Weights after the experiment's episodes, and what its policy then visits in one more."""
    result = train(task_settings(experiment), experiment.network.hidden, learning_settings(experiment), [seed])
    weights = [matrix[0] for matrix in result.weights]
    stack = [matrix[None] for matrix in weights]
    generator = agent_generator(seed)
    task = make_experiment_task(experiment)
    visits: list[_Visit] = []
    try:
        observation, ended = task.scale(task.reset(episode_seed(seed, experiment.learning.episodes))), False
        while not ended and len(visits) < 5000:
            outputs = forward(stack, observation[None])[0][-1]
            if task.continuous is None:
                action = int(sample_action(softmax(outputs), generator.random(1))[0])
                visits.append(_Visit(observation, None, action))
                observation, _, terminated, truncated = task.step(action)
            else:
                numbers = generator.standard_normal(task.actions)
                visits.append(_Visit(observation, None, 0, numbers))
                observation, _, terminated, truncated = task.step(outputs[0] + numbers)
            observation, ended = task.scale(observation), terminated or truncated
    finally:
        task.close()
    return weights, _spread(visits)


def _native_visits(experiment: Experiment, configuration: AgentConfiguration, seed: int) -> tuple[bytes, list[_Visit]]:
    """The same of the generated C: a snapshot before the last episode, and what was visited in that."""
    agent = NativeAgent(configuration, EntropySettings("seeded", seed))
    visits: list[_Visit] = []
    one = float(1 << configuration.formats.observation_frac_bits)
    generator = agent_generator(seed)

    def observe(observation: NDArray[np.int16], reward: int, flags: int, action: int, outputs: bytes = b"") -> None:
        if action < 0:
            return
        numbers, drawn = None, b""
        if configuration.continuous:
            # Where it went is the agent's own; the numbers are drawn anew, to have the bytes that they are made of.
            drawn = generator.bytes(GAUSSIAN_BYTES * configuration.actions)
            numbers = GaussianChoice.draw(configuration.actions, drawn).numbers / CONTINUOUS_ONE
        visits.append(_Visit(observation / one, observation.copy(), action, numbers, drawn))

    task = make_experiment_task(experiment)
    try:
        lockstep = Lockstep(agent, task, seed, observe)
        for episode in range(experiment.learning.episodes):
            lockstep.run_episode(episode)
        snapshot = agent.snapshot()
        visits.clear()
        lockstep.run_episode(experiment.learning.episodes)
    finally:
        task.close()
    return snapshot, _spread(visits)


class _Estimator:
    """Mean over noise of what one step adds to the traces, as a direction of learning."""

    output_is_exact = True

    def mean_estimate(self, visit: _Visit) -> tuple[list[Floats], int]:
        """One array a layer, and the number of draws, for an observation and the action that was taken there."""
        raise NotImplementedError


class _FloatEstimator(_Estimator):
    """Of a float64 rule."""

    AGENTS = 64

    def __init__(self, experiment: Experiment, weights: Sequence[Floats], continuous: bool) -> None:
        settings = learning_settings(experiment)
        if settings.preset == "actor-critic":
            # What a step adds to the traces is the same; only when and how much is learned from them differs.
            settings = replace(settings, preset="edge")
        sizes = layer_sizes(weights[0].shape[1], experiment.network.hidden, weights[-1].shape[0], continuous)
        self._generator = agent_generator(experiment.entropy.seed)
        self._rule = make_rule(sizes, [settings] * self.AGENTS, [self._generator] * self.AGENTS, continuous=continuous)
        self._rule.weights = [np.repeat(matrix[None], self.AGENTS, axis=0) for matrix in weights]
        self._rounds = -(-DRAWS_A_UNIT * self._rule.noise_units // self.AGENTS)
        self.output_is_exact = settings.output_is_exact

    def mean_estimate(self, visit: _Visit) -> tuple[list[Floats], int]:
        """See `_Estimator`."""
        rule = self._rule
        observation = np.repeat(visit.observation[None], self.AGENTS, axis=0)
        if visit.numbers is not None:
            number = np.repeat(visit.numbers[None], self.AGENTS, axis=0)
        else:
            probabilities = softmax(forward([matrix[:1] for matrix in rule.weights], observation[:1])[0][-1])[0]
            # In the middle of the action's part of [0, 1), so that it is the one that is taken.
            number = np.full(self.AGENTS, probabilities[: visit.action].sum() + 0.5 * probabilities[visit.action])
        for _ in range(self._rounds):
            noise = self._generator.choice(np.array([-1.0, 1.0]), (self.AGENTS, rule.noise_units))
            rule.act(observation, noise, number)
            rule.finish_step()
        traces = rule.traces.take(slice(None))
        draws = self._rounds * self.AGENTS
        return [
            factor * trace.sum(axis=0) / draws for factor, trace in zip(rule.layer_factors, traces, strict=True)
        ], draws


class _NativeEstimator(_Estimator):
    """Of the generated C: one step from the same weights, again and again, with new noise each time."""

    def __init__(self, configuration: AgentConfiguration, snapshot: bytes, seed: int) -> None:
        self._agent = NativeAgent(configuration, EntropySettings("seeded", seed))
        self._generator = agent_generator(seed)
        self._snapshot = without_entropy(snapshot)
        wanted = DRAWS_A_UNIT * sum(configuration.hidden)
        if configuration.formats.parameter_bits == 8:
            wanted *= STOCHASTIC_ROUNDING_DRAWS
        self._draws = min(wanted, MAX_DRAWS // ALIGNMENT_OBSERVATIONS)
        self._one = float(1 << configuration.formats.trace_frac_bits)

    def mean_estimate(self, visit: _Visit) -> tuple[list[Floats], int]:
        """See `_Estimator`."""
        assert visit.quantised is not None
        agent = self._agent if visit.numbers is None else self._agent_of_numbers(visit)
        sums: list[Floats] = [np.zeros(trace.shape) for trace in agent.traces()]
        draws = 0
        # The agent draws its actions itself; steps that took another one are left out.
        for _ in range(4 * self._draws):
            agent.restore(self._snapshot)
            if agent.step(visit.quantised, 0, False, False) != visit.action:
                continue
            for total, trace in zip(sums, agent.traces(), strict=True):
                total += trace
            draws += 1
            if draws == self._draws:
                break
        return [total / (max(draws, 1) * self._one) for total in sums], draws

    def _agent_of_numbers(self, visit: _Visit) -> NativeAgent:
        """An agent that replays bytes in which every step acts by the visit's numbers, and all else is random."""
        configuration = self._agent.configuration
        signs = configuration.noise_draws * sum((units + 7) // 8 for units in configuration.hidden)
        steps = self._generator.integers(0, 256, (self._draws, step_draw_bytes(configuration)), np.uint8)
        steps[:, signs : signs + len(visit.number_bytes)] = np.frombuffer(visit.number_bytes, np.uint8)
        recording = self._generator.bytes(initial_draw_bytes(configuration)) + steps.tobytes()
        return NativeAgent(configuration, EntropySettings("replay", recording=recording))
