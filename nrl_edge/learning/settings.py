"""How agents learn, as one frozen description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nrl_edge.errors import ConfigurationError

RuleName = Literal["nrl", "rmhl", "reinforce", "random"]
Preset = Literal["edge", "paper", "actor-critic"]
RewardMode = Literal["delayed", "immediate"]
NoiseKind = Literal["sign", "gaussian"]
NoiseEstimate = Literal["exact", "moving_average"]
CriticFeatures = Literal["products", "squares", "cubes"]

RULES: tuple[RuleName, ...] = ("nrl", "rmhl", "reinforce", "random")
PRESETS: tuple[Preset, ...] = ("edge", "paper", "actor-critic")
NOISE_KINDS: tuple[NoiseKind, ...] = ("sign", "gaussian")
NOISE_ESTIMATES: tuple[NoiseEstimate, ...] = ("exact", "moving_average")

BASELINE_RATES: dict[Preset, float] = {"edge": 169 / 256, "paper": 0.66, "actor-critic": 169 / 256}


@dataclass(frozen=True)
class LearningSettings:
    """A rule and its constants. Agents that learn side by side may differ in `PER_AGENT` fields only."""

    rule: RuleName = "nrl"
    preset: Preset = "edge"
    """`paper`: as published (Xavier-normal, all layers noisy). `edge`: zero output layer, Xavier-uniform hidden layers,
    and for NRL the exact output rule and the limit of small noise. `actor-critic`: as `edge`, but learning online from
    a critic's prediction errors; rules NRL and REINFORCE. Its constants are those from `discount` on; learning_rate,
    clip and gamma_avg are not used."""
    reward: RewardMode = "delayed"
    """`delayed`: one update an episode, from its return. `immediate`: one update a step, from its reward."""
    episodes: int = 500
    learning_rate: float = 2.0**-6
    clip: float | None = 0.5
    """Largest Euclidean norm of one update of all weights together; None: unlimited."""
    sigma: float = 1e-3
    """Standard deviation of the noise on pre-activations (not used by NRL `edge`, whose limit it drops out of)."""
    gamma_avg: float | None = None
    """Rate of the reward baseline; None: the preset's, 0.66 (paper) or 169/256 (edge)."""
    noise: NoiseKind = "sign"
    """Noise of NRL `paper` and RMHL. NRL `edge` always uses signs."""
    noise_draws: int = 1
    """NRL `edge` and `actor-critic`: noise vectors a step, each with a difference pass of its own; what they add to the
    traces is averaged, which makes the direction less noisy."""
    noisy_passes: int = 0
    """NRL `paper`: 0 compares with a clean pass; n > 0 (noisy-only NRL, for substrates that cannot silence their noise)
    compares with, and acts on, the mean logits of n other noisy passes."""
    noise_estimate: NoiseEstimate = "exact"
    """RMHL: the injected noise itself, or activity minus its moving average."""
    activity_rate: float = 0.1
    """RMHL: rate of the moving average of activity."""
    zero_output: bool | None = None
    """Start the output layer at zero; None: as the preset does (edge yes, paper no)."""
    exact_output: bool | None = None
    """NRL: the output layer learns by its own exact error, and only hidden layers get noise; False: the output is noisy
    and learns as the others do. None: as the preset does (edge yes, paper no)."""
    layer_factors: bool | None = None
    """NRL: noisy layers learn n_l times as fast, after the noise was normalised over all of them, as published; False:
    one learning rate for all, an unbiased direction. None: as the preset does (edge no, paper yes)."""
    freeze_hidden: bool = False
    """Control experiment: hidden layers keep their initial weights, only the output layer learns."""
    hidden_rate: float = 1.0
    """How many times as fast as the output layer the hidden layers learn: an update multiplies traces by it before
    its norm is taken."""
    discount: float = 127 / 128
    """gamma of the critic."""
    actor_step: float = 2.0**-1
    """Learning rate of the weights."""
    update_norm: float | None = 2.0**-3
    """Largest norm of one update of all weights together: the step is halved until it fits; None: unlimited."""
    block_steps: int = 4
    """Steps between two updates within an episode."""
    block_trace_decay: float = 0.5
    """What remains of the actor's traces after an update."""
    critic_step: float = 2.0**-3
    """Learning rate of the critic, relative to the normaliser of its features."""
    critic_trace_decay: float = 51 / 64
    """What remains of the critic's trace each step."""
    critic_features: CriticFeatures = "products"
    """`products`: 1, x_i and all x_i x_j, i <= j. `squares`: 1, x_i and x_i^2, for many inputs. `cubes`: products, and
    all x_i x_j x_k, i <= j <= k, for few."""
    optimistic_start: bool = True
    """The first value is max(first reward, 0); False: the first reward."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("rule", RULES),
            ("preset", PRESETS),
            ("reward", ("delayed", "immediate")),
            ("noise", NOISE_KINDS),
            ("noise_estimate", NOISE_ESTIMATES),
            ("critic_features", ("products", "squares", "cubes")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(f"learning: {name} = {value!r}: allowed are {', '.join(allowed)}")
        if self.episodes < 1:
            raise ConfigurationError(f"learning: episodes = {self.episodes}: at least 1 is needed")
        if self.noise_draws < 1:
            raise ConfigurationError(f"learning: noise_draws = {self.noise_draws}: at least 1 is needed")
        if self.noisy_passes < 0:
            raise ConfigurationError(f"learning: noisy_passes = {self.noisy_passes}: 0 or more are possible")
        if self.preset == "actor-critic":
            if self.rule not in ("nrl", "reinforce"):
                raise ConfigurationError(
                    f"learning: rule {self.rule} has no actor-critic form: rules nrl and reinforce have"
                )
            if self.reward == "immediate":
                raise ConfigurationError(
                    'learning: preset actor-critic learns at every step by itself: set reward to "delayed"'
                )
        if self.block_steps < 1:
            raise ConfigurationError(f"learning: block_steps = {self.block_steps}: at least 1 is needed")
        for name in ("discount", "block_trace_decay", "critic_trace_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigurationError(f"learning: {name} = {value}: a number from 0 to below 1 is needed")
        for name in ("learning_rate", "clip", "sigma", "actor_step", "update_norm", "critic_step"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"learning: {name} = {value}: a finite number above 0 is needed")
        for name in ("gamma_avg", "activity_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigurationError(f"learning: {name} = {value}: a number above 0 and up to 1 is needed")

    @property
    def baseline_rate(self) -> float:
        """`gamma_avg`, or the preset's."""
        return BASELINE_RATES[self.preset] if self.gamma_avg is None else self.gamma_avg

    @property
    def output_starts_at_zero(self) -> bool:
        """`zero_output`, or the preset's."""
        return self.preset != "paper" if self.zero_output is None else self.zero_output

    @property
    def output_is_exact(self) -> bool:
        """`exact_output`, or the preset's."""
        return self.preset != "paper" if self.exact_output is None else self.exact_output

    @property
    def layers_have_factors(self) -> bool:
        """`layer_factors`, or the preset's."""
        return self.preset == "paper" if self.layer_factors is None else self.layer_factors


PER_AGENT = ("learning_rate", "clip", "sigma", "gamma_avg")
"""The fields of LearningSettings in which agents of one batch may differ."""


def settings_for_batch(settings: LearningSettings | Sequence[LearningSettings], agents: int) -> list[LearningSettings]:
    """One LearningSettings an agent. Raises ConfigurationError where they differ in more than `PER_AGENT`."""
    if isinstance(settings, LearningSettings):
        return [settings] * agents
    if len(settings) != agents:
        raise ConfigurationError(f"{len(settings)} learning settings for {agents} seeds: give one each, or one for all")
    first = settings[0]
    for index, other in enumerate(settings):
        if replace(other, **{name: getattr(first, name) for name in PER_AGENT}) != first:
            raise ConfigurationError(
                f"the learning settings of agents 0 and {index} differ in more than {', '.join(PER_AGENT)}; "
                "agents that learn side by side share all else: train them in separate calls"
            )
    return list(settings)
