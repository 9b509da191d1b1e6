"""Environments of a user's own that go wrong: what is said of the module, the spaces and what the calls return."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.tasks import make_task

MODULES = {
    "own_empty": "",
    "own_needs": "import a_package_that_is_not_there\n",
    "own_program": "import sys\nsys.exit(3)\n",
    "own_other": "import gymnasium\nclass Other(gymnasium.Env): pass\ngymnasium.register('OwnOther-v1', Other)\n",
    "own_text": "import gymnasium\ngymnasium.register('OwnText-v1', 'own_text:Environment')\n",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the modules, from which Python imports."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)
    for task_id in ("OwnOther-v1", "OwnText-v1"):
        gymnasium.registry.pop(task_id, None)


@pytest.mark.parametrize(
    ("task_id", "message"),
    [
        ("own_empty:Mine-v0", r"own_empty\.py was imported and does not call .*register\(id=\"Mine-v0\", \.\.\.\)$"),
        ("own_other:Mine-v0", r"own_other\.py was imported .*; it registers OwnOther-v1$"),
        ("own_text:Mine-v0", r"; it registers OwnText-v1$"),
        ("own_needs:Mine-v0", r"no module 'a_package_that_is_not_there', which the environment needs; install it$"),
        ("own_program:Mine-v0", r"ended the program.*__main__"),
        ("own_nowhere:Mine-v0", r"no module 'own_nowhere'.*PYTHONPATH, or correct the name$"),
        ("own_package.inside:Mine-v0", r"no module 'own_package\.inside'.*PYTHONPATH, or correct the name$"),
    ],
)
def test_of_a_module_is_said_what_is_wrong_with_it(modules: Path, task_id: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_task(task_id)


def test_the_module_that_the_documentation_shows_is_found_by_the_commands_it_shows(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text(encoding="utf-8")
    shown = re.search(r"here `my_tasks\.py`:\n\n(.*?)\n\n`nrl-edge` imports", page, re.DOTALL)
    assert shown is not None
    (tmp_path / "my_tasks.py").write_text(textwrap.dedent(shown[1]), encoding="utf-8")
    commands = re.findall(r"^ {4}PYTHONPATH=\. (nrl-edge .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    program = (sys.executable, "-c", "import sys; sys.path.remove(''); from nrl_host.cli import main; main()")

    def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = command.split()[1:] + (["--target", "native", "--episodes", "5"] if " sim " in command else [])
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        return subprocess.run([*program, *words], cwd=tmp_path, env=variables, capture_output=True, text=True)

    refused = run(commands[0])
    assert refused.returncode == 2 and f'export PYTHONPATH="{tmp_path}"' in refused.stderr
    for command in commands:
        done = run(command, PYTHONPATH=".")
        assert done.returncode == 0, done.stderr
    assert "my_tasks:Oven-v0 on native" in done.stdout


def test_a_module_in_the_current_folder_is_named_with_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_here.py").touch()
    (tmp_path / "own_package_here").mkdir()
    (tmp_path / "own_package_here" / "tasks.py").touch()
    # The command, unlike `python`, does not import from the folder that it is called in.
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    monkeypatch.chdir(tmp_path)
    for module in ("own_here", "own_package_here.tasks"):
        with pytest.raises(ConfigurationError, match=f'no module {module!r}.*export PYTHONPATH="{tmp_path}"$'):
            make_task(f"{module}:Mine-v0")


class Returning(gymnasium.Env[Any, Any]):
    """Returns what it is told to."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self, reset: Any = ([0.0, 0.0], {}), step: Any = ([0.0, 0.0], 1.0, False, False, {})) -> None:
        self.returned_by_reset, self.returned_by_step = reset, step

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if isinstance(self.returned_by_reset, Exception):
            raise self.returned_by_reset
        return self.returned_by_reset

    def step(self, action: Any) -> Any:
        return self.returned_by_step


class WithoutSpaces(gymnasium.Env[Any, Any]):
    """Its constructor forgets its spaces."""


gymnasium.register("test/Returning-v0", Returning)
gymnasium.register("test/WithoutSpaces-v0", WithoutSpaces)
NO_NUMBERS = r"observation .* in episode 0, step 1 is no array of numbers"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (([0.0, 0.0], 1.0, False, {}), r"something else than \(observation, reward, terminated, truncated, info\)"),
        (None, r"something else than .* in episode 0, step 0.*0\.26"),
        (([0.0, 0.0], None, False, False, {}), r"reward = None.* in episode 0, step 1 .*one number"),
        (([0.0, 0.0], np.array([1.0, 2.0]), False, False, {}), r"reward = array\(\[1\., 2\.\]\).*float\(reward\)"),
        (([0.0, 0.0], 1.0, np.array([True, False]), False, {}), r"terminated = array\(.*two booleans"),
        (([0.0, [0.0]], 1.0, False, False, {}), NO_NUMBERS),
        ((["left", "right"], 1.0, False, False, {}), NO_NUMBERS),
    ],
)
def test_what_a_step_returns_is_told_where_it_is_not_what_gymnasium_says(step: Any, message: str) -> None:
    task = make_task("test/Returning-v0", {"step": step})
    task.reset(0)
    with pytest.raises(RunError, match=f"^test/Returning-v0: .*{message}"):
        task.step(0)


@pytest.mark.parametrize(
    ("reset", "message"),
    [
        ([0.0, 0.0, 0.0], r"reset returned something else than \(observation, info\) in episode 0, step 0"),
        (RuntimeError("no such thing"), r"reset failed in episode 0, step 0: RuntimeError: no such thing"),
    ],
)
def test_a_reset_that_fails_is_that_of_the_episode_that_it_begins(reset: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        make_task("test/Returning-v0", {"reset": reset}).reset(0)


def test_an_environment_without_spaces_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"WithoutSpaces.*has to set observation_space and action_space"):
        make_task("test/WithoutSpaces-v0")


def test_the_wrapper_that_is_named_for_unbounded_actions_bounds_them() -> None:
    class Unbounded(Returning):
        action_space = Box(-np.inf, np.inf, (2,), np.float32)

    gymnasium.register("test/Unbounded-v0", Unbounded)
    gymnasium.register(
        "test/Bounded-v0",
        lambda: gymnasium.wrappers.TransformAction(Unbounded(), lambda action: action, Box(-1.0, 1.0, (2,))),
    )
    with pytest.raises(ConfigurationError, match=r"without bounds.*gymnasium\.wrappers\.TransformAction"):
        make_task("test/Unbounded-v0")
    task = make_task("test/Bounded-v0")
    task.reset(0)
    assert task.actions == 2 and task.step(np.zeros(2))[1] == 1.0
