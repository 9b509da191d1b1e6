"""From an experiment to what runs it: the fixed-point agent, the task, the float trainer's settings, the entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment.schema import Experiment
from nrl_edge.fixedpoint.configuration import ONLINE_TRACE_FRAC_BITS, AgentConfiguration, Formats
from nrl_edge.learning.settings import LearningSettings
from nrl_edge.tasks.seeding import episode_seed
from nrl_edge.tasks.task import Task, TaskSettings, check_observations, make_task, scale_exponents

BOUND_LIMIT = 1e6
"""Bounds of an observation space at or beyond this say "anything", not how large a value becomes."""
MAX_OBSERVATION_FRAC_BITS = 10
NARROW_FAN_IN = 64
PROBE_STEPS = 2000
"""Steps after which a probing episode is left, as an environment without a time limit may never end."""


@dataclass(frozen=True)
class TaskProbe:
    """What a task looks like to an agent. Magnitudes are of scaled observations."""

    inputs: int
    actions: int
    low: NDArray[np.float64]
    """Lower bounds of the observation space, scaled, (inputs,)."""
    high: NDArray[np.float64]
    """Upper bounds, scaled, (inputs,)."""
    sampled_max: NDArray[np.float64]
    """Largest magnitude of each input that a random policy saw, scaled, (inputs,)."""

    @property
    def observation_frac_bits(self) -> int:
        """What `choose_observation_frac_bits` makes of it."""
        return choose_observation_frac_bits(self.low, self.high, self.sampled_max)


def choose_observation_frac_bits(low: ArrayLike, high: ArrayLike, sampled_max: ArrayLike) -> int:
    """Fraction bits of observations (Fx): as many as leave room for twice the largest magnitude, at most 10.

    All arguments are scaled, (inputs,): bounds of the observation space, and the largest magnitudes seen. An input
    counts with its bounds where both are below 1e6, and with what was seen where that is larger. With m the largest of
    all, the result is the largest Fx <= 10 for which 2 m <= 2^(15 - Fx). Raises ConfigurationError where observations
    are too large for any.
    """
    bounds = np.maximum(np.abs(np.asarray(low, np.float64)), np.abs(np.asarray(high, np.float64)))
    seen = np.abs(np.asarray(sampled_max, np.float64))
    magnitude = float(np.max(np.where(bounds < BOUND_LIMIT, np.maximum(bounds, seen), seen)))
    for frac_bits in range(MAX_OBSERVATION_FRAC_BITS, -1, -1):
        if 2.0 * magnitude <= 2.0 ** (15 - frac_bits):
            return frac_bits
    raise ConfigurationError(
        f"scaled observations are as large as {magnitude:g}, and 16 bits hold twice that only up to 16384; "
        "set task.observation_scale to a smaller power of two such as 2^-8 = 0.00390625"
    )


def probe_task(
    make_environment: Callable[[], gymnasium.Env[Any, Any]],
    exponents: int | Sequence[int] = 0,
    *,
    episodes: int = 5,
    seed: int = 42,
) -> TaskProbe:
    """Run a random policy for some episodes and report shapes, bounds and magnitudes; always the same for one seed.

    `exponents` of two scale the inputs, one each or one for all. Raises ConfigurationError for spaces other than Box
    observations and Discrete actions, RunError where an observation is NaN or infinite.
    """
    environment = make_environment()
    try:
        return _probe(environment, exponents, episodes, seed)
    finally:
        environment.close()


def _probe(
    environment: gymnasium.Env[Any, Any], exponents: int | Sequence[int], episodes: int = 5, seed: int = 42
) -> TaskProbe:
    observations, actions = environment.observation_space, environment.action_space
    if not isinstance(observations, gymnasium.spaces.Box) or not isinstance(actions, gymnasium.spaces.Discrete):
        raise ConfigurationError(
            f"a task needs Box observations and Discrete actions; this one has {observations} and {actions}"
        )
    inputs = math.prod(observations.shape)
    scale = np.ldexp(1.0, np.array(scale_exponents(exponents, inputs), dtype=np.int64))
    largest = np.zeros(inputs)
    generator = np.random.default_rng(seed)
    for episode in range(episodes):
        observation, _ = environment.reset(seed=episode_seed(seed, episode))
        for step in range(PROBE_STEPS):
            if np.shape(observation) != observations.shape:
                raise RunError(
                    f"an observation of shape {np.shape(observation)} in probing episode {episode}, step {step}, but "
                    f"the environment's observation_space has shape {observations.shape}; one of the two is wrong"
                )
            flat = np.asarray(observation, np.float64).reshape(-1)
            check_observations(flat, "the task", f"in probing episode {episode}, step {step}")
            largest = np.maximum(largest, np.abs(flat * scale))
            action = int(actions.start + generator.integers(actions.n))
            observation, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                break
    low, high = (np.asarray(bound, np.float64).reshape(-1) * scale for bound in (observations.low, observations.high))
    return TaskProbe(inputs, int(actions.n), low, high, largest)


def agent_configuration(
    experiment: Experiment, inputs: int, actions: int, observation_frac_bits: int | None = None
) -> AgentConfiguration:
    """The fixed-point agent of an experiment on a task with so many inputs and actions.

    `observation_frac_bits` is what the task asks for where the file says "auto" (10 where None). Raises
    ConfigurationError for float64 experiments and for agents that fixed point cannot hold.
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
    fan_in = max(inputs, *experiment.network.hidden)
    if kind == "int16":
        weight, trace = (12 if fan_in <= NARROW_FAN_IN else 11), (8 if immediate else 5)
    else:
        weight, trace = 5, 0
    if online:
        trace = ONLINE_TRACE_FRAC_BITS[16 if kind == "int16" else 8]
    exponent = learning.learning_rate_exponent
    if exponent is None:
        raise ConfigurationError(
            f"{name}: learning.learning_rate = {learning.learning_rate}: fixed point needs a power of two"
        )

    def pick(*candidates: int | None) -> int:
        return next(candidate for candidate in candidates if candidate is not None)

    try:
        formats = Formats(
            parameter_bits=16 if kind == "int16" else 8,
            observation_frac_bits=pick(chosen.observation_frac_bits, observation_frac_bits, MAX_OBSERVATION_FRAC_BITS),
            weight_frac_bits=pick(chosen.weight_frac_bits, weight),
            trace_frac_bits=pick(chosen.trace_frac_bits, trace),
            reward_frac_bits=pick(chosen.reward_frac_bits, 8),
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
        )
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{name}: no {kind} agent for {experiment.task.id} ({inputs} inputs, {actions} actions): {error}. "
            "Scale large observations down with task.observation_scale, or set formats under [arithmetic.formats]"
        ) from error


def resolve_agent(experiment: Experiment) -> AgentConfiguration:
    """The fixed-point agent of an experiment, its task made and probed where formats are automatic.

    The same experiment gives the same agent, whatever its seed. Raises ConfigurationError.
    """
    task = make_experiment_task(experiment)
    try:
        frac_bits = None
        if experiment.arithmetic.formats.observation_frac_bits is None:
            frac_bits = _probe(task.environment, task.scale_exponents).observation_frac_bits
        return agent_configuration(experiment, task.inputs, task.actions, frac_bits)
    finally:
        task.close()


def task_settings(experiment: Experiment) -> TaskSettings:
    """The experiment's task as the trainer takes it."""
    task = experiment.task
    return TaskSettings(task.id, dict(task.kwargs), task.scale_exponents, task.threshold)


def make_experiment_task(experiment: Experiment) -> Task:
    """The experiment's task. Raises ConfigurationError, naming the file, where it cannot be made."""
    task = experiment.task
    try:
        return make_task(task.id, task.kwargs, task.scale_exponents)
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
        **learning.float64.given(),
    )
    if learning.preset == "actor-critic":
        # This preset has a step and a norm limit of its own, so that edge settings never reach it by mistake.
        settings = replace(
            settings,
            actor_step=learning.learning_rate,
            update_norm=learning.clip,
            critic_features=learning.critic_features or "products",
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
