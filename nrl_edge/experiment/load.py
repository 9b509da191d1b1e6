"""Reads experiment files. Whatever is wrong in one is a ConfigurationError, key and remedy named."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from nrl_edge.agent import ENTROPY_MODES
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment.schema import (
    ARITHMETIC_KINDS,
    AUTOMATIC,
    ArithmeticSection,
    BoardSection,
    EntropySection,
    Experiment,
    Float64Section,
    FormatsSection,
    LearningSection,
    LinkSection,
    NetworkSection,
    RunSection,
    StoreSection,
    TaskSection,
)
from nrl_edge.experiment.values import MAX_EPISODES, read_board, read_episodes, read_seed
from nrl_edge.fixedpoint.configuration import (
    AGENT_PRESETS,
    BLOCK_STEPS,
    CRITIC_FEATURES,
    DISCOUNT_EXPONENTS,
    MAX_HIDDEN_LAYERS,
    MAX_HIDDEN_UNITS,
    NOISE_DRAWS,
    ONLINE_CLIP_EXPONENT,
    ONLINE_LEARNING_RATE_EXPONENT,
    CriticFeatures,
    Formats,
)
from nrl_edge.learning.settings import NOISE_ESTIMATES, NOISE_KINDS, PRESETS, RULES, Preset, RewardMode, RuleName
from nrl_edge.strict_toml import (
    Table,
    finite_number,
    parse_toml,
    plain_value,
    power_of_two_exponent,
    read_text,
    show,
)
from nrl_edge.tasks import ON_CHIP_TASKS

MAX_SCALE_EXPONENT = 30
MAX_LEARNING_RATE_EXPONENT = 20
MAX_CLIP_EXPONENT = 8
MAX_NOISY_PASSES = 64
MAX_NOISE_DRAWS = 64
MAX_BLOCK_STEPS = 1024
LARGEST_SAVE_EVERY = 65535
"""Episodes; what the link has room for."""

_SECTIONS = {
    "task": TaskSection,
    "network": NetworkSection,
    "learning": LearningSection,
    "arithmetic": ArithmeticSection,
    "entropy": EntropySection,
    "board": BoardSection,
    "run": RunSection,
    "store": StoreSection,
    "link": LinkSection,
}
_REWARDS: tuple[RewardMode, ...] = ("delayed", "immediate")
_DEFAULT_LEARNING_RATE: dict[Preset, float] = {
    "edge": LearningSection.learning_rate,
    "paper": LearningSection.learning_rate,
    "actor-critic": 2.0**-ONLINE_LEARNING_RATE_EXPONENT,
}
_DEFAULT_CLIP: dict[Preset, float | None] = {
    "edge": LearningSection.clip,
    "paper": None,
    "actor-critic": 2.0**-ONLINE_CLIP_EXPONENT,
}
_DEFAULT_SIGMA = {"nrl": 1e-3, "rmhl": 0.1}


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment file. A recording that it names must exist. Raises ConfigurationError."""
    path = Path(path)
    experiment = parse_experiment(read_text(path, "experiment file"), str(path), path.parent)
    recording = experiment.recording_path
    if recording is not None and not recording.is_file():
        raise ConfigurationError(
            f"{path}: entropy.recording = {show(experiment.entropy.recording)}: there is no file {recording}; "
            "the path is relative to the experiment file, and `replay` needs the bytes that a run recorded"
        )
    return experiment


def parse_experiment(text: str, name: str = "experiment.toml", folder: Path | None = None) -> Experiment:
    """The experiment of a TOML text. `name` stands for it in messages; relative paths start from `folder`.

    Raises ConfigurationError.
    """
    root = Table(parse_toml(text, name), name, "", list(_SECTIONS))
    tables = {section: root.table(section, [key.name for key in fields(kind)]) for section, kind in _SECTIONS.items()}
    if not root.has("task"):
        root.fail("task", 'a [task] section with at least `id = "CartPole-v1"` is needed')
    arithmetic = _arithmetic(tables["arithmetic"])
    fixed_point = arithmetic.kind != "float64"
    task, learning = _task(tables["task"]), _learning(tables["learning"], fixed_point)
    if learning.preset == "actor-critic" and task.reward == "immediate":
        tables["task"].fail("reward", 'preset actor-critic learns at every step by itself; allowed is "delayed"')
    return Experiment(
        task=task,
        network=NetworkSection(_hidden(tables["network"])),
        learning=learning,
        arithmetic=arithmetic,
        entropy=_entropy(tables["entropy"], fixed_point),
        board=BoardSection(read_board(tables["board"], BoardSection.id)),
        run=RunSection(tables["run"].integer("checkpoint_every", 1, MAX_EPISODES, RunSection.checkpoint_every)),
        store=StoreSection(tables["store"].integer("save_every", 0, LARGEST_SAVE_EVERY, StoreSection.save_every)),
        link=LinkSection(tables["link"].text("key_file") if tables["link"].has("key_file") else None),
        name=name,
        folder=folder,
    )


def check_experiment(experiment: Experiment) -> Experiment:
    """An experiment made in code, checked by the rules of a file. Raises ConfigurationError."""
    return parse_experiment(experiment.to_toml(), experiment.name, experiment.folder)


def _task(table: Table) -> TaskSection:
    task_id = table.text("id", allowed='a gymnasium id such as "CartPole-v1" or "module:Env-v0" is needed')
    if any(character.isspace() for character in task_id):
        table.fail("id", 'a gymnasium id such as "CartPole-v1" has no blanks')
    kwargs: dict[str, Any] = {}
    if table.has("kwargs"):
        if not isinstance(table.value("kwargs"), dict):
            table.fail("kwargs", "a table of constructor arguments such as { gravity = 9.8 } is needed")
        kwargs = table.value("kwargs")
        for key, value in kwargs.items():
            if not plain_value(value):
                Table(kwargs, table.file, "task.kwargs", list(kwargs)).fail(
                    key, "strings, booleans, 64-bit integers, finite numbers, and arrays and tables of them are allowed"
                )
    task = TaskSection(
        id=task_id,
        kwargs=kwargs,
        observation_scale=_scale(table, "observation_scale", "inputs"),
        action_scale=_scale(table, "action_scale", "numbers of an action"),
        reward=table.choice("reward", _REWARDS, "delayed"),
        threshold=table.number("threshold") if table.has("threshold") else None,
        seed=read_seed(table) if table.has("seed") else None,
        on_chip=table.boolean("on_chip") if table.has("on_chip") else False,
    )
    if task.on_chip and task.id not in ON_CHIP_TASKS:
        table.fail("on_chip", f"firmware simulates {', '.join(ON_CHIP_TASKS)} only; other tasks run on the host")
    return task


def _scale(table: Table, key: str, what: str) -> float | tuple[float, ...] | Literal["auto"]:
    if not table.has(key) or table.value(key) == AUTOMATIC:
        return AUTOMATIC
    value = table.value(key)
    factors = value if isinstance(value, list) else [value]
    exponents = [None if isinstance(factor, str) else power_of_two_exponent(factor) for factor in factors]
    if not factors or any(exponent is None or abs(exponent) > MAX_SCALE_EXPONENT for exponent in exponents):
        table.fail(
            key,
            "factors that are powers of two (0.5, 1, 2, 4, 8, ...) from 2^-30 to 2^30 are needed, one for all "
            f'{what} or an array such as [1, 1, 8, 1] with one for each, or "auto"',
        )
    scale = tuple(float(factor) for factor in factors)
    return scale if isinstance(value, list) else scale[0]


def _hidden(table: Table) -> tuple[int, ...]:
    if not table.has("hidden"):
        return NetworkSection().hidden
    value = table.value("hidden")
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= MAX_HIDDEN_LAYERS
        or not all(type(units) is int and 1 <= units <= MAX_HIDDEN_UNITS for units in value)
    ):
        table.fail(
            "hidden",
            f"1 to {MAX_HIDDEN_LAYERS} layers of 1 to {MAX_HIDDEN_UNITS} units, such as [64] or [32, 32], are needed",
        )
    return tuple(value)


def _learning(table: Table, fixed_point: bool) -> LearningSection:
    rule: RuleName = table.choice("rule", RULES, "nrl")
    preset: Preset = table.choice("preset", PRESETS, "edge")
    if fixed_point:
        only_float = 'needs `kind = "float64"` under [arithmetic]; in fixed point (int16, tiny)'
        if rule != "nrl":
            table.fail("rule", f"this rule {only_float} the allowed rule is nrl")
        if preset not in AGENT_PRESETS:
            table.fail("preset", f"this preset {only_float} the allowed presets are {', '.join(AGENT_PRESETS)}")
    if rule in ("rmhl", "random") and preset == "actor-critic":
        table.fail("preset", f"rule {rule} has no actor-critic form; the rules nrl and reinforce have")
    sigma = None
    if rule == "rmhl" or (rule, preset) == ("nrl", "paper"):
        sigma = table.number("sigma", above=0.0, default=_DEFAULT_SIGMA[rule])
    elif table.has("sigma"):
        table.fail(
            "sigma", f"rule {rule} with preset {preset} has no noise level; allowed with rmhl and with preset paper"
        )
    features: CriticFeatures | None = None
    if preset == "actor-critic":
        features = table.choice("critic_features", CRITIC_FEATURES, "products")
    elif table.has("critic_features"):
        table.fail("critic_features", f"preset {preset} has no critic; allowed with preset actor-critic")
    discount, block = _online(table, fixed_point, preset)
    draws = None
    if rule == "nrl" and preset != "paper":
        draws = table.integer("noise_draws", 1, MAX_NOISE_DRAWS, 1)
        if fixed_point and draws not in NOISE_DRAWS:
            table.fail("noise_draws", "1, 2 or 4 are possible in fixed point, where a mean has to be a shift")
    elif table.has("noise_draws"):
        table.fail(
            "noise_draws",
            f"it has no effect with rule {rule} and preset {preset}; allowed with rule nrl and presets edge and "
            "actor-critic",
        )
    learning = LearningSection(
        rule=rule,
        preset=preset,
        learning_rate=_learning_rate(table, fixed_point, _DEFAULT_LEARNING_RATE[preset]),
        clip=_clip(table, _DEFAULT_CLIP[preset]),
        episodes=read_episodes(table, LearningSection.episodes),
        sigma=sigma,
        critic_features=features,
        discount=discount,
        block_steps=block,
        noise_draws=draws,
        float64=_float64(table, fixed_point, rule, preset),
    )
    return learning


def _online(table: Table, fixed_point: bool, preset: Preset) -> tuple[float | None, int | None]:
    """`discount` and `block_steps`, None where they are not given."""
    for key in ("discount", "block_steps"):
        if table.has(key) and preset != "actor-critic":
            table.fail(key, f"preset {preset} learns from whole returns or single rewards; allowed with actor-critic")
    discount = table.number("discount") if table.has("discount") else None
    if discount is not None:
        if not 0.0 <= discount < 1.0:
            table.fail("discount", "a number from 0 to below 1, such as 0.984375 (63/64), is needed")
        if fixed_point and -(power_of_two_exponent(1.0 - discount) or 0) not in DISCOUNT_EXPONENTS:
            allowed = ", ".join(f"{1.0 - 2.0**-exponent:.10g}" for exponent in DISCOUNT_EXPONENTS)
            table.fail("discount", f"in fixed point 1 - 2^-4 to 1 - 2^-8 are possible: {allowed}")
    block = table.integer("block_steps", 1, MAX_BLOCK_STEPS) if table.has("block_steps") else None
    if fixed_point and block is not None and block not in BLOCK_STEPS:
        table.fail("block_steps", "1, 2 or 4 are possible in fixed point")
    return discount, block


def _float64(parent: Table, fixed_point: bool, rule: RuleName, preset: Preset) -> Float64Section:
    table = parent.table("float64", [key.name for key in fields(Float64Section)])
    if parent.has("float64") and fixed_point:
        parent.fail("float64", 'this table needs `kind = "float64"` under [arithmetic]; remove it, or set that')
    paper, rmhl, nrl = (rule, preset) == ("nrl", "paper"), rule == "rmhl", rule == "nrl"
    for keys, fits, where in (
        (("exact_output", "layer_factors"), nrl, "rule nrl"),
        (("noisy_passes",), paper, "rule nrl and preset paper"),
        (("noise",), paper or rmhl, "rule rmhl, and rule nrl with preset paper"),
        (("noise_estimate", "activity_rate"), rmhl, "rule rmhl"),
    ):
        for key in keys:
            if table.has(key) and not fits:
                table.fail(key, f"it has no effect with rule {rule} and preset {preset}; allowed with {where}")

    def rate(key: str) -> float | None:
        value = table.number(key, above=0.0) if table.has(key) else None
        if value is not None and value > 1.0:
            table.fail(key, "a number above 0 and up to 1 is needed")
        return value

    def switch(key: str) -> bool | None:
        return table.boolean(key) if table.has(key) else None

    return Float64Section(
        gamma_avg=rate("gamma_avg"),
        noise=table.choice("noise", NOISE_KINDS) if table.has("noise") else None,
        noisy_passes=table.integer("noisy_passes", 0, MAX_NOISY_PASSES) if table.has("noisy_passes") else None,
        noise_estimate=table.choice("noise_estimate", NOISE_ESTIMATES) if table.has("noise_estimate") else None,
        activity_rate=rate("activity_rate"),
        zero_output=switch("zero_output"),
        exact_output=switch("exact_output"),
        layer_factors=switch("layer_factors"),
        freeze_hidden=switch("freeze_hidden"),
        hidden_rate=table.number("hidden_rate", above=0.0) if table.has("hidden_rate") else None,
    )


def _learning_rate(table: Table, fixed_point: bool, default: float) -> float:
    key = "learning_rate"
    if not table.has(key):
        return default
    value = table.value(key)
    exponent = power_of_two_exponent(value)
    if exponent is not None and -MAX_LEARNING_RATE_EXPONENT <= exponent <= 0:
        return 2.0**exponent
    number = finite_number(value)
    if not fixed_point and number is not None and 2.0**-MAX_LEARNING_RATE_EXPONENT <= number <= 1.0:
        return number
    powers = f'a power of two from "2^-{MAX_LEARNING_RATE_EXPONENT}" to "2^0"'
    if fixed_point:
        table.fail(key, f'{powers} such as "2^-6" is needed; other numbers need `kind = "float64"` under [arithmetic]')
    table.fail(key, f"{powers}, or a number in this range such as 0.005, is needed")


def _clip(table: Table, default: float | None) -> float | None:
    if not table.has("clip"):
        return default
    value = table.value("clip")
    if value == "off":
        return None
    exponent = power_of_two_exponent(value)
    if exponent is None or not -MAX_CLIP_EXPONENT <= exponent <= 0:
        table.fail("clip", f'a power of two from "2^-{MAX_CLIP_EXPONENT}" to 1 such as 0.25, or "off", is needed')
    return 2.0**exponent


def _arithmetic(table: Table) -> ArithmeticSection:
    kind = table.choice("kind", ARITHMETIC_KINDS, "int16")
    formats = FormatsSection()
    if table.has("formats") and table.value("formats") != "auto":
        if not isinstance(table.value("formats"), dict):
            table.fail("formats", '"auto" or a table such as { observation_frac_bits = 10 } is needed')
        if kind == "float64":
            table.fail("formats", 'float64 has no fixed-point formats; "auto" is allowed')
        formats = _formats(
            table.table("formats", [key.name for key in fields(FormatsSection)]),
            parameter_bits=16 if kind == "int16" else 8,
        )
    return ArithmeticSection(kind, formats)


def _formats(table: Table, parameter_bits: int) -> FormatsSection:
    sixteen = parameter_bits == 16

    def bits(key: str, low: int, high: int) -> int | None:
        return table.integer(key, low, high) if table.has(key) else None

    formats = FormatsSection(
        observation_frac_bits=bits("observation_frac_bits", 0, 14),
        weight_frac_bits=bits("weight_frac_bits", 2, 15) if sixteen else bits("weight_frac_bits", 0, 7),
        trace_frac_bits=bits("trace_frac_bits", 0, 12) if sixteen else bits("trace_frac_bits", 0, 6),
        reward_frac_bits=bits("reward_frac_bits", 0, 16),
    )
    if formats.observation_frac_bits is not None and formats.weight_frac_bits is not None:
        try:
            Formats(parameter_bits, formats.observation_frac_bits, formats.weight_frac_bits, trace_frac_bits=0)
        except ConfigurationError as error:
            table.fail("weight_frac_bits", str(error))
    return formats


def _entropy(table: Table, fixed_point: bool) -> EntropySection:
    mode = table.choice("mode", ENTROPY_MODES, "seeded")
    if not fixed_point and mode != "seeded":
        table.fail(
            "mode", 'allowed is "seeded" with `kind = "float64"`: float training has no recorded or hardware entropy'
        )
    recording = None
    if mode == "replay":
        recording = table.text("recording", allowed='mode "replay" needs the file of the recorded bytes, as a path')
    elif table.has("recording"):
        table.fail(
            "recording", f'allowed with mode = "replay" only, and mode is {show(mode)}; remove it or set the mode'
        )
    entropy = EntropySection(mode, read_seed(table, EntropySection.seed), recording)
    return entropy
