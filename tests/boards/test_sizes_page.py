"""What docs/boards.md says of sizes is what images take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from board_helpers import cartpole
from tools import require_board

from nrl_edge.boards import find_board, load_boards
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, experiment_text, parse_experiment
from nrl_host.build import build_experiment
from nrl_host.build.board_build import DoesNotFitError
from nrl_host.build.sizes import sizes_markdown, sizes_on_boards

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "boards.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_table_is_what_the_command_makes() -> None:
    for board in load_boards():
        if board.is_built_here and board.memory is not None:
            require_board(board.id)
    assert sizes_markdown(sizes_on_boards(parse_experiment(experiment_text("cartpole")))) in PAGE


def uno_sentence() -> tuple[int, ...]:
    found = re.search(
        r"holds 4-(\d+)-2 in int16, and 4-32-2 with (\d+) bytes to spare \(([\d,]+) of its variables and (\d+) of "
        r"stack, of ([\d,]+)\)",
        re.sub(r"\s+", " ", PAGE),
    )
    assert found is not None
    return tuple(int(number.replace(",", "")) for number in found.groups())


def uno_with(hidden: int) -> Experiment:
    return cartpole(hidden=hidden)


@pytest.mark.slow
def test_the_uno_holds_what_the_page_says() -> None:
    require_board("uno")
    largest, spare, variables, stack, ram = uno_sentence()
    built = build_experiment(uno_with(32), "uno", toolchain="direct")
    assert (built.ram_bytes, built.stack_room_bytes, built.ram_limit_bytes) == (variables, stack, ram)
    assert spare == ram - variables - stack
    assert build_experiment(uno_with(largest), "uno", toolchain="direct").fits
    with pytest.raises(DoesNotFitError):
        build_experiment(uno_with(largest + 1), "uno", toolchain="direct")


def test_this_computer_has_no_limits_to_measure_against() -> None:
    with pytest.raises(ConfigurationError, match="no image to be measured"):
        list(sizes_on_boards(cartpole(), [find_board("desktop")]))
