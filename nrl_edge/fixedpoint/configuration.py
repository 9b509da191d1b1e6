"""What one fixed-point agent is: its network, Q formats and learning constants (section 1 of docs/arithmetic.md).

The reference agent, the code generator and the link all read this one description; its identity is what a snapshot, a
firmware image and a host compare before they work together.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nrl_edge.errors import ConfigurationError

DIFFERENCE_FRAC_BITS = 12
LOGIT_FRAC_BITS = 12
PROBABILITY_FRAC_BITS = 16
ERROR_FRAC_BITS = 14

AgentPreset = Literal["edge", "actor-critic"]
CriticFeatures = Literal["products", "squares", "cubes"]
Policy = Literal["softmax", "gaussian"]
AGENT_PRESETS: tuple[AgentPreset, ...] = ("edge", "actor-critic")
CRITIC_FEATURES: tuple[CriticFeatures, ...] = ("products", "squares", "cubes")
POLICIES: tuple[Policy, ...] = ("softmax", "gaussian")

MIN_CRITIC_OBSERVATION_FRAC_BITS = 7
"""Smallest Fx of an online agent: with less the critic's values would lose their last bits (section 11)."""

DISCOUNT_EXPONENTS = (4, 5, 6, 7, 8)
"""G of an online agent, whose discount is 1 - 2^-G."""
BLOCK_STEPS = (1, 2, 4)
"""S of an online agent: steps between two updates of its network."""
DEFAULT_DISCOUNT_EXPONENT, DEFAULT_BLOCK_STEPS = 7, 4
MAX_CUBIC_INPUTS = 8
"""Inputs that a critic of cubes takes: it has 165 features then."""

CRITIC_TRACE_DECAY: dict[CriticFeatures, int] = {"products": 51, "squares": 51, "cubes": 54}
"""In 64ths, by features."""

MIN_CONTINUOUS_OBSERVATION_FRAC_BITS = 2
"""Smallest Fx of an agent with continuous actions, so that its output's errors are always shifted down."""
GAUSSIAN_BYTES = 12
"""Random bytes whose sum is one normally distributed number (section 12)."""

NOISE_DRAWS = (1, 2, 4)
"""Noise draws a step that fixed point can average: by a shift."""

MAX_INPUTS, MAX_HIDDEN_LAYERS, MAX_HIDDEN_UNITS, MIN_ACTIONS, MAX_ACTIONS = 64, 3, 128, 2, 16


@dataclass(frozen=True)
class Formats:
    """Q formats of one agent: storage width and the number of fraction bits of each quantity."""

    parameter_bits: int = 16
    """Bits of a stored weight and of a stored eligibility trace (B): 16, or 8 for the "tiny" formats."""
    observation_frac_bits: int = 10
    """Fraction bits of observations and activations (Fx), stored as int16."""
    weight_frac_bits: int = 12
    """Fraction bits of weights (Fw)."""
    trace_frac_bits: int = 5
    """Fraction bits of eligibility traces (Ft)."""
    reward_frac_bits: int = 8
    """Fraction bits of rewards, returns and the reward baseline (Fr)."""

    def __post_init__(self) -> None:
        if self.parameter_bits not in (8, 16):
            raise ConfigurationError(f"parameter_bits = {self.parameter_bits}: allowed are 8 and 16")
        sixteen = self.parameter_bits == 16
        for name, low, high in (
            ("observation_frac_bits", 0, 14),
            ("weight_frac_bits", 2 if sixteen else 0, 15 if sixteen else 7),
            ("trace_frac_bits", 0, 12 if sixteen else 6),
            ("reward_frac_bits", 0, 16),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(
                    f"{name} = {value}: allowed are {low} to {high} with {self.parameter_bits}-bit parameters"
                )
        total = self.observation_frac_bits + self.weight_frac_bits
        if not LOGIT_FRAC_BITS <= total <= LOGIT_FRAC_BITS + 15:
            raise ConfigurationError(
                f"observation_frac_bits + weight_frac_bits = {total}: allowed are {LOGIT_FRAC_BITS} to "
                f"{LOGIT_FRAC_BITS + 15}, so that logits can be formed without overflow"
            )


@dataclass(frozen=True)
class AgentConfiguration:
    """Everything that the arithmetic of one agent depends on. Two agents with equal identities compute the same."""

    inputs: int
    """Number of observation values, n_0."""
    hidden: tuple[int, ...]
    """Units of each hidden layer, n_1..n_L."""
    actions: int
    """Outputs n_o: discrete actions, or the numbers of a continuous action (policy `gaussian`)."""
    formats: Formats = field(default_factory=Formats)
    learning_rate_exponent: int = 6
    """K: the learning rate is 2^-K."""
    clip_exponent: int | None = 1
    """C: an update's Euclidean norm (in weight units) is at most 2^-C; None means no clip."""
    immediate_reward: bool = False
    """True: learn at every step from its reward. False: learn at the end of each episode from its return."""
    preset: AgentPreset = "edge"
    """`actor-critic` learns online from a critic's prediction errors (section 11), whatever becomes of the episode."""
    critic_features: CriticFeatures = "products"
    """What the critic of an online agent is linear in: 1, x_i and all products x_i x_j; with `squares` 1, x_i and their
    squares; with `cubes` all products of three inputs too."""
    noise_draws: int = 1
    """M: noise draws a step, each with its own difference pass; their mean goes into the traces."""
    policy: Policy = "softmax"
    """`softmax` chooses one of the actions; `gaussian` (section 12) gives numbers, normally distributed."""
    discount_exponent: int = 7
    """G of an online agent: its discount is 1 - 2^-G."""
    block_steps: int = 4
    """S of an online agent: it updates its network every so many steps."""

    def __post_init__(self) -> None:
        def check(name: str, value: int, low: int, high: int) -> None:
            if not low <= value <= high:
                raise ConfigurationError(f"{name} = {value}: the fixed-point agent takes {low} to {high}")

        check("inputs", self.inputs, 1, MAX_INPUTS)
        check("hidden layers", len(self.hidden), 1, MAX_HIDDEN_LAYERS)
        for units in self.hidden:
            check("hidden units", units, 1, MAX_HIDDEN_UNITS)
        if self.policy not in POLICIES:
            raise ConfigurationError(f"policy = {self.policy!r}: allowed are {', '.join(POLICIES)}")
        if self.continuous and self.formats.observation_frac_bits < MIN_CONTINUOUS_OBSERVATION_FRAC_BITS:
            raise ConfigurationError(
                f"observation_frac_bits = {self.formats.observation_frac_bits}: a gaussian policy takes at least "
                f"{MIN_CONTINUOUS_OBSERVATION_FRAC_BITS}"
            )
        check("actions", self.actions, 1 if self.continuous else MIN_ACTIONS, MAX_ACTIONS)
        check("learning_rate_exponent", self.learning_rate_exponent, 0, 20)
        if self.clip_exponent is not None:
            check("clip_exponent", self.clip_exponent, 0, 8)
        if self.preset not in AGENT_PRESETS:
            raise ConfigurationError(f"preset = {self.preset!r}: allowed are {', '.join(AGENT_PRESETS)}")
        if self.critic_features not in CRITIC_FEATURES:
            raise ConfigurationError(
                f"critic_features = {self.critic_features!r}: allowed are {', '.join(CRITIC_FEATURES)}"
            )
        if self.noise_draws not in NOISE_DRAWS:
            raise ConfigurationError(f"noise_draws = {self.noise_draws}: the fixed-point agent takes 1, 2 or 4")
        if self.online:
            if self.immediate_reward:
                raise ConfigurationError(
                    "an actor-critic agent learns at every step by itself: immediate_reward is False"
                )
            if self.formats.observation_frac_bits < MIN_CRITIC_OBSERVATION_FRAC_BITS:
                raise ConfigurationError(
                    f"observation_frac_bits = {self.formats.observation_frac_bits}: an online agent needs at least "
                    f"{MIN_CRITIC_OBSERVATION_FRAC_BITS}, which holds scaled observations up to 256"
                )
            if self.critic_features == "cubes" and self.inputs > MAX_CUBIC_INPUTS:
                raise ConfigurationError(
                    f"critic_features = 'cubes' with {self.inputs} inputs: a critic of cubes takes up to "
                    f"{MAX_CUBIC_INPUTS}; products and squares take more"
                )
            if self.discount_exponent not in DISCOUNT_EXPONENTS:
                raise ConfigurationError(
                    f"discount_exponent = {self.discount_exponent}: an online agent takes {DISCOUNT_EXPONENTS[0]} to "
                    f"{DISCOUNT_EXPONENTS[-1]}"
                )
            if self.discount_exponent + self.formats.reward_frac_bits < 7:
                raise ConfigurationError(
                    f"reward_frac_bits = {self.formats.reward_frac_bits}: discount 1 - 2^-{self.discount_exponent} "
                    f"needs at least {7 - self.discount_exponent}, or rewards would leave 32 bits"
                )
            if self.block_steps not in BLOCK_STEPS:
                raise ConfigurationError(f"block_steps = {self.block_steps}: an online agent takes 1, 2 or 4")
        elif (self.critic_features, self.discount_exponent, self.block_steps) != ("products", 7, 4):
            raise ConfigurationError(
                "critic_features, discount_exponent and block_steps belong to preset actor-critic: "
                "an edge agent has no critic"
            )

    @property
    def online(self) -> bool:
        """Whether this is an agent of section 11."""
        return self.preset == "actor-critic"

    @property
    def continuous(self) -> bool:
        """Whether this is an agent of section 12, whose action is `actions` numbers."""
        return self.policy == "gaussian"

    @property
    def critic_triples(self) -> tuple[tuple[int, int, int], ...]:
        """Inputs i <= j <= k whose product is a feature of a critic of cubes, in the order of the features."""
        if not self.online or self.critic_features != "cubes":
            return ()
        return tuple((i, j, k) for i, j in self.critic_pairs for k in range(j, self.inputs))

    @property
    def critic_pairs(self) -> tuple[tuple[int, int], ...]:
        """Inputs i <= j whose product is a feature of the critic, in the order of the features; () without a critic."""
        if not self.online:
            return ()
        if self.critic_features == "squares":
            return tuple((i, i) for i in range(self.inputs))
        return tuple((i, j) for i in range(self.inputs) for j in range(i, self.inputs))

    @property
    def critic_trace_decay(self) -> int:
        """What remains of the critic's trace a step, in 64ths."""
        return CRITIC_TRACE_DECAY[self.critic_features]

    @property
    def critic_parameters(self) -> int:
        """Number of features of the critic, F; 0 without a critic."""
        return 1 + self.inputs + len(self.critic_pairs) + len(self.critic_triples) if self.online else 0

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """(n_0, n_1, ..., n_L, n_o)."""
        return (self.inputs, *self.hidden, self.actions)

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each weight matrix: hidden layers in order, then the output layer."""
        sizes = self.layer_sizes
        return tuple((sizes[i + 1], sizes[i]) for i in range(len(sizes) - 1))

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(rows * columns for rows, columns in self.weight_shapes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the network's weights as they are stored and sent."""
        return self.parameters * self.formats.parameter_bits // 8

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of a snapshot (section 9 of docs/arithmetic.md)."""
        return 72 + self.weight_bytes + 4 * self.critic_parameters + 4

    def xavier_limits(self) -> Iterator[int]:
        """A_l of section 4 for each hidden layer: the limit of its uniform initial weights, in Q weight_frac_bits."""
        scale = 1 << self.formats.weight_frac_bits
        for rows, columns in self.weight_shapes[:-1]:
            yield int(scale * (6.0 / (rows + columns)) ** 0.5 + 0.5)

    @property
    def description(self) -> str:
        """The canonical text that the identity is the CRC-32 of."""
        formats = self.formats
        return (
            f"nrl-agent/1 {'-'.join(map(str, self.layer_sizes))} B={formats.parameter_bits}"
            f" Fx={formats.observation_frac_bits} Fw={formats.weight_frac_bits}"
            f" Ft={formats.trace_frac_bits} Fr={formats.reward_frac_bits} K={self.learning_rate_exponent}"
            f" C={'off' if self.clip_exponent is None else self.clip_exponent}"
            f" reward={'immediate' if self.immediate_reward else 'delayed'}"
            f"{f' preset={self.preset} critic={self.critic_features}' if self.online else ''}"
            f"{f' discount={self.discount_exponent}' if self.discount_exponent != 7 else ''}"
            f"{f' block={self.block_steps}' if self.block_steps != 4 else ''}"
            f"{f' draws={self.noise_draws}' if self.noise_draws > 1 else ''}"
            f"{' policy=gaussian' if self.continuous else ''}"
        )

    @property
    def identity(self) -> int:
        """CRC-32 of `description`: what firmware, snapshots and hosts compare."""
        return zlib.crc32(self.description.encode("ascii"))


ONLINE_TRACE_FRAC_BITS = {16: 8, 8: 1}
"""Ft of an online agent, by parameter bits: its traces cover a few steps, and are smaller than an episode's."""
ONLINE_LEARNING_RATE_EXPONENT, ONLINE_CLIP_EXPONENT = 1, 3
"""K and C of an online agent that learns as measured."""
