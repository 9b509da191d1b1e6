"""The STM32F405 in QEMU: its UART runs, its generator is not emulated and reads as a dead one."""

from __future__ import annotations

import pytest
from board_helpers import cartpole, equals_the_reference, snapshots_travel
from tools import require_board

from nrl_edge.experiment import resolve_agent
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES
from nrl_host.targets.qemu import QemuTarget

RAW = 1
TRNG_SILENT = 2


def test_three_episodes_end_with_the_weights_of_the_reference() -> None:
    equals_the_reference("feather_f405", cartpole())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "tiny"])
def test_twenty_episodes_end_with_the_weights_of_the_reference(kind: str) -> None:
    equals_the_reference("feather_f405", cartpole(episodes=20, hidden=64, kind=kind))


def test_snapshots_travel_from_boot_to_boot() -> None:
    snapshots_travel("feather_f405")


def test_a_dead_generator_is_reported_and_never_drawn_from() -> None:
    configuration = resolve_agent(cartpole())
    with QemuTarget(configuration, require_board("feather_f405"), "raw") as target, Link(target.url) as link:
        assert (link.hello.entropy_mode, link.hello.entropy_health, link.hello.agent_state) == (RAW, TRNG_SILENT, 0)
        with pytest.raises(RequestRefusedError) as refused:
            link.request(MESSAGES["BEGIN"](RAW, (0, 0, 0, 0)))
        assert (refused.value.code_name, refused.value.detail) == ("ENTROPY", TRNG_SILENT)
