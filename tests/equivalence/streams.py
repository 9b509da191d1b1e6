"""Random agents and random, extreme streams of observations and rewards for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nrl_edge.fixedpoint.configuration import (
    MIN_CONTINUOUS_OBSERVATION_FRAC_BITS,
    MIN_CRITIC_OBSERVATION_FRAC_BITS,
    AgentConfiguration,
    CriticFeatures,
    Formats,
)

TERMINATED, TRUNCATED = 1, 2


@dataclass(frozen=True)
class Stream:
    """Calls of step, one a row: observations (T, inputs) int16, rewards (T,) int32, flags (T,) uint8."""

    observations: NDArray[np.int16]
    rewards: NDArray[np.int32]
    flags: NDArray[np.uint8]
    updates: int


def random_configuration(rng: np.random.Generator, largest_layer: int = 128) -> AgentConfiguration:
    """A network of 1-64 inputs, 1-3 hidden layers of 1-128 units and 2-16 actions, in formats that are allowed."""
    sizes = [int(2 ** rng.uniform(0, np.log2(largest_layer))) for _ in range(rng.integers(1, 4))]
    parameter_bits = int(rng.choice([16, 8]))
    while True:
        formats = (
            parameter_bits,
            int(rng.integers(0, 15)),
            int(rng.integers(2, 16) if parameter_bits == 16 else rng.integers(0, 8)),
            int(rng.integers(0, 13) if parameter_bits == 16 else rng.integers(0, 7)),
            int(rng.integers(0, 17)),
        )
        if 12 <= formats[1] + formats[2] <= 27:
            break
    return AgentConfiguration(
        inputs=int(2 ** rng.uniform(0, 6)),
        hidden=tuple(sizes),
        actions=int(rng.integers(2, 17)),
        formats=Formats(*formats),
        learning_rate_exponent=int(rng.integers(0, 12)),
        clip_exponent=None if rng.random() < 0.25 else int(rng.integers(0, 9)),
        immediate_reward=bool(rng.random() < 0.3),
        noise_draws=int(rng.choice([1, 1, 2, 4])),
    )


def random_online_configuration(rng: np.random.Generator, largest_layer: int = 128) -> AgentConfiguration:
    """As `random_configuration`, of preset actor-critic; with many inputs its critic has squares, for time's sake."""
    edge = random_configuration(rng, largest_layer)
    while edge.formats.observation_frac_bits < MIN_CRITIC_OBSERVATION_FRAC_BITS:
        edge = random_configuration(rng, largest_layer)
    features: CriticFeatures = "squares" if edge.inputs > 24 or rng.random() < 0.4 else "products"
    return replace(edge, immediate_reward=False, preset="actor-critic", critic_features=features)


def random_continuous_configuration(rng: np.random.Generator, largest_layer: int = 128) -> AgentConfiguration:
    """With a Gaussian policy of 1 to 16 numbers, of either preset; online ones with any critic, discount and block."""
    online = rng.random() < 0.7
    make = random_online_configuration if online else random_configuration
    made = make(rng, largest_layer)
    while made.formats.observation_frac_bits < MIN_CONTINUOUS_OBSERVATION_FRAC_BITS:
        made = make(rng, largest_layer)
    made = replace(made, policy="gaussian", actions=int(rng.choice([1, 1, 2, 3, 16])))
    if not online:
        return made
    exponent = int(rng.integers(max(4, 7 - made.formats.reward_frac_bits), 9))
    made = replace(made, discount_exponent=exponent, block_steps=int(rng.choice([1, 2, 4])))
    return replace(made, inputs=int(rng.integers(1, 9)), critic_features="cubes") if rng.random() < 0.6 else made


def random_stream(rng: np.random.Generator, configuration: AgentConfiguration, updates: int) -> Stream:
    """Whole episodes with at least `updates` updates: ordinary and saturating observations, huge and zero rewards,
    returns of exactly 0, one-step episodes, both kinds of end."""
    observations, rewards, flags = [], [], []
    done = 0
    while done < updates:
        length = 1 if rng.random() < 0.3 else int(rng.integers(2, 8))
        scale = rng.choice([0, 3, 300, 4000, 32767])
        episode = rng.integers(-scale, scale + 1, (length + 1, configuration.inputs))
        if rng.random() < 0.1:
            episode = rng.choice([-32768, 32767], episode.shape)
        kind = rng.integers(0, 5)
        if kind == 0:
            episode_rewards = np.zeros(length + 1, np.int64)
        elif kind == 1:
            episode_rewards = rng.choice([-(2**31), 2**31 - 1, -(2**22), 2**22], length + 1)
        elif kind == 2:
            episode_rewards = np.zeros(length + 1, np.int64)
            episode_rewards[1] += 77
            episode_rewards[-1] -= 77
        elif kind == 3:
            episode_rewards = rng.integers(-3, 4, length + 1)
        else:
            episode_rewards = rng.integers(-100000, 100000, length + 1)
        episode_flags = np.zeros(length + 1, np.uint8)
        episode_flags[-1] = rng.choice([TERMINATED, TRUNCATED, TERMINATED | TRUNCATED])
        observations.append(episode)
        rewards.append(episode_rewards)
        flags.append(episode_flags)
        if configuration.online:
            done += (length + configuration.block_steps - 1) // configuration.block_steps
        else:
            done += length if configuration.immediate_reward else 1
    return Stream(
        np.concatenate(observations).astype(np.int16),
        np.concatenate(rewards).astype(np.int32),
        np.concatenate(flags),
        done,
    )
