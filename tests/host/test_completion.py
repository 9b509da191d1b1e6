"""Shell completion: scripts that shells take, and what they complete."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from host_helpers import COMMAND

SHELLS = {"bash": "complete -o default", "zsh": "compdef", "fish": "complete --command nrl-edge"}


def complete(**variables: str) -> str:
    program = "import sys; sys.argv = ['nrl-edge']; " + COMMAND[2]
    done = subprocess.run(
        [COMMAND[0], "-c", program], env=dict(os.environ) | variables, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_every_shell(shell: str) -> None:
    script = complete(_NRL_EDGE_COMPLETE=f"source_{shell}")
    assert SHELLS[shell] in script and "_NRL_EDGE_COMPLETE" in script and "nrl-edge" in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_verbs_and_options_are_completed() -> None:
    verbs = complete(_NRL_EDGE_COMPLETE="complete_bash", COMP_WORDS="nrl-edge do", COMP_CWORD="1").split()
    assert verbs == ["doctor"]
    options = complete(_NRL_EDGE_COMPLETE="complete_bash", COMP_WORDS="nrl-edge ports --w", COMP_CWORD="2").split()
    assert options == ["--watch"]
