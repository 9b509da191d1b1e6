"""QEMU's RISC-V machine, 32 bits."""

from __future__ import annotations

import pytest
from board_helpers import cartpole, equals_the_reference, snapshots_travel


def test_three_episodes_end_with_the_weights_of_the_reference() -> None:
    equals_the_reference("riscv32_virt", cartpole())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "tiny"])
def test_twenty_episodes_end_with_the_weights_of_the_reference(kind: str) -> None:
    equals_the_reference("riscv32_virt", cartpole(episodes=20, hidden=64, kind=kind))


def test_snapshots_travel_from_boot_to_boot() -> None:
    snapshots_travel("riscv32_virt")
