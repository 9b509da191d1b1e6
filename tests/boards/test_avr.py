"""AVR boards in libsimavr: 8 bits wide, an int of 16, and constants in another address space."""

from __future__ import annotations

import pytest
from board_helpers import WARNINGS, cartpole, equals_the_reference, snapshots_travel
from tools import require_board

from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import entropy_settings, resolve_agent
from nrl_edge.simulation import run_agent
from nrl_host.build.toolchain import build_image, image_sizes
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets import make_target
from nrl_host.targets.simavr import SimavrTarget

STACK_RESERVE_BYTES = 512
"""What has to be left to the stack: more than it was ever seen to take."""


@pytest.mark.parametrize(("board", "hidden"), [("uno", 32), ("mega2560", 8)])
def test_three_episodes_end_with_the_weights_of_the_reference(board: str, hidden: int) -> None:
    equals_the_reference(board, cartpole(hidden=hidden))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "hidden", "kind", "preset"),
    [
        ("uno", 32, "int16", "edge"),
        ("uno", 32, "tiny", "edge"),
        ("uno", 16, "int16", "actor-critic"),
        ("mega2560", 64, "int16", "edge"),
        ("mega2560", 64, "tiny", "actor-critic"),
    ],
)
def test_twenty_episodes_end_with_the_weights_of_the_reference(board: str, hidden: int, kind: str, preset: str) -> None:
    equals_the_reference(board, cartpole(episodes=20, hidden=hidden, kind=kind, preset=preset))


@pytest.mark.parametrize(("board", "hidden"), [("uno", 32), ("mega2560", 64)])
def test_snapshots_travel_from_boot_to_boot(board: str, hidden: int) -> None:
    snapshots_travel(board, hidden)


@pytest.mark.parametrize("kind", ["int16", "tiny"])
@pytest.mark.parametrize(("preset", "save_every"), [("edge", 0), ("actor-critic", 1)])
def test_the_sources_compile_without_a_warning_where_int_has_16_bits(kind: str, preset: str, save_every: int) -> None:
    require_board("mega2560")
    build_image(
        resolve_agent(cartpole(kind=kind, preset=preset)),
        "mega2560",
        seed=0,
        entropy_mode="seeded",
        options=FirmwareOptions(save_every=save_every),
        extra_flags=WARNINGS,
    )


def test_the_uno_holds_a_network_with_32_hidden_units_and_leaves_room_for_the_stack() -> None:
    board = require_board("uno")
    assert board.memory is not None
    sizes = image_sizes(build_image(resolve_agent(cartpole(hidden=32)), board, seed=0, entropy_mode="seeded"))
    assert sizes is not None
    assert sizes.data_bytes + sizes.bss_bytes + STACK_RESERVE_BYTES <= board.memory.ram_bytes
    assert sizes.text_bytes + sizes.data_bytes <= board.memory.flash_bytes


@pytest.mark.parametrize(("hidden", "kind", "preset"), [(32, "int16", "edge"), (16, "int16", "actor-critic")])
def test_the_stack_stays_within_what_is_left_to_it(hidden: int, kind: str, preset: str) -> None:
    require_board("uno")
    experiment = cartpole(hidden=hidden, kind=kind, preset=preset)
    target = SimavrTarget(resolve_agent(experiment), "uno")
    with target, Link(target.url) as link:
        agent = LinkAgent(link, target.configuration, entropy_settings(experiment))
        run_agent(agent, experiment, "uno")
        agent.restore(agent.snapshot())
        agent.link_counters()
    assert 100 < target.stack_bytes < STACK_RESERVE_BYTES


def test_every_boot_has_a_session_of_its_own() -> None:
    require_board("uno")
    sessions = []
    with make_target("uno", resolve_agent(cartpole())) as target:
        for _ in range(3):
            with Link(target.url) as link:
                sessions.append(link.session)
            target.restart()
        assert isinstance(target, SimavrTarget) and target.cycles > 0
    assert sessions == [1, 2, 3], "an erased EEPROM reads 65535, every boot counts on, and no session is 0"


def test_a_chip_without_a_generator_has_no_raw_entropy() -> None:
    with pytest.raises(ConfigurationError, match="no hardware generator"):
        build_image(resolve_agent(cartpole()), "uno", seed=0, entropy_mode="raw")
