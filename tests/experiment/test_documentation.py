"""The page of the experiment file names every key, and its examples are true."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from nrl_edge.agent import ENTROPY_MODES
from nrl_edge.experiment import Experiment, FormatsSection, TaskSection, parse_experiment

PAGE = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text(encoding="utf-8")


def test_the_page_names_every_key_of_every_section_and_no_other() -> None:
    sections = re.findall(r"^### \[(\w+)\]\n(.*?)(?=^##)", PAGE, flags=re.DOTALL | re.MULTILINE)
    experiment = Experiment(TaskSection("x"))
    documented = {name: set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) for name, text in sections}
    expected = {
        section.name: {key.name for key in fields(getattr(experiment, section.name))}
        for section in fields(experiment)
        if section.compare
    }
    expected["arithmetic"] |= {key.name for key in fields(FormatsSection)}
    assert documented == expected


def test_the_page_names_every_choice() -> None:
    for choice in (*ENTROPY_MODES, "int16", "tiny", "float64", "nrl", "rmhl", "reinforce", "edge", "paper", "delayed"):
        assert f'"{choice}"' in PAGE


def test_the_shortest_experiment_parses() -> None:
    match = re.search(r"The shortest experiment is\n\n((?:    .*\n)+)", PAGE)
    assert match is not None
    assert parse_experiment(match[1]).task.id == "CartPole-v1"
