"""The agents that are counted, and the streams of observations and rewards that they are counted on.

A stream is what a task really says to the agent while it learns: it is recorded once, with the NumPy reference agent in
the loop. Every compiled agent is then given the same calls and has to end with the reference's weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.actor_critic import ActorCriticAgent
from nrl_edge.fixedpoint.configuration import (
    ONLINE_CLIP_EXPONENT,
    ONLINE_LEARNING_RATE_EXPONENT,
    ONLINE_TRACE_FRAC_BITS,
    AgentConfiguration,
    Formats,
)
from nrl_edge.fixedpoint.reference import IntegerAgent, ReferenceAgent
from nrl_edge.tasks import ObservationQuantiser, Task, episode_seed, quantise_reward, task_defaults

TERMINATED, TRUNCATED = 1, 2
SEED = 42
STEPS = 120
LONGEST_EPISODES = (50, 40)
"""Steps after which episodes are cut off, in turn, so that a stream of a few hundred steps has several updates.

With one length, all returns of a task whose every step is worth the same, as Acrobot's, would be the same, nothing
would be learned, and updates that change nothing would be counted.
"""


@dataclass(frozen=True)
class Network:
    """A network and the task whose stream it is counted on."""

    layer_sizes: tuple[int, ...]
    task: str

    @property
    def name(self) -> str:
        """Such as 4-64-2."""
        return "-".join(map(str, self.layer_sizes))

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(rows * columns for columns, rows in pairwise(self.layer_sizes))


NETWORKS = (
    Network((4, 64, 2), "cartpole"),
    Network((6, 128, 3), "acrobot"),
    Network((4, 8, 2), "cartpole"),
    Network((32, 64, 3), "reaching"),
    Network((4, 64, 64, 2), "cartpole"),
)

KINDS = ("int16", "tiny", "online", "online-tiny")


def find_network(name: str) -> Network:
    """The network of a name such as 4-64-2. Raises ConfigurationError where it is not among those that are counted."""
    for network in NETWORKS:
        if network.name == name:
            return network
    raise ConfigurationError(f"there is no network {name!r}; there are {', '.join(each.name for each in NETWORKS)}")


def configuration_of(network: Network, kind: str = "int16") -> AgentConfiguration:
    """The agent: `int16` and `tiny` are preset edge with delayed reward, `online` and `online-tiny` actor-critic."""
    inputs, *hidden, actions = network.layer_sizes
    defaults = task_defaults(network.task, len(hidden))
    bits = 8 if kind.endswith("tiny") else 16
    formats = Formats(8, 10, 5, 0, 8) if bits == 8 else Formats()
    if kind.startswith("online"):
        return AgentConfiguration(
            inputs,
            tuple(hidden),
            actions,
            formats=replace(formats, trace_frac_bits=ONLINE_TRACE_FRAC_BITS[bits]),
            learning_rate_exponent=ONLINE_LEARNING_RATE_EXPONENT,
            clip_exponent=ONLINE_CLIP_EXPONENT,
            preset="actor-critic",
            critic_features="products" if inputs <= 8 else "squares",
        )
    return AgentConfiguration(
        inputs,
        tuple(hidden),
        actions,
        formats=formats,
        learning_rate_exponent=defaults.learning_rate_exponent,
        clip_exponent=defaults.clip_exponent,
    )


def reference_of(configuration: AgentConfiguration) -> IntegerAgent:
    """The NumPy agent that the compiled one has to agree with."""
    agent = ActorCriticAgent if configuration.online else ReferenceAgent
    return agent(configuration, EntropySettings(seed=SEED))


@dataclass(frozen=True)
class Stream:
    """Calls of step, and the weights after them."""

    observations: NDArray[np.int16]
    """(T, inputs), quantised."""
    rewards: NDArray[np.int32]
    """(T,), quantised."""
    flags: NDArray[np.uint8]
    """(T,): TERMINATED and TRUNCATED."""
    weights_crc32: int
    """CRC-32 of the reference agent's weights after the last call."""

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def ends(self) -> NDArray[np.bool_]:
        """(T,): the calls that close an episode."""
        return self.flags != 0


def call_bytes(stream: Stream, index: int) -> bytes:
    """One call as driver.c takes it (counted_input_t)."""
    flags = int(stream.flags[index])
    header = int(stream.rewards[index]).to_bytes(4, "little", signed=True)
    header += bytes([flags & TERMINATED != 0, flags & TRUNCATED != 0, index == len(stream) - 1, 0])
    return header + stream.observations[index].tobytes()


@cache
def record_stream(network: Network, kind: str = "int16", steps: int = STEPS) -> Stream:
    """Whole episodes of the network's task, `steps` steps or a few more, with the reference agent in the loop."""
    configuration = configuration_of(network, kind)
    agent = reference_of(configuration)
    settings = task_defaults(network.task).task_settings()
    task = Task(settings)
    quantise = ObservationQuantiser(task.scale_exponents, configuration.formats.observation_frac_bits)
    observations, rewards, flags = [], [], []

    def call(observation: NDArray[np.floating], reward: float, flag: int) -> int:
        quantised = _as_wide_as(quantise(observation).copy(), configuration.inputs)
        observations.append(quantised)
        rewards.append(quantise_reward(reward, configuration.formats.reward_frac_bits))
        flags.append(flag)
        return agent.step(quantised, rewards[-1], bool(flag & TERMINATED), bool(flag & TRUNCATED))

    try:
        episode = 0
        while agent.steps < steps:
            action = call(task.reset(episode_seed(SEED, episode)), 0.0, 0)
            flag = 0
            longest = LONGEST_EPISODES[episode % len(LONGEST_EPISODES)]
            for length in range(1, longest + 1):
                observation, reward, terminated, truncated = task.step_unchecked(action)
                truncated = truncated or length == longest
                flag = terminated * TERMINATED + truncated * TRUNCATED
                action = call(observation, reward, flag)
                if flag:
                    break
            episode += 1
    finally:
        task.close()
    return Stream(
        np.array(observations, np.int16),
        np.array(rewards, np.int32),
        np.array(flags, np.uint8),
        agent.weights_crc32(),
    )


def _as_wide_as(observation: NDArray[np.int16], inputs: int) -> NDArray[np.int16]:
    if len(observation) != inputs:
        raise ConfigurationError(f"the task has {len(observation)} observation values, the network {inputs} inputs")
    return observation
