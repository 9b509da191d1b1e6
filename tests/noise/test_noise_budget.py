"""The noise budget against bytes that agents really draw, and the verbs that capture and count."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native import NativeAgent
from nrl_edge.noise.budget import noise_budget
from nrl_host.cli import main

AGENTS = {
    "edge": AgentConfiguration(4, (8,), 2),
    "immediate": AgentConfiguration(4, (8, 5), 3, immediate_reward=True),
    "tiny": AgentConfiguration(4, (9,), 2, Formats(8, 10, 5, 0, 8)),
    "two draws": AgentConfiguration(4, (9,), 2, noise_draws=2),
    "online": AgentConfiguration(4, (8,), 2, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic"),
}


@pytest.mark.parametrize("name", AGENTS)
def test_the_budget_is_what_an_agent_draws(name: str) -> None:
    agent = NativeAgent(AGENTS[name], EntropySettings(seed=3))
    budget = noise_budget(AGENTS[name])
    assert 8 * agent.bytes_drawn == budget.initial_bits
    steps, episodes = 400, 5
    zeros = np.zeros(4, np.int16)
    for _ in range(episodes):
        for _ in range(steps):
            agent.step(zeros, 256, False, False)
        agent.step(zeros, 256, True, False)
    drawn = 8 * agent.bytes_drawn - budget.initial_bits
    expected = episodes * (steps * budget.bits_per_step + budget.bits_per_episode_end)
    # The online agent's last block of an episode is the update at its end.
    slack = episodes * budget.bits_per_episode_end if name == "online" else 0
    assert expected - slack <= drawn <= expected


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, dict]:
    monkeypatch.setattr(sys, "argv", ["nrl-edge", *map(str, arguments), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), json.loads((captured.out or captured.err).splitlines()[-1])


def test_the_budget_of_an_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text('[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [8]\n')
    code, result = run(capsys, monkeypatch, "noise", "budget", path, "--board", "microbit", "--rate", 50)
    assert (code, result["entropy_bits_per_step"]) == (0, 24.0)
    [board] = result["boards"]
    assert board["max_steps_per_second"] == pytest.approx(11800 / 24, abs=1e-3) and board["keeps_up"]
    assert run(capsys, monkeypatch, "noise", "budget", path, "--board", "microbit", "--rate", 500)[0] == 1
    assert run(capsys, monkeypatch, "noise", "budget", path, "--board", "uno")[0] == 2


def test_a_capture_of_the_desktop_and_what_it_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = tmp_path / "capture.bin"
    code, result = run(
        capsys, monkeypatch, "noise", "capture", "--target", "desktop", "--bytes", 5000, "--output", capture
    )
    assert (code, result["board"], result["bytes"], capture.stat().st_size) == (0, "desktop", 5000, 5000)
    assert run(capsys, monkeypatch, "noise", "test", capture)[1]["bits"] == 40_000
    assert run(capsys, monkeypatch, "noise", "capture", "--target", "desktop", "-o", capture)[0] == 2
    assert run(capsys, monkeypatch, "noise", "capture", "-o", tmp_path / "other.bin")[0] == 2
    # A folder that is not there is told before anything is captured: no port is opened.
    nowhere = tmp_path / "nowhere" / "other.bin"
    code, result = run(capsys, monkeypatch, "noise", "capture", "--port", "/dev/is-not-there", "-o", nowhere)
    assert code == 2 and "there is no folder" in result["error"]
