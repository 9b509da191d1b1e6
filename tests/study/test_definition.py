"""Study files: what they mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_helpers import SMALL, small_study

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import learning_settings
from nrl_edge.study import expand_seeds, load_study, parse_study

PUBLISHED_SEEDS = (42, 101, 300, 482, 708)
STUDIES = Path(__file__).parents[2] / "studies"
HEAD = '[study]\nseeds = "1:3"\n'
TASK = '[base.task]\nid = "CartPole-v1"\n'


def test_a_grid_is_every_combination_and_leaves_out_what_fixed_point_does_not_have() -> None:
    study = parse_study(
        f"{HEAD}{TASK}[grid]\n"
        'rule = ["nrl", "reinforce"]\narithmetic = ["float64", "int16", "tiny"]\nnetwork = [[8], [8, 8]]\n'
    )
    assert [variant.name for variant in study.variants] == [
        f"CartPole-v1 / {network} / {label}"
        for network in ("8", "8-8")
        for label in ("nrl float64", "nrl int16", "nrl tiny", "reinforce float64")
    ]
    assert len(study.left_out) == 4 and all("reinforce" in name for name in study.left_out)
    assert study.seeds == (1, 2)
    assert [v.configuration is None for v in study.variants[:3]] == [True, False, False]
    assert study.variants[5].configuration is not None and study.variants[5].configuration.hidden == (8, 8)


def test_later_blocks_win_and_tables_merge() -> None:
    study = parse_study(
        HEAD
        + """
[base.learning]
episodes = 7
learning_rate = "2^-7"
[base.learning.float64]
zero_output = false
freeze_hidden = true
[base.task]
id = "CartPole-v1"
kwargs = { sutton_barto_reward = true }
[base.arithmetic]
kind = "float64"
[[task]]
label = "plain"
task.kwargs = {}
learning.episodes = 8
[[network]]
label = "narrow"
network.hidden = [3]
learning.episodes = 9
[[variant]]
label = "slow"
learning = { learning_rate = "2^-9", float64.freeze_hidden = false }
"""
    )
    (variant,) = study.variants
    assert variant.name == "plain / narrow / slow"
    settings = learning_settings(variant.experiment)
    assert (settings.episodes, settings.learning_rate) == (9, 2.0**-9)
    assert (settings.zero_output, settings.freeze_hidden) == (False, False)
    assert variant.experiment.task.kwargs == {}, "arguments of a constructor belong together"


def test_a_variant_can_be_for_some_tasks_only() -> None:
    study = parse_study(
        HEAD
        + """
[[task]]
label = "A"
task.id = "CartPole-v1"
[[task]]
label = "B"
task.id = "Acrobot-v1"
[[variant]]
label = "x"
[[variant]]
label = "y"
tasks = ["B"]
network.hidden = [8]
"""
    )
    assert [variant.name for variant in study.variants] == ["A / 64 / x", "B / 64 / x", "B / 8 / y"]
    assert [v.name for v in study.select(only=["B*"]).variants] == ["B / 64 / x", "B / 8 / y"]
    assert [v.name for v in study.select(only=["/ y", "a /"]).variants] == ["A / 64 / x", "B / 8 / y"]
    with pytest.raises(ConfigurationError, match="no variant matches z; there are\n  A / 64 / x"):
        study.select(only=["z"])


def test_an_identity_changes_with_whatever_changes_results_and_with_nothing_else() -> None:
    first = small_study().variants
    assert [v.identity for v in small_study(seeds='"7:9"', name='"other"').variants] == [v.identity for v in first]
    for changed in (small_study(episodes="102"), small_study(hidden="[5]"), small_study(clip="0.25")):
        assert not {v.identity for v in changed.variants} & {v.identity for v in first}
    assert len({variant.identity for variant in first}) == len(first)


@pytest.mark.slow
def test_committed_studies_can_be_run_and_share_no_seeds() -> None:
    """Formats that a study leaves to the analysis take it seconds: each is loaded once."""
    studies = {path.stem: load_study(path) for path in sorted(STUDIES.glob("*.toml"))}
    taken: dict[int, str] = {}
    for name, study in studies.items():
        assert study.variants, name
        # The published seeds belong to all studies of the published comparison, of which one is another made longer;
        # those below 1000 are for looking around.
        of_paper = set(studies["paper"].seeds) if name == "paper_long" else set()
        for seed in set(study.seeds) - set(PUBLISHED_SEEDS) - of_paper - set(range(100, 200)):
            assert taken.setdefault(seed, name) == name, f"seed {seed} is in {taken[seed]} and in {name}"


@pytest.mark.slow
def test_the_committed_studies_are_what_they_say() -> None:
    parity, ablation, paper = (load_study(STUDIES / f"{name}.toml") for name in ("parity", "ablation", "paper"))
    assert len(parity.seeds) == 40 and len(parity.variants) == 16
    assert {v.label for v in parity.variants} == {
        *("NRL int16", "NRL tiny", "NRL float64", "REINFORCE"),
        *("actor-critic int16", "actor-critic tiny", "actor-critic float64", "actor-critic with backpropagation"),
    }
    paper_deep = load_study(STUDIES / "paper_deep.toml")
    assert {len(v.experiment.network.hidden) for study in (paper, paper_deep) for v in study.variants} == {1, 2, 3}
    for study in (paper, paper_deep):
        assert study.seeds[:5] == PUBLISHED_SEEDS and len(study.seeds) == 25
        assert {v.experiment.learning.preset for v in study.variants} == {"paper"}
    assert not set(parity.seeds) & set(ablation.seeds)
    settings = {v.label: v.experiment for v in ablation.variants if v.task == "CartPole"}
    edge, published = (learning_settings(settings[label]) for label in ("all four", "published"))

    def changes(label: str) -> list[bool]:
        own = learning_settings(settings[label])
        return [
            settings[label].task.scale_exponents == (0, 0, 3, 0),
            own.output_starts_at_zero,
            own.output_is_exact and not own.layers_have_factors,
            own.clip is not None,
        ]

    assert changes("all four") == [True] * 4 and changes("published") == [False] * 4
    for number, name in enumerate(("1 scaling", "2 zero output", "3 exact output", "4 clip")):
        alone = [index == number for index in range(4)]
        assert changes(f"published + {name}") == alone
        assert changes(f"all but {name}") == [not each for each in alone]
    assert (edge.preset, published.preset) == ("edge", "paper")


@pytest.mark.parametrize(
    ("parts", "seeds"),
    [
        (["5:8"], (5, 6, 7)),
        ([42, "1:3"], (42, 1, 2)),
        (["7", "9"], (7, 9)),
        (["8:5"], None),
        ([], None),
        ([1, "1:3"], None),
        ([-1], None),
        ([True], None),
        (["a"], None),
        (["1:"], None),
        (["0:99999999999999999999999"], None),
        ([2**64], None),
        ([1.0], None),
    ],
)
def test_seeds(parts: list[object], seeds: tuple[int, ...] | None) -> None:
    assert expand_seeds(parts) == seeds


BROKEN = [
    ("", ["study.seeds is missing", "3000:3040"]),
    ("[study]\nseeds = '3:1'\n" + TASK, ["study.seeds", "3:1", "all different"]),
    (HEAD, ["task is missing", "variant task / 64 / nrl int16"]),
    (HEAD + TASK + "[grid]\nrules = ['nrl']", ["grid.rules", "did you mean rule"]),
    (HEAD + TASK + "[grid]\nrule = ['ppo']", ["grid.rule", "ppo", "nrl, rmhl, reinforce"]),
    (HEAD + TASK + "[grid]\nrule = []", ["grid.rule", "nrl, rmhl, reinforce"]),
    (HEAD + TASK + "[grid]\nnetwork = [64]", ["network.hidden = 64", "1 to 3 layers", "CartPole-v1 / 64"]),
    (HEAD + TASK + "[grid]\nnetwork = 64", ["grid.network = 64", "[[64], [8, 8]]"]),
    (HEAD + TASK + "[base.board]\nid = 'desktop'", ["base.board", "unknown key", "learning"]),
    (HEAD + TASK + "[base]\nlearning = 5", ["base.learning = 5", "table"]),
    (HEAD + TASK + "[variant]\nlabel = 'x'", ["variant", "[[variant]]"]),
    (HEAD + TASK + "[[variant]]\nlearning.episodes = 5", ["variant[1].label is missing"]),
    (HEAD + TASK + "[[variant]]\nlabel = 'x'\nlearning.episodes = 0", ["/ x", "learning.episodes = 0"]),
    (HEAD + TASK + "[[variant]]\nlabel = 'x'\nlearning.rule = 'rmhl'", ["/ x", "learning.rule", "float64"]),
    (HEAD + TASK + "[[variant]]\nlabel = 'x'\n[[variant]]\nlabel = 'x'", ["2 variants", "CartPole-v1 / 64 / x"]),
    (HEAD + TASK + "[[variant]]\nlabel = 'x'\ntasks = ['B']", ["variant[1].tasks", "labels of [[task]]"]),
    (
        HEAD + "[grid]\ntask = ['CartPole-v1']\n[[task]]\nlabel = 'A'\ntask.id = 'CartPole-v1'",
        ["grid.task", "one of the two"],
    ),
    (HEAD + "[[task]]\nlabel = 'A'\n[[task]]\nlabel = 'A'", ["task", 'label "A" stands twice']),
    (HEAD + TASK + "[grid]\nrule = ['rmhl']\narithmetic = ['int16']", ["no variant is left"]),
    (HEAD + "[base.task]\nid = 'Nowhere-v0'", ["unknown task 'Nowhere-v0'", "nrl int16"]),
]


@pytest.mark.parametrize(("text", "parts"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_study_gives_one_helpful_error(text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_study(text, "mine.toml")
    for part in ["mine.toml", *parts]:
        assert part in str(caught.value)


def test_an_absent_study_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such study file"):
        load_study(tmp_path / "none.toml")
    (tmp_path / "some.toml").write_text(SMALL.replace('name = "small"\n', ""))
    assert load_study(tmp_path / "some.toml").name == "some"
