"""The promise on every board that can be emulated: 100 episodes, seeded entropy, the weights of the reference."""

from __future__ import annotations

import pytest
from board_helpers import cartpole, equals_the_reference

from nrl_edge.boards import load_boards

EMULATED = [board.id for board in load_boards() if board.emulator is not None]


def test_ten_boards_of_three_architectures_are_emulated() -> None:
    isas = {board.isa for board in load_boards() if board.emulator is not None}
    assert len(EMULATED) >= 10
    assert {"avr", "rv32imc", "armv6-m", "armv7-m", "armv7e-m", "armv8-m.main", "armv8.1-m.main"} <= isas


@pytest.mark.slow
@pytest.mark.parametrize("board_id", EMULATED)
def test_a_hundred_episodes_end_with_the_weights_of_the_reference(board_id: str) -> None:
    equals_the_reference(board_id, cartpole(episodes=100))
