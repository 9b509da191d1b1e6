"""The promise on every board that can be emulated: 100 episodes, seeded entropy, the weights of the reference."""

from __future__ import annotations

import pytest
from board_helpers import cartpole, equals_the_reference

from nrl_edge.boards import load_boards

EMULATED = [board.id for board in load_boards() if board.emulator is not None]


def test_ten_boards_of_four_instruction_sets_are_emulated() -> None:
    families = {
        board.isa.partition("v")[0] if board.toolchain == "arm-none-eabi" else board.isa
        for board in load_boards()
        if board.emulator
    }
    assert len(EMULATED) >= 10
    assert {"arm", "avr", "rv32imc"} <= families
    assert {"armv6-m", "armv7-m", "armv7e-m", "armv8-m.main", "armv8.1-m.main"} <= {
        board.isa for board in load_boards()
    }


@pytest.mark.slow
@pytest.mark.parametrize("board_id", EMULATED)
def test_a_hundred_episodes_end_with_the_weights_of_the_reference(board_id: str) -> None:
    equals_the_reference(board_id, cartpole(episodes=100))
