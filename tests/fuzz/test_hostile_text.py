"""Text of a user's files does not reach generated C; what listens on this computer does so on the loopback alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.registration import EnvSpec, registry
from tools import require_board

from nrl_edge.codegen.options import write_link_key
from nrl_edge.codegen.project import render_project
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.targets import make_target

CONFIGURATION = AgentConfiguration(4, (8,), 2)
HOSTILE = [
    'HOSTILE"*/\n#error HOSTILE',
    "HOSTILE ??/\n%s%n{{ 7 * 7 }}{% raw %}",
    "HOSTILE\\\n*/int main(void){return 1;}/*",
    "HOSTILE\0\x1b[2J",
]


def anything(**arguments: object) -> CartPoleEnv:
    """An environment that takes whatever a file says."""
    return CartPoleEnv()


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_an_experiment_reaches_the_generated_c(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry, "Anything-v0", EnvSpec("Anything-v0", entry_point=anything, max_episode_steps=20))
    folder = tmp_path / "HOSTILE folder"
    folder.mkdir()
    write_link_key(folder / "HOSTILE.key")
    experiment = parse_experiment(
        '[task]\nid = "Anything-v0"\n[store]\nsave_every = 5\n[link]\nkey_file = "HOSTILE.key"\n', text, folder
    )
    experiment = replace(experiment, task=replace(experiment.task, kwargs={"gravity": text, "HOSTILE": [text]}))
    files = render_project(experiment, CONFIGURATION)
    compiled = {path: each for path, each in files.items() if path.endswith((".c", ".h", ".ld", ".S", ".ini"))}
    assert len(compiled) > 20
    for path, each in compiled.items():
        assert "HOSTILE" not in each, path


@pytest.mark.parametrize("text", ["CartPole-v1 */ int x;", "a\\nb", "\\u0000", "x\\ty"])
def test_a_task_whose_name_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"task\.id"):
        parse_experiment(f'[task]\nid = "{text}"\n')


@pytest.mark.parametrize(
    "board",
    ["desktop", *(pytest.param(each, marks=pytest.mark.slow) for each in ("microbit", "uno", "pico"))],
)
def test_firmware_on_this_computer_listens_on_the_loopback_alone(board: str) -> None:
    require_board(board)
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("this system does not tell who listens where in /proc")
    with make_target(board, CONFIGURATION) as target:
        port = int(target.url.rsplit(":", 1)[1])
        listening = [line.split()[1] for line in table.read_text(encoding="ascii").splitlines()[1:]]
        places = {place.split(":")[0] for place in listening if int(place.split(":")[1], 16) == port}
    assert places == {"0100007F"}
