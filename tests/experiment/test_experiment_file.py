from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import (
    Experiment,
    FormatsSection,
    TaskSection,
    agent_configuration,
    check_experiment,
    entropy_settings,
    learning_settings,
    load_experiment,
    parse_experiment,
    task_settings,
)
from nrl_edge.strict_toml import format_value, show_key

TASK = '[task]\nid = "CartPole-v1"\n'

FULL = """
[task]
id = "CartPole-v1"
kwargs = { sutton_barto_reward = false, "odd key" = [1, 2.5, "x"], nested = { depth = 2 } }
observation_scale = [1, 1, 8, 0.5]
reward = "immediate"
threshold = 475
seed = 7
[network]
hidden = [64, 32]
[learning]
rule = "rmhl"
preset = "paper"
learning_rate = 0.005
clip = 0.25
episodes = 700
sigma = 0.2
[arithmetic]
kind = "float64"
[entropy]
seed = 18446744073709551615
[board]
id = "desktop"
[run]
checkpoint_every = 25
"""


def learning(line: str, kind: str = "int16") -> str:
    return f'{TASK}[learning]\n{line}\n[arithmetic]\nkind = "{kind}"\n'


# (name, text, what the message has to contain besides the file's name)
BROKEN: list[tuple[str, str, list[str]]] = [
    ("empty", "", ["task", "missing", "CartPole-v1"]),
    ("syntax", "[task\nid = 1", ["line 1", "brackets"]),
    ("syntax_line", '[task]\nid = "x"\nreward = delayed', ["line 3"]),
    ("duplicate_key", '[task]\nid = "x"\nid = "y"', ["line 3"]),
    ("huge_integer", f"[task]\nid = {'9' * 5000}", ["not valid TOML"]),
    ("deep_nesting", f"x = {'[' * 5000}", ["nested"]),
    ("unknown_section", TASK + "[learnign]\nrule = 1", ["learnign", "did you mean learning", "arithmetic"]),
    ("unknown_top_key", "seed = 3\n" + TASK, ["seed = 3", "unknown section", "task, network"]),
    ("section_is_value", "task = 3", ["task = 3", "table"]),
    ("section_is_array", "[[task]]\nid = 'x'", ["task = ", "table"]),
    ("task_id_missing", "[task]\nreward = 'delayed'", ["task.id is missing", "gymnasium id"]),
    ("task_id_number", "[task]\nid = 5", ["task.id = 5", "gymnasium id"]),
    ("task_id_empty", "[task]\nid = ''", ['task.id = ""', "gymnasium id"]),
    ("task_id_blank", "[task]\nid = 'Cart Pole'", ["task.id", "Cart Pole", "blanks"]),
    ("task_id_control", '[task]\nid = "a\\u0000b"', ["task.id", "gymnasium id"]),
    ("task_unknown_key", TASK + "treshold = 1", ["task.treshold = 1", "did you mean threshold"]),
    ("kwargs_list", TASK + "kwargs = [1]", ["task.kwargs = [1]", "gravity"]),
    ("kwargs_date", TASK + "kwargs = { day = 2020-01-01 }", ["task.kwargs.day = 2020-01-01", "strings"]),
    ("kwargs_nan", TASK + "kwargs = { g = nan }", ["task.kwargs.g = nan", "finite"]),
    ("kwargs_huge", TASK + "kwargs = { g = 0x" + "f" * 20 + " }", ["task.kwargs.g", "64-bit"]),
    ("kwargs_deep", TASK + "[task.kwargs" + ".a" * 1500 + "]\nb = 1", ["task.kwargs.a", "too large to show"]),
    ("scale_three", TASK + "observation_scale = [1, 3]", ["task.observation_scale = [1, 3]", "powers of two"]),
    ("scale_empty", TASK + "observation_scale = []", ["task.observation_scale = []", "powers of two"]),
    ("scale_zero", TASK + "observation_scale = 0", ["task.observation_scale = 0", "powers of two"]),
    ("scale_negative", TASK + "observation_scale = [-2]", ["task.observation_scale = [-2]", "powers of two"]),
    ("scale_bool", TASK + "observation_scale = [true]", ["task.observation_scale = [true]", "powers of two"]),
    ("scale_text", TASK + 'observation_scale = ["2^3"]', ["task.observation_scale", "2^3", "powers of two"]),
    ("scale_inf", TASK + "observation_scale = inf", ["task.observation_scale = inf", "powers of two"]),
    ("scale_huge", TASK + "observation_scale = 2147483648", ["task.observation_scale = 2147483648", "2^30"]),
    ("reward_typo", TASK + "reward = 'delayd'", ["task.reward", "delayd", "did you mean delayed", "immediate"]),
    ("reward_bool", TASK + "reward = true", ["task.reward = true", "delayed", "immediate"]),
    ("threshold_text", TASK + "threshold = '475'", ["task.threshold", "475", "finite number"]),
    ("threshold_nan", TASK + "threshold = nan", ["task.threshold = nan", "finite number"]),
    ("threshold_huge", TASK + "threshold = " + "9" * 400, ["task.threshold = 999", "finite number"]),
    ("threshold_bool", TASK + "threshold = true", ["task.threshold = true", "finite number"]),
    ("task_seed_negative", TASK + "seed = -1", ["task.seed = -1", "0 to 2^64 - 1"]),
    ("hidden_number", TASK + "[network]\nhidden = 64", ["network.hidden = 64", "1 to 3 layers"]),
    ("hidden_empty", TASK + "[network]\nhidden = []", ["network.hidden = []", "1 to 3 layers"]),
    ("hidden_four", TASK + "[network]\nhidden = [8, 8, 8, 8]", ["network.hidden = [8, 8, 8, 8]", "1 to 3 layers"]),
    ("hidden_zero", TASK + "[network]\nhidden = [0]", ["network.hidden = [0]", "1 to 128 units"]),
    ("hidden_wide", TASK + "[network]\nhidden = [129]", ["network.hidden = [129]", "1 to 128 units"]),
    ("hidden_bool", TASK + "[network]\nhidden = [true]", ["network.hidden = [true]", "1 to 128 units"]),
    ("hidden_float", TASK + "[network]\nhidden = [64.0]", ["network.hidden = [64.0]", "1 to 128 units"]),
    ("network_unknown", TASK + "[network]\nlayers = [64]", ["network.layers = [64]", "unknown key", "hidden"]),
    ("rule_unknown", learning("rule = 'ppo'"), ["learning.rule", "ppo", "nrl", "rmhl", "reinforce"]),
    ("rule_list", learning("rule = ['nrl']"), ["learning.rule", "nrl", "rmhl"]),
    ("preset_rmhl", learning("preset = 'actor-critic'\nrule = 'rmhl'", "float64"), ["rmhl", "no actor-critic form"]),
    (
        "preset_immediate",
        TASK + "reward = 'immediate'\n[learning]\npreset = 'actor-critic'",
        ["task.reward", "actor-critic", "delayed"],
    ),
    ("features_unknown", learning("preset = 'actor-critic'\ncritic_features = 'quartics'"), ["quartics", "squares", "cubes"]),
    ("draws_of_three", learning("noise_draws = 3"), ["learning.noise_draws", "1, 2 or 4"]),
    ("draws_none", learning("noise_draws = 0"), ["learning.noise_draws"]),
    ("draws_of_rmhl", learning("rule = 'rmhl'\nnoise_draws = 2", "float64"), ["learning.noise_draws", "no effect"]),
    ("random_online", learning("rule = 'random'\npreset = 'actor-critic'", "float64"), ["rule random has no actor"]),
    ("features_edge", learning("critic_features = 'squares'"), ["learning.critic_features", "preset edge has no"]),
    ("preset_unknown", learning("preset = 'edgy'"), ["learning.preset", "edgy", "did you mean edge", "paper"]),
    ("fixed_rmhl", learning("rule = 'rmhl'"), ["learning.rule", "rmhl", "float64", "nrl"]),
    ("fixed_paper", learning("preset = 'paper'", "tiny"), ["learning.preset", "paper", "float64", "edge"]),
    ("rate_fixed", learning("learning_rate = 0.005"), ["learning.learning_rate = 0.005", "power of two", "float64"]),
    ("rate_text", learning("learning_rate = '2**-6'"), ["learning.learning_rate", "2**-6", "power of two"]),
    ("rate_large", learning("learning_rate = '2^1'"), ["learning.learning_rate", "2^1", "2^0"]),
    ("rate_small", learning("learning_rate = '2^-21'"), ["learning.learning_rate", "2^-21", "2^-20"]),
    ("rate_absurd", learning("learning_rate = '2^-9999'"), ["learning.learning_rate", "2^-9999", "2^-20"]),
    ("rate_zero", learning("learning_rate = 0", "float64"), ["learning.learning_rate = 0", "power of two"]),
    ("rate_nan", learning("learning_rate = nan", "float64"), ["learning.learning_rate = nan", "0.005"]),
    ("rate_negative", learning("learning_rate = -0.5", "float64"), ["learning.learning_rate = -0.5", "0.005"]),
    ("clip_three", learning("clip = 0.3"), ["learning.clip = 0.3", "power of two", "off"]),
    ("clip_none", learning("clip = 'none'"), ["learning.clip", "none", "off"]),
    ("clip_small", learning("clip = '2^-9'"), ["learning.clip", "2^-9", "2^-8"]),
    ("clip_false", learning("clip = false"), ["learning.clip = false", "off"]),
    ("episodes_zero", learning("episodes = 0"), ["learning.episodes = 0", "1 to"]),
    ("episodes_float", learning("episodes = 500.0"), ["learning.episodes = 500.0", "whole number"]),
    ("episodes_bool", learning("episodes = true"), ["learning.episodes = true", "whole number"]),
    (
        "episodes_huge",
        learning("episodes = 0x" + "f" * 9000),
        ["learning.episodes", "too large to show", "whole number"],
    ),
    ("sigma_edge", learning("sigma = 0.1"), ["learning.sigma = 0.1", "edge", "rmhl"]),
    ("sigma_zero", learning("rule = 'rmhl'\nsigma = 0", "float64"), ["learning.sigma = 0", "above 0"]),
    ("float64_fixed", learning("float64.freeze_hidden = true"), ["learning.float64", "freeze_hidden", "float64"]),
    (
        "float64_rule",
        learning('rule = "rmhl"\nfloat64.exact_output = true', "float64"),
        ["learning.float64.exact_output = true", "no effect with rule rmhl", "rule nrl"],
    ),
    (
        "float64_preset",
        learning("float64.noise = 'gaussian'", "float64"),
        ["learning.float64.noise", "preset edge", "preset paper"],
    ),
    ("float64_switch", learning("float64.zero_output = 1", "float64"), ["zero_output = 1", "true or false"]),
    ("float64_rate", learning("float64.gamma_avg = 1.5", "float64"), ["float64.gamma_avg = 1.5", "up to 1"]),
    ("float64_typo", learning("float64.freeze = true", "float64"), ["float64.freeze", "did you mean freeze_hidden"]),
    ("learning_typo", learning("learnign_rate = 1"), ["learning.learnign_rate = 1", "did you mean learning_rate"]),
    ("kind_typo", learning("", "int61"), ["arithmetic.kind", "int61", "did you mean int16", "tiny"]),
    ("formats_text", TASK + "[arithmetic]\nformats = 'Q12'", ["arithmetic.formats", "Q12", "auto"]),
    (
        "formats_float64",
        TASK + "[arithmetic]\nkind = 'float64'\nformats = { weight_frac_bits = 3 }",
        ["arithmetic.formats", "weight_frac_bits = 3", "auto"],
    ),
    (
        "formats_range",
        TASK + "[arithmetic.formats]\ntrace_frac_bits = 13",
        ["arithmetic.formats.trace_frac_bits = 13", "0 to 12"],
    ),
    (
        "formats_tiny",
        TASK + "[arithmetic]\nkind = 'tiny'\nformats = { weight_frac_bits = 12 }",
        ["arithmetic.formats.weight_frac_bits = 12", "0 to 7"],
    ),
    (
        "formats_sum",
        TASK + "[arithmetic.formats]\nobservation_frac_bits = 3\nweight_frac_bits = 4",
        ["arithmetic.formats.weight_frac_bits = 4", "12 to 27"],
    ),
    (
        "formats_typo",
        TASK + "[arithmetic.formats]\nweight_bits = 4",
        ["arithmetic.formats.weight_bits = 4", "did you mean weight_frac_bits"],
    ),
    ("mode_unknown", TASK + "[entropy]\nmode = 'random'", ["entropy.mode", "random", "seeded", "replay"]),
    ("mode_float64", TASK + "[arithmetic]\nkind='float64'\n[entropy]\nmode='raw'", ["entropy.mode", "raw", "seeded"]),
    ("seed_negative", TASK + "[entropy]\nseed = -1", ["entropy.seed = -1", "2^64 - 1"]),
    (
        "seed_large",
        TASK + "[entropy]\nseed = 18446744073709551616",
        ["entropy.seed = 18446744073709551616", "2^64 - 1"],
    ),
    ("seed_text", TASK + "[entropy]\nseed = '42'", ["entropy.seed", "42", "whole number"]),
    ("replay_alone", TASK + "[entropy]\nmode = 'replay'", ["entropy.recording is missing", "replay"]),
    ("recording_unused", TASK + "[entropy]\nrecording = 'x.bin'", ["entropy.recording", "x.bin", "replay", "seeded"]),
    ("recording_number", TASK + "[entropy]\nmode='replay'\nrecording = 3", ["entropy.recording = 3", "replay"]),
    ("board_unknown", TASK + "[board]\nid = 'destop'", ["board.id", "destop", "did you mean desktop"]),
    ("board_typo", TASK + "[board]\nname = 'desktop'", ["board.name", "unknown key", "id"]),
    ("checkpoint_zero", TASK + "[run]\ncheckpoint_every = 0", ["run.checkpoint_every = 0", "1 to"]),
    ("save_negative", TASK + "[store]\nsave_every = -1", ["store.save_every = -1", "0 to 65535"]),
    ("run_unknown", TASK + "[run]\ncheckpoint = 5", ["run.checkpoint = 5", "did you mean checkpoint_every"]),
]


@pytest.mark.parametrize(("name", "text", "parts"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_file_gives_one_helpful_error(name: str, text: str, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_experiment(path)
    message = str(caught.value)
    for part in [str(path), *parts]:
        assert part in message
    assert caught.value.exit_code == 2
    assert "\n" not in message and len(message) < 9000


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.toml"
    garbage.write_bytes(bytes(range(128, 256)))
    for path, part in (
        (tmp_path / "absent.toml", "no such experiment file"),
        (tmp_path, "is a folder"),
        (garbage, "byte 0 is not UTF-8"),
        (Path("a\0b"), "cannot be read"),
        (Path("x" * 5000), "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=part) as caught:
            load_experiment(path)
        assert caught.value.exit_code == 2


def test_a_recording_is_found_beside_its_experiment(tmp_path: Path) -> None:
    path = tmp_path / "replay.toml"
    path.write_text(TASK + '[entropy]\nmode = "replay"\nrecording = "noise.bin"\n')
    with pytest.raises(ConfigurationError, match=r"recording = \"noise.bin\": there is no file"):
        load_experiment(path)
    (tmp_path / "noise.bin").write_bytes(b"abc")
    experiment = load_experiment(path)
    assert entropy_settings(experiment).recording == b"abc"
    elsewhere = parse_experiment(experiment.with_absolute_paths().to_toml(), folder=Path("/nowhere"))
    assert entropy_settings(elsewhere).recording == b"abc"


def test_a_full_file_says_what_it_says() -> None:
    experiment = parse_experiment(FULL)
    assert experiment.task.scale_exponents == (0, 0, 3, -1)
    assert experiment.task.kwargs["odd key"] == [1, 2.5, "x"]
    assert experiment.task.threshold == 475.0
    assert experiment.entropy.seed == 2**64 - 1
    assert experiment.episode_seed == 7
    assert experiment.learning.learning_rate_exponent is None
    settings = learning_settings(experiment)
    assert (settings.rule, settings.preset, settings.sigma, settings.clip) == ("rmhl", "paper", 0.2, 0.25)
    assert task_settings(experiment).observation_scale == (0, 0, 3, -1)
    assert parse_experiment(experiment.to_toml()) == experiment


def test_float64_settings_reach_the_trainer_and_the_canonical_text() -> None:
    experiment = parse_experiment(
        learning('rule = "rmhl"\nfloat64 = { noise_estimate = "moving_average", activity_rate = 0.2 }', "float64")
    )
    settings = learning_settings(experiment)
    assert (settings.noise_estimate, settings.activity_rate, settings.noise) == ("moving_average", 0.2, "sign")
    assert "[learning.float64]" in experiment.to_toml()
    assert parse_experiment(experiment.to_toml()) == experiment
    switched = learning("float64 = { exact_output = false, layer_factors = true, zero_output = false }", "float64")
    edge = learning_settings(parse_experiment(switched))
    assert (edge.output_is_exact, edge.layers_have_factors, edge.output_starts_at_zero) == (False, True, False)
    assert "float64]" not in parse_experiment(TASK).to_toml()


def test_the_smallest_file_gets_the_documented_defaults() -> None:
    experiment = parse_experiment(TASK)
    assert experiment == Experiment(TaskSection("CartPole-v1"))
    assert parse_experiment(experiment.to_toml()) == experiment
    assert experiment.episode_seed == experiment.entropy.seed == 42
    assert experiment.learning.clip_exponent == 2
    paper = parse_experiment(learning('preset = "paper"', "float64"))
    assert (paper.learning.clip, paper.learning.sigma) == (None, 1e-3)


@pytest.mark.parametrize("text", ['"2^-6"', "0.015625", '"2^-06"'])
def test_a_power_of_two_is_accepted_however_it_is_written(text: str) -> None:
    assert parse_experiment(learning(f"learning_rate = {text}")).learning.learning_rate_exponent == 6


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TASK.encode())
    assert load_experiment(path).task.id == "CartPole-v1"


def test_overrides_are_checked_like_a_file() -> None:
    experiment = parse_experiment(FULL, "mine.toml")
    changed = experiment.with_overrides(seed=5, episodes=9, board="desktop")
    assert (changed.entropy.seed, changed.episode_seed, changed.learning.episodes) == (5, 5, 9)
    assert changed.name == "mine.toml"
    assert experiment.with_overrides() == experiment
    for override, part in (
        ({"seed": -1}, "entropy.seed = -1"),
        ({"episodes": 0}, "learning.episodes = 0"),
        ({"board": "uno32"}, "board.id"),
    ):
        with pytest.raises(ConfigurationError, match=part):
            experiment.with_overrides(**override)  # type: ignore[arg-type]


def test_an_experiment_made_in_code_is_checked() -> None:
    experiment = Experiment(TaskSection("CartPole-v1", observation_scale=3.0))
    with pytest.raises(ConfigurationError, match="observation_scale = 3"):
        check_experiment(experiment)


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("", 4, (16, 10, 12, 5, 8)),
        ("[network]\nhidden = [65]", 4, (16, 10, 11, 5, 8)),
        ("[network]\nhidden = [128, 8]", 4, (16, 10, 11, 5, 8)),
        ("[arithmetic]\nkind = 'tiny'", 4, (8, 10, 5, 0, 8)),
        ("[arithmetic.formats]\nweight_frac_bits = 13\nreward_frac_bits = 4", 4, (16, 10, 13, 5, 4)),
        ("[arithmetic.formats]\nobservation_frac_bits = 7", 4, (16, 7, 12, 5, 8)),
    ],
)
def test_automatic_formats(text: str, inputs: int, expected: tuple[int, ...]) -> None:
    formats = agent_configuration(parse_experiment(TASK + text), inputs, 2).formats
    assert expected == (
        formats.parameter_bits,
        formats.observation_frac_bits,
        formats.weight_frac_bits,
        formats.trace_frac_bits,
        formats.reward_frac_bits,
    )


def test_immediate_reward_has_finer_traces_and_the_file_wins_over_the_task() -> None:
    immediate = agent_configuration(parse_experiment(TASK + 'reward = "immediate"'), 4, 2, 9)
    assert (immediate.formats.trace_frac_bits, immediate.formats.observation_frac_bits) == (8, 9)
    assert immediate.immediate_reward
    fixed = parse_experiment(TASK + "[arithmetic.formats]\nobservation_frac_bits = 7")
    assert agent_configuration(fixed, 4, 2, 9).formats.observation_frac_bits == 7


@pytest.mark.parametrize(("kind", "bits", "trace"), [("int16", 16, 8), ("tiny", 8, 1)])
def test_an_online_agent(kind: str, bits: int, trace: int) -> None:
    experiment = parse_experiment(learning("preset = 'actor-critic'", kind))
    assert parse_experiment(experiment.to_toml()) == experiment
    agent = agent_configuration(experiment, 4, 2, 9)
    assert (agent.preset, agent.critic_features) == ("actor-critic", "products")
    assert (agent.learning_rate_exponent, agent.clip_exponent) == (1, 3)
    assert (agent.formats.parameter_bits, agent.formats.trace_frac_bits) == (bits, trace)
    coarse = parse_experiment(experiment.to_toml().replace('formats = "auto"', "formats = { weight_frac_bits = 7 }"))
    with pytest.raises(ConfigurationError, match=r"least 7.*observation_scale"):
        agent_configuration(coarse, 4, 2, 6)


def test_online_learning_in_float64() -> None:
    text = "preset = 'actor-critic'\nrule = 'reinforce'\nlearning_rate = 0.3\nclip = 'off'\ncritic_features = 'squares'"
    experiment = parse_experiment(learning(text, "float64"))
    assert parse_experiment(experiment.to_toml()) == experiment
    settings = learning_settings(experiment)
    assert (settings.rule, settings.preset, settings.actor_step) == ("reinforce", "actor-critic", 0.3)
    assert (settings.update_norm, settings.critic_features) == (None, "squares")
    default = learning_settings(parse_experiment(learning("preset = 'actor-critic'")))
    assert (default.actor_step, default.update_norm, default.critic_features) == (0.5, 0.125, "products")


def test_agents_that_fixed_point_cannot_hold() -> None:
    experiment = parse_experiment(TASK, "mine.toml")
    for inputs, actions, frac_bits, part in (
        (65, 2, 10, "inputs = 65"),
        (4, 17, 10, "actions = 17"),
    ):
        with pytest.raises(ConfigurationError, match=part) as caught:
            agent_configuration(experiment, inputs, actions, frac_bits)
        assert "mine.toml" in str(caught.value)
    tiny = parse_experiment(TASK + "[arithmetic]\nkind = 'tiny'")
    with pytest.raises(ConfigurationError, match=r"observation_frac_bits \+ weight_frac_bits = 11.*observation_scale"):
        agent_configuration(tiny, 4, 2, 6)
    with pytest.raises(ConfigurationError, match="float64"):
        agent_configuration(parse_experiment(learning("", "float64")), 4, 2, 10)


# Fuzzing: whatever is in a file, it is an experiment or a ConfigurationError.

SECTION_NAMES = ["task", "network", "learning", "arithmetic", "entropy", "board", "run", "extra"]
KEYS = [
    *("id", "kwargs", "observation_scale", "reward", "threshold", "seed", "hidden", "rule", "preset", "learning_rate"),
    *(
        "clip",
        "episodes",
        "sigma",
        "critic_features",
        "kind",
        "formats",
        "mode",
        "recording",
        "checkpoint_every",
        "save_every",
        "weight_frac_bits",
    ),
]
WORDS = [
    "CartPole-v1",
    "nrl",
    "paper",
    "edge",
    "rmhl",
    "float64",
    "tiny",
    "auto",
    "off",
    "2^-6",
    "replay",
    "desktop",
    "",
]

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=8),
    st.booleans(),
    st.integers(),
    st.integers(-2, 130),
    st.floats(),
    st.dates(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
documents = st.dictionaries(
    st.sampled_from(SECTION_NAMES), st.dictionaries(st.sampled_from(KEYS), values, max_size=5) | values, max_size=5
)


def as_toml(document: dict[str, Any]) -> str:
    return "".join(f"{show_key(key)} = {format_value(value)}\n" for key, value in document.items())


def parses_or_says_why(text: str) -> None:
    try:
        experiment = parse_experiment(text, "fuzz.toml")
    except ConfigurationError as error:
        assert str(error).startswith("fuzz.toml: ")
        assert len(str(error)) < 2000
    else:
        assert parse_experiment(experiment.to_toml()) == experiment


@settings(max_examples=400, deadline=None)
@given(documents)
def test_random_tables_parse_or_say_why(document: dict[str, Any]) -> None:
    parses_or_says_why(as_toml({"task": {"id": "x"}} | document))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["task", "learning", "network", "arithmetic", "entropy"]), st.sampled_from(KEYS), values)
def test_one_random_value_parses_or_says_why(section: str, key: str, value: Any) -> None:
    tables: dict[str, dict[str, Any]] = {"task": {"id": "x"}}
    tables.setdefault(section, {})[key] = value
    parses_or_says_why(as_toml(tables))


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_random_text_parses_or_says_why(text: str) -> None:
    parses_or_says_why(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_parse_or_say_why(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{os.getpid()}.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError):
        load_experiment(path)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.lists(st.integers(-30, 30), min_size=1, max_size=6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(1, 128), min_size=1, max_size=3),
    st.floats(2.0**-20, 1.0),
    st.integers(0, 2**64 - 1),
    st.integers(0, 12) | st.none(),
)
def test_canonical_text_parses_back(
    kwargs: dict[str, Any],
    exponents: list[int],
    threshold: float,
    hidden: list[int],
    rate: float,
    seed: int,
    trace_frac_bits: int | None,
) -> None:
    text = as_toml(
        {
            "task": {
                "id": "x:Y-v0",
                "kwargs": kwargs,
                "observation_scale": [2.0**exponent for exponent in exponents],
                "threshold": threshold,
            },
            "network": {"hidden": hidden},
            "learning": {"learning_rate": rate},
            "arithmetic": {"kind": "float64"},
            "entropy": {"seed": seed},
        }
    )
    experiment = parse_experiment(text)
    assert parse_experiment(experiment.to_toml()) == experiment
    assert experiment.learning.learning_rate == rate
    assert experiment.task.scale_exponents == tuple(exponents)
    if trace_frac_bits is not None:
        fixed = parse_experiment(TASK + f"[arithmetic.formats]\ntrace_frac_bits = {trace_frac_bits}")
        assert fixed.arithmetic.formats == FormatsSection(trace_frac_bits=trace_frac_bits)
        assert parse_experiment(fixed.to_toml()) == fixed


def test_noise_draws_reach_the_agent_and_the_trainer() -> None:
    for preset in ("edge", "actor-critic"):
        experiment = parse_experiment(learning(f"preset = '{preset}'\nnoise_draws = 4"))
        assert agent_configuration(experiment, 4, 2).noise_draws == 4
        assert learning_settings(experiment).noise_draws == 4
        assert parse_experiment(experiment.to_toml()) == experiment
    assert learning_settings(parse_experiment(learning("noise_draws = 7", "float64"))).noise_draws == 7
    assert agent_configuration(parse_experiment(learning("")), 4, 2).noise_draws == 1
