"""From an experiment to what runs it: the fixed-point agent, the task, the float trainer's settings, the entropy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from typing import TypeVar

import gymnasium

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment.load import parse_experiment
from nrl_edge.experiment.schema import (
    AUTOMATIC,
    ArithmeticSection,
    Experiment,
    Float64Section,
    FormatsSection,
    LearningSection,
)
from nrl_edge.fixedpoint.configuration import (
    CRITIC_TRACE_DECAY,
    DEFAULT_BLOCK_STEPS,
    DEFAULT_DISCOUNT_EXPONENT,
    MAX_ACTIONS,
    MAX_INPUTS,
    AgentConfiguration,
    Formats,
)
from nrl_edge.fixedpoint.ranges.analysis import FixedFormats, analyse_ranges
from nrl_edge.fixedpoint.ranges.proven import (
    OBSERVATION_FRAC_BITS,
    REWARD_FRAC_BITS,
    proven_trace_frac_bits,
    proven_weight_frac_bits,
)
from nrl_edge.fixedpoint.ranges.report import RangeReport
from nrl_edge.fixedpoint.ranges.scales import choose_online_scale, choose_task_scale
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.strict_toml import power_of_two_exponent
from nrl_edge.tasks.task import Task, TaskSettings, make_task

Result = TypeVar("Result")

_FLOAT64 = ArithmeticSection("float64")


def agent_configuration(
    experiment: Experiment,
    inputs: int,
    actions: int,
    observation_frac_bits: int | None = None,
    *,
    continuous: bool = False,
) -> AgentConfiguration:
    """The fixed-point agent of an experiment on a task with so many inputs and actions.

    `continuous`: the actions are the numbers of one action.

    Formats that the file leaves out are the proven ones, with `observation_frac_bits` (10 where None) for observations;
    `resolve_agent` chooses them by the task. Raises ConfigurationError for float64 experiments and for agents that
    fixed point cannot hold.
    """
    name, learning, chosen = experiment.name, experiment.learning, experiment.arithmetic.formats
    kind = experiment.arithmetic.kind
    if kind == "float64":
        raise ConfigurationError(
            f'{name}: arithmetic.kind = "float64": firmware and its reference compute in fixed point; '
            'allowed are "int16" and "tiny" (`nrl-edge train` runs float64)'
        )
    immediate = experiment.task.reward == "immediate"
    online = learning.preset == "actor-critic"
    bits, draws = 16 if kind == "int16" else 8, learning.noise_draws or 1
    exponent = learning.learning_rate_exponent
    if exponent is None:
        raise ConfigurationError(
            f"{name}: learning.learning_rate = {learning.learning_rate}: fixed point needs a power of two"
        )

    def pick(*candidates: int | None) -> int:
        return next(candidate for candidate in candidates if candidate is not None)

    try:
        formats = Formats(
            parameter_bits=bits,
            observation_frac_bits=pick(chosen.observation_frac_bits, observation_frac_bits, OBSERVATION_FRAC_BITS),
            weight_frac_bits=pick(
                chosen.weight_frac_bits,
                proven_weight_frac_bits(bits, max(inputs, *experiment.network.hidden), continuous),
            ),
            trace_frac_bits=pick(
                chosen.trace_frac_bits,
                proven_trace_frac_bits(bits, online=online, immediate=immediate, noise_draws=draws),
            ),
            reward_frac_bits=pick(chosen.reward_frac_bits, REWARD_FRAC_BITS),
        )
        return AgentConfiguration(
            inputs=inputs,
            hidden=experiment.network.hidden,
            actions=actions,
            formats=formats,
            learning_rate_exponent=exponent,
            clip_exponent=learning.clip_exponent,
            immediate_reward=immediate,
            preset="actor-critic" if online else "edge",
            critic_features=learning.critic_features or "products",
            noise_draws=draws,
            policy="gaussian" if continuous else "softmax",
            discount_exponent=DEFAULT_DISCOUNT_EXPONENT
            if learning.discount is None
            else -(power_of_two_exponent(1.0 - learning.discount) or 0),
            block_steps=learning.block_steps or DEFAULT_BLOCK_STEPS,
        )
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{name}: no {kind} agent for {experiment.task.id} ({inputs} inputs, {actions} actions): {error}. "
            f"{_remedy(inputs, actions, continuous)}"
        ) from error


def _remedy(inputs: int, actions: int, continuous: bool) -> str:
    """What helps where fixed point has no agent for a task of such a shape."""
    if 1 <= inputs <= MAX_INPUTS and (1 if continuous else 2) <= actions <= MAX_ACTIONS:
        return "Scale large observations down with task.observation_scale, or set formats under [arithmetic.formats]"
    return (
        "Wrap the environment so that its observations and actions are within that, for example with "
        'gymnasium.wrappers.TransformObservation or TransformAction, or learn in float64: kind = "float64" under '
        "[arithmetic]"
    )


def resolve_agent(experiment: Experiment) -> AgentConfiguration:
    """The fixed-point agent of an experiment, by an analysis of its task where formats are automatic.

    The same experiment gives the same agent, whatever its seed. Raises ConfigurationError.
    """
    task = make_experiment_task(experiment)
    task.close()
    continuous = task.continuous is not None
    given = FixedFormats(**asdict(experiment.arithmetic.formats))
    if None in given and experiment.arithmetic.kind != "float64":
        # Refuses what no formats would help.
        agent_configuration(experiment, task.inputs, task.actions, continuous=continuous)
        experiment = explicit_experiment(experiment, experiment_ranges(experiment).formats)
    return agent_configuration(experiment, task.inputs, task.actions, continuous=continuous)


def experiment_ranges(experiment: Experiment) -> RangeReport:
    """The range analysis of a fixed-point experiment: its formats and scales, what they hold, and why they were chosen.

    Formats and scales that the file gives stay. Raises ConfigurationError where no format would do.
    """
    return _analysed(*_analysis_key(experiment))


def explicit_experiment(experiment: Experiment, formats: Formats | None) -> Experiment:
    """The experiment with nothing left to choose: the scale of its task, and formats where it is a fixed-point one."""
    exponents = experiment_scale_exponents(experiment)
    factors = tuple(2.0**exponent for exponent in exponents) if isinstance(exponents, tuple) else 2.0**exponents
    changed = replace(experiment, task=replace(experiment.task, observation_scale=factors))
    if formats is None:
        return changed
    chosen = FormatsSection(
        observation_frac_bits=formats.observation_frac_bits,
        weight_frac_bits=formats.weight_frac_bits,
        trace_frac_bits=formats.trace_frac_bits,
        reward_frac_bits=formats.reward_frac_bits,
    )
    return replace(changed, arithmetic=replace(experiment.arithmetic, formats=chosen))


def experiment_scale_exponents(experiment: Experiment) -> int | tuple[int, ...]:
    """Exponents of two that observations are scaled by: the file's, or what the task asks for where it says "auto".

    Preset `paper` takes observations as they are. Raises ConfigurationError where the task cannot be made.
    """
    if experiment.task.observation_scale != AUTOMATIC:
        return experiment.task.scale_exponents
    if experiment.learning.preset == "paper":
        return 0
    online = experiment.learning.preset == "actor-critic"
    exponents = _scaled_for_critic(*_critic_key(experiment)) if online else _probed(*_probe_key(experiment))
    return exponents if any(exponents) else 0


def _analysis_key(experiment: Experiment) -> tuple[str, str, str]:
    """Everything that an analysis depends on as text, the environment's class, and the file's name for messages."""
    learning = replace(experiment.learning, rule="nrl", sigma=None, episodes=1, float64=Float64Section())
    if learning.preset == "paper":
        # Float64 alone has it; the formats are then those that the rule would need in fixed point.
        learning = replace(LearningSection(), episodes=1)
    same = Experiment(experiment.task, experiment.network, learning, experiment.arithmetic)
    return _key(same, experiment.name)


def _probe_key(experiment: Experiment) -> tuple[str, str, str]:
    """The same of what random policies see, which the task alone decides."""
    return _key(Experiment(experiment.task), experiment.name)


def _critic_key(experiment: Experiment) -> tuple[str, str, str]:
    """The same of what a critic sees: whatever its network computes in."""
    learning = replace(experiment.learning, rule="nrl", sigma=None, episodes=1, float64=Float64Section())
    return _key(Experiment(experiment.task, experiment.network, learning, _FLOAT64), experiment.name)


def _key(experiment: Experiment, name: str) -> tuple[str, str, str]:
    specification = gymnasium.registry.get(experiment.task.id.rpartition(":")[2])
    environment = "" if specification is None else f"{specification.entry_point!r} {specification.max_episode_steps}"
    task = replace(experiment.task, seed=None, threshold=None)
    return replace(experiment, task=task).to_toml(), environment, name


@lru_cache(maxsize=64)
def _probed(text: str, environment: str, name: str) -> tuple[int, ...]:
    task = parse_experiment(text).task
    return _named(name, lambda: choose_task_scale(TaskSettings(task.id, dict(task.kwargs))))


@lru_cache(maxsize=64)
def _scaled_for_critic(text: str, environment: str, name: str) -> tuple[int, ...]:
    experiment = parse_experiment(text)
    task = experiment.task
    settings = TaskSettings(task.id, dict(task.kwargs), action_scale=task.action_exponents)
    return _named(name, lambda: choose_online_scale(settings, experiment.network.hidden, learning_settings(experiment)))


@lru_cache(maxsize=64)
def _analysed(text: str, environment: str, name: str) -> RangeReport:
    experiment = parse_experiment(text)
    return _named(
        name,
        lambda: analyse_ranges(
            task_settings(experiment),
            experiment.network.hidden,
            learning_settings(experiment),
            parameter_bits=16 if experiment.arithmetic.kind == "int16" else 8,
            fixed=FixedFormats(**asdict(experiment.arithmetic.formats)),
        ),
    )


def _named(name: str, work: Callable[[], Result]) -> Result:
    """What some work comes to; the experiment's name is put before its errors."""
    try:
        return work()
    except (ConfigurationError, RunError) as error:
        raise type(error)(f"{name}: {error}") from error


def task_settings(experiment: Experiment) -> TaskSettings:
    """The experiment's task as the trainer takes it."""
    task = experiment.task
    return TaskSettings(
        task.id, dict(task.kwargs), experiment_scale_exponents(experiment), task.threshold, task.action_exponents
    )


def make_experiment_task(experiment: Experiment) -> Task:
    """The experiment's task. Raises ConfigurationError, naming the file, where it cannot be made."""
    task, exponents = experiment.task, experiment_scale_exponents(experiment)
    try:
        return make_task(task.id, task.kwargs, exponents, task.action_exponents)
    except ConfigurationError as error:
        raise ConfigurationError(f"{experiment.name}: {error}") from error


def learning_settings(experiment: Experiment) -> LearningSettings:
    """The experiment's learning rule as the float trainer takes it."""
    learning = experiment.learning
    settings = LearningSettings(
        rule=learning.rule,
        preset=learning.preset,
        reward=experiment.task.reward,
        episodes=learning.episodes,
        learning_rate=learning.learning_rate,
        clip=learning.clip,
        noise_draws=learning.noise_draws or 1,
        **learning.float64.given(),
    )
    if learning.preset == "actor-critic":
        # This preset has a step and a norm limit of its own, so that edge settings never reach it by mistake.
        settings = replace(
            settings,
            actor_step=learning.learning_rate,
            update_norm=learning.clip,
            critic_features=learning.critic_features or "products",
            discount=settings.discount if learning.discount is None else learning.discount,
            block_steps=learning.block_steps or settings.block_steps,
            critic_trace_decay=CRITIC_TRACE_DECAY[learning.critic_features or "products"] / 64,
        )
    return settings if learning.sigma is None else replace(settings, sigma=learning.sigma)


def entropy_settings(experiment: Experiment) -> EntropySettings:
    """Where the agent's random bytes come from. Raises ConfigurationError where a recording cannot be read."""
    recording = b""
    path = experiment.recording_path
    if path is not None:
        try:
            recording = path.read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{experiment.name}: entropy.recording cannot be read: {error}") from error
    return EntropySettings(experiment.entropy.mode, experiment.entropy.seed, recording)
