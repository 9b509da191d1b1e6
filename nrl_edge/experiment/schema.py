"""What an experiment file says, as frozen dataclasses: one class a section. `load.py` reads and checks the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nrl_edge.agent import EntropyMode
from nrl_edge.experiment.values import read_board, read_episodes, read_seed
from nrl_edge.learning.settings import CriticFeatures, NoiseEstimate, NoiseKind, Preset, RewardMode, RuleName
from nrl_edge.strict_toml import Table, format_value, power_of_two_exponent

ArithmeticKind = Literal["int16", "tiny", "float64"]
AUTOMATIC: Literal["auto"] = "auto"
ARITHMETIC_KINDS: tuple[ArithmeticKind, ...] = ("int16", "tiny", "float64")


@dataclass(frozen=True)
class TaskSection:
    """[task]: what is to be learned."""

    id: str
    """A gymnasium id such as `CartPole-v1`, or `module:Env-v0`, which imports `module` first."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the environment's constructor: strings, finite numbers, booleans, arrays and tables of them."""
    observation_scale: float | tuple[float, ...] | Literal["auto"] = AUTOMATIC
    """Factors, each a power of two: one an input, or one for all. Aim at scaled magnitudes of about 1 to 10, as "auto"
    does: it looks at the task."""
    action_scale: float | tuple[float, ...] | Literal["auto"] = AUTOMATIC
    """Box actions: what one standard deviation of the policy is in the environment's units, a power of two, one for
    each number of an action or one for all. "auto": the smallest that is not below half of the number's range."""
    reward: RewardMode = "delayed"
    """`delayed`: learn at the end of an episode from its return. `immediate`: learn at every step from its reward."""
    threshold: float | None = None
    """The task is solved where the mean return of 100 episodes reaches this; None: it never counts as solved."""
    seed: int | None = None
    """Seed of the episodes; None: the same as [entropy] seed."""
    on_chip: bool = False
    """The firmware simulates the task itself and learns with no host in the loop; the host only listens."""

    @property
    def scale_exponents(self) -> int | tuple[int, ...]:
        """`observation_scale` as exponents of two. ValueError where it is still automatic."""
        if self.observation_scale == AUTOMATIC:
            raise ValueError("an automatic scale depends on the task; see experiment_scale_exponents")
        if isinstance(self.observation_scale, tuple):
            return tuple(_exponent(factor) for factor in self.observation_scale)
        return _exponent(self.observation_scale)

    @property
    def action_exponents(self) -> int | tuple[int, ...] | None:
        """`action_scale` as exponents of two; None where it is automatic."""
        if self.action_scale == AUTOMATIC:
            return None
        if isinstance(self.action_scale, tuple):
            return tuple(_exponent(factor) for factor in self.action_scale)
        return _exponent(self.action_scale)


@dataclass(frozen=True)
class NetworkSection:
    """[network]: the agent's multi-layer perceptron."""

    hidden: tuple[int, ...] = (64,)
    """Units of each hidden layer: 1 to 3 layers of 1 to 128 units."""


@dataclass(frozen=True)
class Float64Section:
    """[learning.float64]: what learning in float64 can vary besides, for baselines, controls and ablations.

    None: as `nrl_edge.learning.LearningSettings`, whose fields these are, has it by itself.
    """

    gamma_avg: float | None = None
    noise: NoiseKind | None = None
    noisy_passes: int | None = None
    noise_estimate: NoiseEstimate | None = None
    activity_rate: float | None = None
    zero_output: bool | None = None
    exact_output: bool | None = None
    layer_factors: bool | None = None
    freeze_hidden: bool | None = None
    hidden_rate: float | None = None

    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class LearningSection:
    """[learning]: the rule and its constants."""

    rule: RuleName = "nrl"
    preset: Preset = "edge"
    """`paper`: as published. `edge`: the changes that make the rule fast and cheap on a chip. `actor-critic`: as
    `edge`, but learning every few steps from the prediction errors of a critic."""
    learning_rate: float = 2.0**-7
    """2^-20 to 1. Fixed point takes powers of two only. Where a file names none: 2^-1 with preset `actor-critic`."""
    clip: float | None = 0.25
    """Largest Euclidean norm of one update of all weights together, a power of two; None: no limit. Where a file names
    none: 2^-3 with preset `actor-critic`, none with `paper`."""
    episodes: int = 1000
    sigma: float | None = None
    """Standard deviation of the noise on pre-activations; None where the rule has none (NRL `edge` and `actor-critic`,
    REINFORCE)."""
    critic_features: CriticFeatures | None = None
    """What the critic of preset `actor-critic` is linear in: `products` of inputs (1, x_i, x_i x_j) or their `squares`
    only, for many inputs, or `cubes`, products of three of few inputs; None with other presets."""
    discount: float | None = None
    """Discount of the critic of preset `actor-critic`; fixed point takes 1 - 2^-4 to 1 - 2^-8. None: 127/128."""
    block_steps: int | None = None
    """Steps between two updates of preset `actor-critic` within an episode; 1, 2 or 4 in fixed point. None: 4."""
    noise_draws: int | None = 1
    """NRL `edge` and `actor-critic`: noise vectors a step, whose differences are averaged in the traces; 1, 2 or 4 in
    fixed point. None where the rule has no such draws."""
    float64: Float64Section = field(default_factory=Float64Section)

    @property
    def learning_rate_exponent(self) -> int | None:
        """K where the learning rate is 2^-K, else None."""
        exponent = power_of_two_exponent(self.learning_rate)
        return None if exponent is None else -exponent

    @property
    def clip_exponent(self) -> int | None:
        """C where the clip is 2^-C; None without a clip."""
        return None if self.clip is None else -_exponent(self.clip)


@dataclass(frozen=True)
class FormatsSection:
    """[arithmetic.formats]: fraction bits of each quantity; None: chosen automatically."""

    observation_frac_bits: int | None = None
    weight_frac_bits: int | None = None
    trace_frac_bits: int | None = None
    reward_frac_bits: int | None = None


@dataclass(frozen=True)
class ArithmeticSection:
    """[arithmetic]: the numbers that the agent computes with."""

    kind: ArithmeticKind = "int16"
    """`int16`: 16-bit weights and traces. `tiny`: 8-bit ones. `float64`: training on the host only."""
    formats: FormatsSection = field(default_factory=FormatsSection)


@dataclass(frozen=True)
class EntropySection:
    """[entropy]: where the agent's random bytes come from."""

    mode: EntropyMode = "seeded"
    seed: int = 42
    """64-bit seed of the agent (`seeded` mode) and, unless [task] has its own, of the episodes."""
    recording: str | None = None
    """File of the recorded bytes (`replay` mode), relative to the experiment file."""


@dataclass(frozen=True)
class BoardSection:
    """[board]: where the agent runs."""

    id: str = "desktop"


@dataclass(frozen=True)
class RunSection:
    """[run]: how a run is kept."""

    checkpoint_every: int = 50
    """Episodes between two checkpoints."""


@dataclass(frozen=True)
class StoreSection:
    """[store]: what keeps the agent on the device over a loss of power."""

    save_every: int = 0
    """Episodes between two saves in the board's non-volatile memory; 0: the firmware has no weight store."""


@dataclass(frozen=True)
class LinkSection:
    """[link]: what the firmware takes over its serial line."""

    key_file: str | None = None
    """File of the key (64 hexadecimal digits), relative to the experiment file, without which the firmware takes
    nothing that changes its agent but steps; None: it takes everything."""


@dataclass(frozen=True)
class Experiment:
    """One experiment file. Two experiments are equal where they say the same, whatever their files are called."""

    task: TaskSection
    network: NetworkSection = field(default_factory=NetworkSection)
    learning: LearningSection = field(default_factory=LearningSection)
    arithmetic: ArithmeticSection = field(default_factory=ArithmeticSection)
    entropy: EntropySection = field(default_factory=EntropySection)
    board: BoardSection = field(default_factory=BoardSection)
    run: RunSection = field(default_factory=RunSection)
    store: StoreSection = field(default_factory=StoreSection)
    link: LinkSection = field(default_factory=LinkSection)
    name: str = field(default="experiment.toml", compare=False)
    """What messages call it: the path of its file."""
    folder: Path | None = field(default=None, compare=False)
    """Folder of its file, which relative paths start from; None: the working directory."""

    @property
    def episode_seed(self) -> int:
        """Seed of the episodes: [task] seed, or else [entropy] seed."""
        return self.entropy.seed if self.task.seed is None else self.task.seed

    @property
    def recording_path(self) -> Path | None:
        """Where the recorded entropy is, or None."""
        return None if self.entropy.recording is None else (self.folder or Path()) / self.entropy.recording

    @property
    def link_key_path(self) -> Path | None:
        """Where the key of the link is, or None."""
        return None if self.link.key_file is None else (self.folder or Path()) / self.link.key_file

    def with_absolute_paths(self) -> Experiment:
        """The same experiment, independent of where its file is."""
        changed = self
        if (recording := self.recording_path) is not None:
            changed = replace(changed, entropy=replace(changed.entropy, recording=str(recording.resolve())))
        if (key := self.link_key_path) is not None:
            changed = replace(changed, link=LinkSection(str(key.resolve())))
        return changed

    def with_overrides(
        self, *, seed: int | None = None, episodes: int | None = None, board: str | None = None
    ) -> Experiment:
        """A copy with another seed (of agent and episodes alike), number of episodes or board.

        Raises ConfigurationError where one of these is not allowed.
        """

        def given(section: str, key: str, value: object) -> Table:
            return Table({key: value}, self.name, section, [key])

        changed = self
        if seed is not None:
            seed = read_seed(given("entropy", "seed", seed))
            changed = replace(
                changed, entropy=replace(changed.entropy, seed=seed), task=replace(changed.task, seed=None)
            )
        if episodes is not None:
            episodes = read_episodes(given("learning", "episodes", episodes))
            changed = replace(changed, learning=replace(changed.learning, episodes=episodes))
        if board is not None:
            board = read_board(given("board", "id", board))
            changed = replace(changed, board=replace(changed.board, id=board))
        return changed

    def to_toml(self) -> str:
        """The canonical text: every setting written out. It parses back to an equal experiment."""
        task, learning, formats = self.task, self.learning, self.arithmetic.formats
        scale = task.observation_scale
        sections: dict[str, dict[str, object]] = {
            "task": {
                "id": task.id,
                "kwargs": dict(task.kwargs) or None,
                "observation_scale": [_short(factor) for factor in scale]
                if isinstance(scale, tuple)
                else (scale if isinstance(scale, str) else _short(scale)),
                "action_scale": None
                if task.action_scale == AUTOMATIC
                else (
                    [_short(factor) for factor in task.action_scale]
                    if isinstance(task.action_scale, tuple)
                    else (task.action_scale if isinstance(task.action_scale, str) else _short(task.action_scale))
                ),
                "reward": task.reward,
                "threshold": None if task.threshold is None else _short(task.threshold),
                "seed": task.seed,
                "on_chip": task.on_chip or None,
            },
            "network": {"hidden": list(self.network.hidden)},
            "learning": {
                "rule": learning.rule,
                "preset": learning.preset,
                "learning_rate": _power(learning.learning_rate),
                "clip": "off" if learning.clip is None else _power(learning.clip),
                "episodes": learning.episodes,
                "sigma": learning.sigma,
                "critic_features": learning.critic_features,
                "discount": learning.discount,
                "block_steps": learning.block_steps,
                "noise_draws": learning.noise_draws,
            },
            "learning.float64": learning.float64.given(),
            "arithmetic": {"kind": self.arithmetic.kind},
            "arithmetic.formats": {
                "observation_frac_bits": formats.observation_frac_bits,
                "weight_frac_bits": formats.weight_frac_bits,
                "trace_frac_bits": formats.trace_frac_bits,
                "reward_frac_bits": formats.reward_frac_bits,
            },
            "entropy": {
                "mode": self.entropy.mode,
                "seed": self.entropy.seed,
                "recording": self.entropy.recording,
            },
            "board": {"id": self.board.id},
            "run": {"checkpoint_every": self.run.checkpoint_every},
            "store": {"save_every": self.store.save_every},
            "link": {"key_file": self.link.key_file},
        }
        if self.link.key_file is None:
            del sections["link"]
        if formats == FormatsSection():
            del sections["arithmetic.formats"]
            sections["arithmetic"]["formats"] = "auto"
        if not sections["learning.float64"]:
            del sections["learning.float64"]
        blocks = []
        for name, values in sections.items():
            lines = [f"{key} = {format_value(value)}" for key, value in values.items() if value is not None]
            blocks.append("\n".join([f"[{name}]", *lines]) + "\n")
        return "\n".join(blocks)


def _exponent(power: float) -> int:
    """E of a number that is known to be 2^E."""
    return math.frexp(power)[1] - 1


def _short(value: float) -> int | float:
    """8 instead of 8.0."""
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _power(value: float) -> str | float:
    """ "2^-6" where a number is a power of two, else the number."""
    exponent = power_of_two_exponent(value)
    return value if exponent is None else f"2^{exponent}"
