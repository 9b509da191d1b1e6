"""A device that is switched off and on goes on from what its weight store holds, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools import require_board

from nrl_edge.agent import Agent, EntropySettings
from nrl_edge.boards import find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.codegen.store import store_settings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_host.device import LinkAgent
from nrl_host.link import Link, RequestRefusedError
from nrl_host.targets import make_target

CONFIGURATION = AgentConfiguration(2, (4,), 2)
SEEDED = EntropySettings(seed=11)


def live(agent: Agent, episodes: range) -> None:
    """Some episodes whose observations and rewards follow from their numbers alone."""
    for episode in episodes:
        random = np.random.default_rng(episode)
        for call in range(5):
            observation = random.integers(-3000, 3000, 2).astype(np.int16)
            agent.step(observation, int(random.integers(-500, 500)), call == 4, False)


def lived(episodes: int) -> Agent:
    agent = reference_agent(CONFIGURATION, SEEDED)
    live(agent, range(episodes))
    return agent


@pytest.mark.parametrize(
    "board_id",
    [
        "desktop",
        *(
            pytest.param(board, marks=pytest.mark.slow)
            for board in (
                *("microbit", "uno", "mega2560", "pico", "pico2"),
                *("nucleo_l476rg", "nucleo_l432kc", "nucleo_g474re"),
            )
        ),
    ],
)
def test_a_device_goes_on_from_its_last_save(board_id: str) -> None:
    require_board(board_id)
    with make_target(board_id, CONFIGURATION, seed=1, options=FirmwareOptions(save_every=2)) as target:
        with Link(target.url) as link:
            agent = LinkAgent(link, CONFIGURATION, SEEDED)
            assert not agent.store_status().holds_image
            live(agent, range(5))
            status = agent.store_status()
            assert (status.holds_image, status.save_every, status.saves, status.sequence) == (1, 2, 2, 2)
            assert (status.episodes, status.failures, status.restored) == (4, 0, 0)
            agent.step(np.zeros(2, np.int16), 0, False, False)
            with pytest.raises(RequestRefusedError, match="an episode is open"):
                agent.store_save()
        target.restart()
        with Link(target.url) as link:
            assert link.hello.episodes == 4
            agent = LinkAgent(link, CONFIGURATION, SEEDED, begin=False)
            assert agent.snapshot() == lived(4).snapshot()
            status = agent.store_status()
            assert (status.restored, status.episodes, status.sequence, status.damaged) == (1, 4, 2, 0)
            live(agent, range(4, 7))
            assert agent.snapshot() == lived(7).snapshot()
            assert agent.store_save().episodes == 7
        target.restart()
        with Link(target.url) as link:
            agent = LinkAgent(link, CONFIGURATION, SEEDED, begin=False)
            assert agent.snapshot() == lived(7).snapshot()
            assert not agent.store_clear().holds_image
        target.restart()
        with Link(target.url) as link:
            assert link.hello.episodes == 0


def test_firmware_without_a_store_says_so() -> None:
    with make_target("desktop", CONFIGURATION) as target, Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, SEEDED)
        for ask in (agent.store_status, agent.store_save, agent.store_clear):
            with pytest.raises(RequestRefusedError, match="no weight store"):
                ask()


@pytest.mark.slow
def test_an_image_of_another_agent_is_not_taken(tmp_path: Path) -> None:
    from nrl_host.targets.desktop import DesktopTarget

    nvm = tmp_path / "nvm.bin"
    with (
        DesktopTarget(CONFIGURATION, options=FirmwareOptions(save_every=1), nvm=nvm) as target,
        Link(target.url) as link,
    ):
        live(LinkAgent(link, CONFIGURATION, SEEDED), range(3))
    other = replace(CONFIGURATION, learning_rate_exponent=3)
    with DesktopTarget(other, options=FirmwareOptions(save_every=1), nvm=nvm) as target, Link(target.url) as link:
        agent = LinkAgent(link, other, SEEDED, begin=False)
        assert link.hello.episodes == 0
        assert not agent.store_status().holds_image
        agent.begin()
        live(agent, range(2))
        assert agent.store_status().saves == 2
    with DesktopTarget(other, options=FirmwareOptions(save_every=1), nvm=nvm) as target, Link(target.url) as link:
        assert link.hello.episodes == 2


def test_the_wear_budget_follows_from_the_parts_endurance() -> None:
    microbit = store_settings(AgentConfiguration(4, (64,), 2), find_board("microbit"), 10)
    assert microbit is not None
    # 384 weights of 2 bytes, 76 bytes of snapshot around them and 20 of record: one page of 1 KiB, erased each time.
    assert (microbit.record_bytes, microbit.images, microbit.area_bytes) == (864, 1, 1024)
    assert microbit.saves_in_life == 20_000 * 2
    assert microbit.episodes_in_life == 400_000
    assert microbit.pause_milliseconds == pytest.approx(22.3 + 216 * 0.0463)
    disco = store_settings(AgentConfiguration(4, (64,), 2), find_board("stm32f4_disco"), 10)
    assert disco is not None
    # A sector of 128 KiB takes 151 images before it is erased.
    assert (disco.images, disco.saves_in_life) == (151, 10_000 * 2 * 151)


def test_what_does_not_fit_or_cannot_be_written_is_refused_with_advice() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'uno' has 1022 bytes of EEPROM.*network\.hidden = \[(\d+)\]"
    ) as caught:
        store_settings(AgentConfiguration(4, (64,), 2), find_board("uno"), 1)
    units = int(str(caught.value).split("hidden = [")[1].split("]")[0])
    assert store_settings(AgentConfiguration(4, (units,), 2), find_board("uno"), 1) is not None
    with pytest.raises(ConfigurationError, match="EEPROM"):
        store_settings(AgentConfiguration(4, (units + 1,), 2), find_board("uno"), 1)
    tiny = AgentConfiguration(4, (32,), 2, formats=Formats(8, 7, 5, 3, 8))
    assert store_settings(tiny, find_board("uno"), 1) is not None
    with pytest.raises(ConfigurationError, match="no non-volatile memory"):
        store_settings(CONFIGURATION, find_board("mps2_an385"), 1)
    for every in (-1, 65536):
        with pytest.raises(ConfigurationError, match="0 \\(off\\) to 65535"):
            store_settings(CONFIGURATION, find_board("desktop"), every)


def test_firmware_without_a_store_holds_nothing_of_it() -> None:
    for board in ("desktop", "microbit", "stm32f4_disco", "uno"):
        files = render_firmware(CONFIGURATION, seed=1, entropy_mode="seeded", board=board)
        assert not [path for path in files if "nvm" in path and "desktop" not in path]
        assert "src/store/nrl_store.c" not in files
        kept = render_firmware(
            CONFIGURATION, seed=1, entropy_mode="seeded", board=board, options=FirmwareOptions(save_every=1)
        )
        assert "src/store/nrl_store.c" in kept
        assert [path for path in kept if "nvm" in path]
