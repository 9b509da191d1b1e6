from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_example import example_report
from tools import require_tool

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError, MissingToolError
from nrl_edge.experiment import agent_configuration, parse_experiment
from nrl_edge.fixedpoint.reference import ReferenceAgent
from nrl_edge.report import (
    POLICY_VIEWS,
    Check,
    Curve,
    PolicyView,
    ReportData,
    comparison,
    policy_map,
    read_profile,
    render_report,
    report_data,
    write_report,
)
from nrl_edge.runs import RunFolder

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.seen if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(example_report()))


def test_the_report_says_what_happened(page: Page) -> None:
    for words in (
        "Solved in 251 episodes",
        "CartPole-v1 · on desktop · seed 42 · build 9f2c41d07be35a18",
        "Weights of the firmware equal those of the reference",
        "CRC 5d21f0a9 = 5d21f0a9",
        "Mean of last 100 498.1",
        "bss 4,312",
        "weight 41",
        "requests 201,338",
        "nrl-agent/1 4-64-2 B=16",
        "nrl-edge sim cartpole/experiment.toml",
        "desktop firmware",
        "solved at 475",
        "pole angular velocity (rad/s)",
    ):
        assert words in page.text


def test_the_page_is_one_file(page: Page) -> None:
    text = render_report(example_report())
    assert "http" not in text and "@import" not in text and "<script" not in text
    for name in ("src", "href", "xlink:href"):
        assert all(value.startswith(("#", "data:")) for value in page.attributes(name))
    for target in re.findall(r"url\(([^)]*)\)", text):
        assert target.startswith("#")


def test_ids_are_unique_and_references_lead_somewhere(page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids)) > 50
    text = render_report(example_report())
    for target in re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^)"]+)', text):
        assert target in ids


def test_the_page_is_accessible(page: Page) -> None:
    assert ("html", {"lang": "en"}) in page.seen
    images = [attributes for tag, attributes in page.seen if tag == "svg"]
    assert len(images) == 5
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in images)
    assert len([tag for tag, _ in page.seen if tag == "h1"]) == 1
    assert all(attributes.get("scope") == "row" for tag, attributes in page.seen if tag == "th")


def luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_every_text_colour_has_contrast_in_both_themes() -> None:
    text = render_report(example_report())
    themes = re.findall(r":root \{(.*?)\}", text, flags=re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", theme))
        pairs = [
            ("--ink", "--page"),
            ("--ink", "--card"),
            ("--muted", "--card"),
            ("--muted", "--page"),
            ("--ink", "--code"),
        ]
        pairs += [(f"--{kind}", f"--{kind}-ground") for kind in ("good", "bad", "open")]
        for fore, back in pairs:
            light, dark = sorted((luminance(colours[fore]), luminance(colours[back])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (fore, back)
        for index in range(1, 7):
            light, dark = sorted((luminance(colours[f"--series-{index}"]), luminance(colours["--card"])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3.0, index


def test_the_same_data_give_the_same_bytes() -> None:
    assert render_report(example_report()) == render_report(example_report())


def test_text_of_users_is_text() -> None:
    evil = '<script>alert("1")</script> & $x_{$ \'"'
    data = example_report(
        title=evil,
        task=evil,
        target=evil,
        board=evil,
        build=evil,
        curves=[Curve(evil, np.arange(5.0))],
        checks=[Check(evil, False, evil)],
        highlights={evil: evil},
        sizes={evil: 1},
        link={evil: evil},
        settings={evil: evil},
        commands=[evil],
        created=evil,
        version=evil,
    )
    page = Page(render_report(data))
    assert "script" not in {tag for tag, _ in page.seen}
    assert page.text.count('<script>alert("1")</script> & $x_{$') >= 12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "status", "headline"),
    [
        ({}, "passed", "Solved in 251 episodes"),
        ({"threshold": 501.0}, "open", "Not solved in 500 episodes"),
        ({"threshold": None}, "passed", "500 episodes"),
        ({"threshold": None, "checks": ()}, "open", "500 episodes"),
        ({"checks": [Check("a", True), Check("b", False)]}, "failed", "1 of 2 checks failed"),
    ],
)
def test_verdicts(changes: dict[str, object], status: str, headline: str) -> None:
    data = example_report(**changes)
    assert (data.status, data.headline) == (status, headline)
    assert headline in Page(render_report(data)).text


def test_a_report_of_next_to_nothing() -> None:
    for curves in ([], [Curve("none", np.zeros(0))], [Curve("one", np.ones(1))]):
        Page(render_report(ReportData("t", "task", "native", "desktop", 1, curves)))
    zeros = [np.zeros((3, 2)), np.zeros((3, 3)), np.zeros((2, 3))]
    text = Page(render_report(example_report(weights=zeros, policy=None))).text
    assert "hidden layer 2" in text and "±1" in text


def test_mean_return_100_is_the_mean_of_the_last_100() -> None:
    returns = np.random.default_rng(1).normal(size=250)
    means = Curve("x", returns).mean_return_100()
    assert means[249] == pytest.approx(returns[150:].mean())
    assert means[99] == pytest.approx(returns[:100].mean())
    assert means[4] == pytest.approx(returns[:5].mean())


def test_policy_map_is_the_network() -> None:
    weights = [np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])]
    view = PolicyView(0, 1, (-1.0, 1.0), (0.0, 1.0), "x", "y")
    probabilities = policy_map(weights, np.array([4.0, 1.0]), view).probabilities
    slope = 205 / 2048
    right = np.array([2 * 4.0, -4.0 * slope])
    expected = np.exp(right) / np.exp(right).sum()
    assert probabilities[0, -1] == pytest.approx(expected)
    assert probabilities[5, 0] == pytest.approx(np.exp([-8 * slope, 4.0]) / np.exp([-8 * slope, 4.0]).sum())
    assert np.allclose(probabilities.sum(axis=2), 1)


def make_run(path: Path, target: str, task: str = "CartPole-v1", seed: int = 42) -> RunFolder:
    inputs, actions = {"CartPole-v1": (4, 2), "Acrobot-v1": (6, 3), "Other-v0": (2, 2)}[task]
    experiment = parse_experiment(
        f'[task]\nid = "{task}"\nthreshold = 5\nobservation_scale = 1\n'
        f"[network]\nhidden = [4]\n[entropy]\nseed = {seed}"
    )
    agent = agent_configuration(experiment, inputs, actions, 10)
    run = RunFolder.create(path, experiment, target, agent=agent, tensorboard=False)
    for episode in range(120):
        run.log_episode(episode / 10, 3)
    run.save_final(ReferenceAgent(agent, EntropySettings(seed=seed)).snapshot())
    run.finish({})
    return RunFolder.open(path)


def test_a_report_of_run_folders(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", "desktop"), make_run(tmp_path / "b", "reference")]
    path = write_report(runs, tmp_path / "deep" / "report.html", checks=[Check("equal", True)], sizes={"text": 1234})
    page = Page(path.read_text(encoding="utf-8"))
    assert "Solved in 101 episodes" in page.text and "text 1,234" in page.text and "pole angle (rad)" in page.text
    assert "nrl-agent/1 4-4-2" in page.text
    acrobot = report_data([make_run(tmp_path / "c", "native", "Acrobot-v1")])
    assert acrobot.policy is not None and acrobot.policy.probabilities.shape[2] == 3
    assert "torque +1" in Page(render_report(acrobot)).text
    other = make_run(tmp_path / "d", "native", "Other-v0")
    assert report_data([other]).policy is None
    assert report_data([other], view=PolicyView(0, 1, (-1, 1), (-1, 1), "x", "y")).policy is not None


def test_labels_tell_runs_apart(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, "native", seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 2))]
    assert [curve.label for curve in report_data(runs[:1]).curves] == ["native"]
    assert [curve.label for curve in report_data(runs[:2]).curves] == ["native, seed 1", "native, seed 2"]
    assert [curve.label for curve in report_data(runs).curves][2] == "native, seed 2, c"


def make_float_run(path: Path, seed: int) -> RunFolder:
    run = RunFolder.create(path, parse_experiment(TASK.format(seed=seed, mode="seeded")), "float64", tensorboard=False)
    for episode in range(110):
        run.log_episode(episode / 20 + seed, 3)
    run.finish({"steps_per_second": 1234.5})
    return RunFolder.open(path)


TASK = """
[task]
id = "CartPole-v1"
threshold = 5
observation_scale = 1
[network]
hidden = [4]
[entropy]
seed = {seed}
mode = "{mode}"
"""


def cells(page: Page, title: str) -> str:
    """The words of one section."""
    text = page.text
    start = text.index(title)
    return text[start : start + 2000]


def test_seeds_are_drawn_as_one_curve_in_its_band(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"native-{seed}", "native", seed=seed) for seed in (1, 2, 3)]
    runs += [make_float_run(tmp_path / f"float-{seed}", seed) for seed in (1, 5)]
    data = report_data(runs)
    fixed, floats = data.groups
    assert (fixed.label, fixed.seeds) == ("native, int16, 3 seeds", (1, 2, 3))
    assert (floats.label, floats.seeds) == ("float64, 2 seeds", (1, 5))
    # Equal runs: the band is the curve. Different ones: it holds the mean.
    assert np.array_equal(fixed.low, fixed.mean) and np.array_equal(fixed.high, fixed.mean)
    expected = np.mean([Curve("", run.progress().episode_return).mean_return_100() for run in runs[3:]], axis=0)
    assert floats.mean == pytest.approx(expected)
    assert (floats.low < floats.mean).all() and (floats.mean < floats.high).all()
    page = Page(render_report(data))
    assert "confidence interval of the mean" in page.text and "3 seeds" in page.text
    table = cells(page, "Runs side by side")
    assert "native, seed 1 native" in table and "not repeated" in table and "1,234" in table
    compared = cells(page, "Float against fixed")
    assert "int16 on native 3 3 101" in compared and "float64 2 1" in compared


def test_without_the_statistics_extra_the_band_is_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(curves: object) -> None:
        raise MissingToolError("no arch")

    monkeypatch.setattr(comparison, "mean_band", missing)
    runs = [make_float_run(tmp_path / f"float-{seed}", seed) for seed in (1, 5)]
    (group,) = report_data(runs).groups
    curves = [Curve("", run.progress().episode_return).mean_return_100() for run in runs]
    assert np.array_equal(group.low, np.minimum(*curves)) and np.array_equal(group.high, np.maximum(*curves))
    assert "nrl-edge[evidence]" in Page(render_report(report_data(runs))).text


def test_a_replay_s_verdict_is_a_check(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "native")
    verdict = {"match": True, "steps": 12, "target": "reference", "weights_crc32": "0a", "recorded_weights_crc32": "0a"}
    run.keep_replay_verdict(verdict)
    data = report_data([run])
    assert [(check.passed, check.name) for check in data.checks] == [
        (True, "Every step of native is that of reference")
    ]
    assert "equal on reference" in Page(render_report(data)).text
    run.keep_replay_verdict(verdict | {"whole": False, "episodes": 8})
    text = Page(render_report(report_data([run]))).text
    assert "equal on reference, 8 episodes" in text and "up to the checkpoint after episode 8" in text
    run.keep_replay_verdict(verdict | {"match": False})
    assert report_data([run]).status == "failed"
    assert "DIFFERENT on reference" in Page(render_report(report_data([run]))).text


@pytest.mark.slow
def test_noise_and_budget_of_a_run_on_a_board(tmp_path: Path) -> None:
    experiment = parse_experiment(TASK.format(seed=1, mode="raw"))
    agent = agent_configuration(experiment, 4, 2, 10)
    with RunFolder.create(tmp_path / "run", experiment, "microbit", agent=agent, tensorboard=False) as run:
        run.log_noise(np.random.default_rng(1).bytes(4000))
        run.log_episode(9.0, 9)
        run.log_noise(np.random.default_rng(2).bytes(4000))
        run.save_final(ReferenceAgent(agent, EntropySettings(seed=1)).snapshot())
        run.finish(
            {"steps_per_second": 200.0, "counters": {"trace": 7}, "link": {"host": {"retries": 3}, "device": {}}}
        )
    page = Page(render_report(report_data([RunFolder.open(tmp_path / "run")])))
    noise = cells(page, "8,000 bytes that the agent drew, raw")
    assert "holds" in noise and "by the Markov estimate" in noise
    budget = cells(page, "Budget")
    # 4-4-2: 24 weights and as many traces, of 2 bytes each, in the micro:bit's 16 KiB.
    assert "weights and traces in RAM 96 B 16,384 B 0.6%" in budget and "11,800 bit/s" in budget
    assert "variables of the whole firmware in RAM" in budget
    assert "steps a second of this run, against the line's 200.0 Hz" in budget
    # The experiment is for the desktop; what ran is the board.
    assert "on microbit" in page.text and "board desktop" not in page.text
    assert "faster than the board can be" not in page.text
    assert "trace 7" in page.text and "retries (host / device) 3 / –" in page.text
    with RunFolder.create(tmp_path / "fast", experiment, "microbit", agent=agent, tensorboard=False) as run:
        run.finish({"steps_per_second": 10_000.0})
    fast = Page(render_report(report_data([RunFolder.open(tmp_path / "fast")])))
    assert "The run was faster than the board can be: an emulator waits" in fast.text
    (tmp_path / "run" / "noise.bin").write_bytes(bytes(8000))
    assert "fails" in cells(Page(render_report(report_data([RunFolder.open(tmp_path / "run")]))), "8,000 bytes")


def test_a_profile_is_shown_with_the_run(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    counts = {"min": 1000, "median": 2000, "max": 3456}
    profile = {"unit": "cycles", "calls": 99, "step": counts, "update": None, "phases": {"forward": counts}, "x": "y"}
    file.write_text('{"note": 1}\n' + json.dumps(profile) + "\n", encoding="utf-8")
    data = report_data([make_run(tmp_path / "a", "native")], profile=read_profile(file))
    shown = cells(Page(render_report(data)), "Profile")
    assert "In cycles. calls 99." in shown
    assert "step 1,000 2,000 3,456" in shown and "phase forward 1,000 2,000 3,456" in shown
    for text in ("", "7", "{", "\n\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="holds no profile"):
            read_profile(file)


def test_reports_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one run"):
        write_report([], tmp_path / "report.html")
    runs = [make_run(tmp_path / "a", "native"), make_run(tmp_path / "b", "native", "Acrobot-v1")]
    with pytest.raises(ConfigurationError, match="cannot be compared"):
        write_report(runs, tmp_path / "report.html")
    with pytest.raises(ConfigurationError, match="is a folder"):
        write_report(example_report(), tmp_path)
    assert set(POLICY_VIEWS) >= {"CartPole-v1", "Acrobot-v1"}


@pytest.mark.slow
def test_a_browser_has_nothing_to_complain_about(tmp_path: Path) -> None:
    chromium = require_tool("chromium", "apt-get install chromium")
    report = write_report(example_report(), tmp_path / "report.html")
    broken = tmp_path / "broken.html"
    broken.write_text("<!doctype html><script>undefined_function()</script>")

    def console(path: Path) -> tuple[list[str], str]:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        command += [
            "--no-first-run",
            "--enable-logging=stderr",
            "--dump-dom",
            f"--user-data-dir={tmp_path / path.stem}",
        ]
        done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        return [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout

    complaints, document = console(report)
    assert complaints == []
    assert "Solved in 251 episodes" in document and document.count("<svg") == 5
    # The check itself sees errors where there are some.
    assert console(broken)[0]
