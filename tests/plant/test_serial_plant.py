"""NRL/Serial-v0: a plant behind a link is a gymnasium environment like any other."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tools import require_board

from nrl_edge.boards import load_boards
from nrl_edge.errors import ConfigurationError, DeviceError
from nrl_edge.experiment import parse_experiment
from nrl_edge.export import render_plant, render_plant_project
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.simulation import simulate
from nrl_host.cli import main
from nrl_host.plant import SerialPlant, make_plant_target
from nrl_host.targets.desktop import DesktopTarget

NAME = "nrl_host.plant:NRL/Serial-v0"


def balance(observation: np.ndarray) -> int:
    return int(observation[2] + 0.3 * observation[3] + 0.05 * observation[1] > 0)


def equals_the_simulation(environment: gymnasium.Env[Any, Any], episodes: int) -> None:
    """Observation for observation, in lock step; every second episode at random, so that some fall early."""
    simulated = gymnasium.make("NRL/FixedCartPole-v0")
    random = np.random.default_rng(1)
    for episode in range(episodes):
        observation, information = environment.reset(seed=episode)
        assert np.array_equal(observation, simulated.reset(seed=episode)[0])
        for _ in range(120):
            action = int(random.integers(2)) if episode % 2 else balance(observation)
            observation, *rest, information = environment.step(action)
            expected, *others, _ = simulated.step(action)
            assert np.array_equal(observation, expected) and rest == others
            if rest[1] or rest[2]:
                break
        assert information["missed_deadlines"] == 0 and not information["safety_stop"]


def test_a_plant_in_lock_step_is_the_simulation(tmp_path: Path) -> None:
    with make_plant_target("desktop") as target:
        environment = gymnasium.make(NAME, port=target.url)
        equals_the_simulation(environment, 4)
        plant = environment.unwrapped
        assert isinstance(plant, SerialPlant)
        assert (plant.plant_name, plant.time_limit, plant.safe_action) == ("CartPole", 500, None)
        environment.close()
        environment.close()
        with pytest.raises(DeviceError, match="closed"):
            _ = plant.link


def test_it_passes_the_checker_without_a_warning() -> None:
    environment = gymnasium.make(NAME, board="desktop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment.unwrapped, skip_render_check=True)
    environment.close()


def test_an_agent_learns_on_it_what_it_learns_in_simulation() -> None:
    """A plain loop of a learner, the native agent's; weights and all."""
    text = (
        '[task]\nid = "NRL/FixedCartPole-v0"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [8]\n'
        "[learning]\nepisodes = 12\n[arithmetic.formats]\nobservation_frac_bits = 10\nweight_frac_bits = 12\n"
        "trace_frac_bits = 5\nreward_frac_bits = 8\n"
    )
    simulated = parse_experiment(text)
    on_plant = replace(simulated, task=replace(simulated.task, id=NAME, kwargs={"board": "desktop"}))
    assert simulate(on_plant, "native").weights_crc32 == simulate(simulated, "native").weights_crc32


def test_in_real_time_the_plant_keeps_its_own_pace() -> None:
    """Nothing is asked of this computer's pace: what was missed is counted, and adds up."""
    environment = gymnasium.make(NAME, board="desktop", period_ms=10, timeout_ms=5000)
    observation, information = environment.reset(seed=2)
    assert information["step"] == 0
    taken = rewards = 0.0
    for _ in range(30):
        observation, reward, terminated, truncated, information = environment.step(balance(observation))
        taken += 1
        rewards += float(reward)
        assert information["round_trip_ms"] > 0.0
        if terminated or truncated:
            break
    assert information["step"] == rewards
    # An action of ours a step, and all others were missed; the last may have come after the fall.
    assert information["step"] - information["missed_deadlines"] in (taken, taken - 1)
    environment.close()


def test_what_cannot_be_is_refused() -> None:
    for arguments, expected in (
        ({}, "the port of a plant, or the board"),
        ({"port": "loop://", "board": "desktop"}, "not both"),
        ({"board": "desktop", "period_ms": -1}, "period_ms = -1"),
        ({"board": "desktop", "period_ms": 20, "timeout_ms": 20}, "before the first action"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            SerialPlant(**arguments)  # type: ignore[arg-type]
    with DesktopTarget(AgentConfiguration(4, (2,), 2)) as target, pytest.raises(DeviceError, match="export plant"):
        SerialPlant(target.url)
    environment = SerialPlant(board="desktop")
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(0)
    environment.close()


def test_a_plant_has_nothing_of_an_agent_and_an_id_of_its_own() -> None:
    files = render_plant("microbit")
    names = {Path(path).name for path in files}
    assert {"nrl_plant.c", "nrl_server.c", "nrl_cartpole.c", "nrl_frames.c", "nrl_startup.c", "nrl_port.ld"} <= names
    assert not {name for name in names if "agent" in name or "noise" in name or "nrl_link" in name}
    assert files == render_plant("microbit")
    ids = {
        render_plant(board)["include/nrl_project.h"].split("NRL_BUILD_ID ")[1].split("}")[0]
        for board in ("uno", "microbit")
    }
    assert len(ids) == 2


def test_the_verb_writes_its_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plant"
    for words, code, expected in (
        (("--board", "microbit", "--output", str(folder)), 0, "src/main.c"),
        (("--output", str(folder)), 2, "name its board"),
        (("--board", "micro", "--output", str(folder)), 2, "micro"),
    ):
        monkeypatch.setattr("sys.argv", ["nrl-edge", "export", "plant", *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert expected in (last["files"] if code == 0 else last["error"])
    assert "nrl_host.plant:NRL/Serial-v0" in (folder / "README.md").read_text()
    assert "board = bbcmicrobit" in (folder / "platformio.ini").read_text()


def test_every_board_with_a_port_has_a_plant() -> None:
    for board in load_boards():
        assert "src/main.c" in render_plant_project(board)


@pytest.mark.slow
@pytest.mark.parametrize("board_id", ["microbit", "riscv32_virt", "uno", "pico"])
def test_plants_on_emulated_boards_are_the_simulation(board_id: str) -> None:
    require_board(board_id)
    environment = gymnasium.make(NAME, board=board_id)
    equals_the_simulation(environment, 2)
    environment.close()
