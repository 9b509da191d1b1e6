"""A task: one gymnasium environment with Discrete or Box actions, checked at every step.

Observations leave a task as flat float64 vectors in the environment's own units: a Box of any shape value by value,
Discrete and MultiDiscrete ones one-hot, as gymnasium's own wrappers flatten them. Power-of-two scaling is a separate,
explicit step (`Task.scale`, or the observation quantiser on the way to a fixed-point agent).
"""

from __future__ import annotations

import math
import reprlib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.tasks.environment import make_environment

MAX_SCALE_EXPONENT = 30

FLAT_SPACES = (
    gymnasium.spaces.Box,
    gymnasium.spaces.Discrete,
    gymnasium.spaces.MultiDiscrete,
    gymnasium.spaces.MultiBinary,
)
"""Observation spaces that are flattened to a vector."""

_RETURNS = {
    "reset": "(observation, info)",
    "step": "(observation, reward, terminated, truncated, info)",
}
"""What gymnasium's calls return."""


@dataclass(frozen=True)
class TaskSettings:
    """What is learned: an environment, how its observations are scaled and when it counts as solved."""

    task_id: str
    """A gymnasium id such as `CartPole-v1`, or `module:Env-v0`, which imports `module` first."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the environment's constructor."""
    observation_scale: int | Sequence[int] = 0
    """Exponents of two: each input is multiplied by 2**exponent. One for each input, or one for all."""
    threshold: float | None = None
    """The task is solved when the mean return of the last 100 episodes reaches this; None: never."""
    action_scale: int | Sequence[int] | None = None
    """Box actions: exponents of two of what one standard deviation of the policy is in the environment's units. One for
    each number, or one for all; None: the smallest power of two that is not below half of each number's range."""


def check_observations(observations: NDArray[np.float64], task_id: str, where: str) -> None:
    """Raise RunError, naming input index and value, where a flat observation holds NaN or infinity."""
    # A finite squared norm proves every value finite at a fraction of the cost of isfinite().all().
    if math.isfinite(float(observations.dot(observations))):
        return
    bad = np.flatnonzero(~np.isfinite(observations))
    if bad.size:
        raise RunError(
            f"{task_id}: observation input {int(bad[0])} is {observations[bad[0]]} {where}. The environment's state "
            "has most likely diverged or was divided by zero; check its dynamics and constructor arguments"
        )


def check_reward(reward: float, task_id: str, where: str) -> None:
    """Raise RunError where a reward is NaN or infinite."""
    if not math.isfinite(reward):
        raise RunError(
            f"{task_id}: the reward is {reward} {where}. The environment's reward function has most likely divided by "
            "zero or used a state that diverged; check it and the constructor arguments"
        )


def scale_exponents(
    observation_scale: int | Sequence[int], inputs: int, name: str = "observation_scale", what: str = "inputs"
) -> tuple[int, ...]:
    """One exponent of two for each of `inputs` inputs. Raises ConfigurationError where the number does not fit."""
    values = (observation_scale,) * inputs if isinstance(observation_scale, int) else tuple(observation_scale)
    if len(values) != inputs:
        raise ConfigurationError(
            f"{name} has {len(values)} entries, but the task has {inputs} {what}: give one for each, or one number for "
            "all"
        )
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_SCALE_EXPONENT:
            raise ConfigurationError(
                f"{name} holds {value!r}: its entries are whole exponents of two between "
                f"-{MAX_SCALE_EXPONENT} and {MAX_SCALE_EXPONENT} (3 multiplies an input by 8)"
            )
    return values


def check_spaces(
    environment: gymnasium.Env[Any, Any], task_id: str
) -> tuple[gymnasium.Space[Any], gymnasium.spaces.Discrete | gymnasium.spaces.Box]:
    """(observation space, action space) of an environment that agents can work with.

    Raises ConfigurationError, saying what would do, for observations that are no vector of numbers and for actions that
    are neither Discrete nor a Box with finite bounds.
    """
    try:
        observations, actions = environment.observation_space, environment.action_space
    except AttributeError as error:
        raise ConfigurationError(
            f"{task_id}: {error}; the environment's constructor has to set observation_space and action_space"
        ) from error
    if not isinstance(observations, FLAT_SPACES):
        raise ConfigurationError(
            f"{task_id} has {type(observations).__name__} observations, {observations}: an agent takes a vector of "
            "numbers, made of Box, Discrete, MultiDiscrete or MultiBinary observations; wrap the environment so that "
            "it gives one, for example with gymnasium.wrappers.FlattenObservation"
        )
    if isinstance(actions, gymnasium.spaces.Box):
        if not np.issubdtype(actions.dtype, np.floating):
            raise ConfigurationError(
                f"{task_id} has Box actions of type {actions.dtype}, {actions}: a Gaussian policy gives numbers with "
                "fractions; wrap the environment so that its actions are Discrete, or a Box of floats"
            )
        if not actions.is_bounded():
            raise ConfigurationError(
                f"{task_id} has continuous actions without bounds, {actions}: the policy's numbers are clipped to the "
                "Box, so it needs finite ones; wrap the environment, for example with "
                "gymnasium.wrappers.TransformAction and a bounded action_space"
            )
        if bool((actions.low >= actions.high).any()) or actions.shape == (0,):
            raise ConfigurationError(f"{task_id} has continuous actions with nothing to choose, {actions}")
        return observations, actions
    if not isinstance(actions, gymnasium.spaces.Discrete):
        raise ConfigurationError(
            f"{task_id} has {type(actions).__name__} actions, {actions}: an agent chooses one of a few Discrete "
            "actions, or the numbers of a Box; wrap the environment so that each combination is an action of its own"
        )
    return observations, actions


class ContinuousActions:
    """From the numbers of a Gaussian policy to the action of a Box (section 12 of docs/arithmetic.md)."""

    def __init__(self, space: gymnasium.spaces.Box, action_scale: int | Sequence[int] | None) -> None:
        self._space = space
        self.low: NDArray[np.float64] = space.low.astype(np.float64).reshape(-1)
        self.high: NDArray[np.float64] = space.high.astype(np.float64).reshape(-1)
        self.outputs = len(self.low)
        """How many numbers an action has."""
        half = 0.5 * (self.high - self.low)
        self.exponents: tuple[int, ...] = (
            tuple(math.ceil(math.log2(size)) for size in half)
            if action_scale is None
            else scale_exponents(action_scale, self.outputs, "action_scale", "numbers of an action")
        )
        self._centre = 0.5 * (self.low + self.high)
        self._unit = np.ldexp(1.0, np.array(self.exponents, dtype=np.int64))

    def __call__(self, numbers: NDArray[np.float64]) -> NDArray[Any]:
        """The environment's action for numbers (..., outputs), in standard deviations of the policy: clipped."""
        flat = np.clip(self._centre + numbers * self._unit, self.low, self.high)
        shape = self._space.shape if flat.ndim == 1 else flat.shape
        action: NDArray[Any] = flat.astype(self._space.dtype).reshape(shape)
        return action


class Task:
    """One environment, one episode at a time. Made by `make_task`."""

    def __init__(self, settings: TaskSettings) -> None:
        self.settings = settings
        self.environment = make_environment(settings.task_id, settings.kwargs)
        try:
            self._space, actions = check_spaces(self.environment, settings.task_id)
            self.continuous: ContinuousActions | None = None
            """How Box actions are made; None where actions are Discrete."""
            if isinstance(actions, gymnasium.spaces.Box):
                self.continuous = ContinuousActions(actions, settings.action_scale)
                self.actions, self.action_start = self.continuous.outputs, 0
            elif settings.action_scale is not None:
                raise ConfigurationError(f"{settings.task_id}: action_scale is for Box actions; these are {actions}")
            else:
                self.actions, self.action_start = int(actions.n), int(actions.start)
            bounds = gymnasium.spaces.flatten_space(self._space)
            assert isinstance(bounds, gymnasium.spaces.Box)
            self.inputs: int = math.prod(bounds.shape)
            """Number of observation values, flattened. `actions` is the number of actions, or of an action's numbers;
            an agent's discrete action k is the environment's action `action_start + k`."""
            self.scale_exponents = scale_exponents(settings.observation_scale, self.inputs)
        except ConfigurationError:
            self.environment.close()
            raise
        self.observation_low: NDArray[np.float64] = bounds.low.astype(np.float64).reshape(-1)
        """Lower bounds of the flat observation, (inputs,), unscaled; -inf where there is none."""
        self.observation_high: NDArray[np.float64] = bounds.high.astype(np.float64).reshape(-1)
        """Upper bounds."""
        specification = self.environment.spec
        self.time_limit: int | None = specification.max_episode_steps if specification is not None else None
        """Steps after which an episode is truncated; None where the environment knows no limit."""
        self.episode = -1
        """Number of the open episode, from 0, counted since the task was made."""
        self.episode_steps = 0
        # Box observations, by far the most common, are checked and flattened here at a fraction of gymnasium's cost.
        self._shape = self._space.shape if isinstance(self._space, gymnasium.spaces.Box) else None
        self._scale = np.ldexp(1.0, np.array(self.scale_exponents, dtype=np.int64))

    def reset(self, seed: int) -> NDArray[np.float64]:
        """Start the next episode with an environment seed (see `episode_seed`); returns (inputs,) float64, unscaled."""
        try:
            observation, _ = self.environment.reset(seed=seed)
        except Exception as error:  # the environment is the user's code and may raise anything
            self.episode, self.episode_steps = self.episode + 1, 0
            raise self._failure("reset", error) from error
        self.episode += 1
        self.episode_steps = 0
        flat = self._flat(observation)
        self.check(flat)
        return flat

    def step(self, action: int | NDArray[np.float64]) -> tuple[NDArray[np.float64], float, bool, bool]:
        """Take agent action 0..actions - 1: observation (inputs,) float64 unscaled, reward, terminated, truncated.

        A continuous action is (actions,) numbers, in standard deviations of the policy.

        Raises RunError on an observation of the wrong shape and on NaN or infinity.
        """
        result = self.step_unchecked(action)
        self.check(result[0])
        return result

    def step_unchecked(self, action: int | NDArray[np.float64]) -> tuple[NDArray[np.float64], float, bool, bool]:
        """`step` for callers who notice NaN and infinity in an observation themselves, and call `check` then.

        Quantising finds them at no cost of its own; looking twice would be a tenth of the lock step's time.
        """
        # The environment is the user's code and may raise anything; so may what it makes of an action.
        try:
            taken = self.action_start + int(action) if self.continuous is None else self.continuous(np.asarray(action))
            observation, reward, terminated, truncated, _ = self.environment.step(taken)
        except Exception as error:  # the environment is the user's code and may raise anything
            raise self._failure("step", error) from error
        self.episode_steps += 1
        try:
            reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{self.settings.task_id}: the environment's step returned reward = {reward!r}, terminated = "
                f"{terminated!r}, truncated = {truncated!r} {self._where()} ({error}); it has to return one number and "
                "two booleans, such as float(reward), bool(terminated)"
            ) from error
        if not math.isfinite(reward):
            check_reward(reward, self.settings.task_id, self._where())
        return self._flat(observation), reward, terminated, truncated

    def check(self, observation: NDArray[np.float64]) -> None:
        """Raise RunError, naming input, value and step, where the last observation holds NaN or infinity."""
        if not math.isfinite(observation.dot(observation)):
            check_observations(observation, self.settings.task_id, self._where())

    def scale(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Observation(s) times 2**exponent, input by input; the last axis has `inputs` entries."""
        return observation * self._scale

    def close(self) -> None:
        """Free what the environment holds."""
        self.environment.close()

    def _failure(self, call: str, error: Exception) -> RunError:
        last = traceback.extract_tb(error.__traceback__)[-1]
        if last.filename == __file__ and "unpack" in str(error):
            # It came back from the environment, with something of another length, or with no tuple at all.
            return RunError(
                f"{self.settings.task_id}: the environment's {call} returned something else than {_RETURNS[call]} "
                f"{self._where()} ({error}); environments for gymnasium before 0.26 did"
            )
        return RunError(
            f"{self.settings.task_id}: the environment's {call} failed {self._where()}: {type(error).__name__}: "
            f"{error} ({last.filename}, line {last.lineno}); mend the environment"
        )

    def _where(self) -> str:
        return f"in episode {self.episode}, step {self.episode_steps}"

    def _no_numbers(self, observation: Any, error: Exception) -> RunError:
        return RunError(
            f"{self.settings.task_id}: the observation {reprlib.repr(observation)} {self._where()} is no array of "
            f"numbers ({error}); the environment's observation_space is {self._space}"
        )

    def _flat(self, observation: Any) -> NDArray[np.float64]:
        if self._shape is None:
            if not self._space.contains(observation):
                raise RunError(
                    f"{self.settings.task_id}: the observation {observation!r} {self._where()} is not in the "
                    f"environment's observation_space {self._space}; one of the two is wrong in the environment"
                )
            one_hot: NDArray[np.float64] = np.asarray(
                gymnasium.spaces.flatten(self._space, observation), dtype=np.float64
            ).reshape(-1)
            return one_hot
        try:
            values = np.asarray(observation)
        except (TypeError, ValueError) as error:
            raise self._no_numbers(observation, error) from error
        if values.shape != self._shape:
            raise RunError(
                f"{self.settings.task_id}: an observation of shape {values.shape} {self._where()}, but the "
                f"environment's observation_space has shape {self._shape}; one of the two is wrong in the environment"
            )
        # astype copies: an environment may go on writing into the array that it handed out.
        try:
            flat: NDArray[np.float64] = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise self._no_numbers(observation, error) from error
        return flat if flat.ndim == 1 else flat.reshape(-1)


def make_task(
    task_id: str,
    kwargs: Mapping[str, Any] | None = None,
    observation_scale: int | Sequence[int] = 0,
    action_scale: int | Sequence[int] | None = None,
) -> Task:
    """The task of a gymnasium id (or `module:Env-v0`) with constructor arguments and scale exponents.

    Raises ConfigurationError where the id is unknown, the constructor fails, or `check_spaces` refuses its spaces.
    """
    return Task(TaskSettings(task_id, dict(kwargs or {}), observation_scale, action_scale=action_scale))
