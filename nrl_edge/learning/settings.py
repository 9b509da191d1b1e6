"""How agents learn, as one frozen description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nrl_edge.errors import ConfigurationError

RuleName = Literal["nrl", "rmhl", "reinforce"]
Preset = Literal["edge", "paper"]
RewardMode = Literal["delayed", "immediate"]
NoiseKind = Literal["sign", "gaussian"]
NoiseEstimate = Literal["exact", "moving_average"]

RULES: tuple[RuleName, ...] = ("nrl", "rmhl", "reinforce")
PRESETS: tuple[Preset, ...] = ("edge", "paper")
NOISE_KINDS: tuple[NoiseKind, ...] = ("sign", "gaussian")
NOISE_ESTIMATES: tuple[NoiseEstimate, ...] = ("exact", "moving_average")

BASELINE_RATES: dict[Preset, float] = {"edge": 169 / 256, "paper": 0.66}


@dataclass(frozen=True)
class LearningSettings:
    """A rule and its constants. Agents that learn side by side may differ in `PER_AGENT` fields only."""

    rule: RuleName = "nrl"
    preset: Preset = "edge"
    """`paper`: as published (Xavier-normal, all layers noisy). `edge`: zero output layer, Xavier-uniform hidden layers,
    and for NRL the exact output rule and the limit of small noise."""
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

    def __post_init__(self) -> None:
        for name, allowed in (
            ("rule", RULES),
            ("preset", PRESETS),
            ("reward", ("delayed", "immediate")),
            ("noise", NOISE_KINDS),
            ("noise_estimate", NOISE_ESTIMATES),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(f"learning: {name} = {value!r}: allowed are {', '.join(allowed)}")
        if self.episodes < 1:
            raise ConfigurationError(f"learning: episodes = {self.episodes}: at least 1 is needed")
        if self.noisy_passes < 0:
            raise ConfigurationError(f"learning: noisy_passes = {self.noisy_passes}: 0 or more are possible")
        for name in ("learning_rate", "clip", "sigma"):
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
        return self.preset == "edge" if self.zero_output is None else self.zero_output

    @property
    def output_is_exact(self) -> bool:
        """`exact_output`, or the preset's."""
        return self.preset == "edge" if self.exact_output is None else self.exact_output

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
