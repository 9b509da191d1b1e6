"""Arm's MPS2 and MPS3 boards in QEMU: Cortex-M3, M4, M7, M33 and M55."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys

import pytest
from board_helpers import cartpole, equals_the_reference, run_on, snapshots_travel
from tools import require_board

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import entropy_settings, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.device import LinkAgent
from nrl_host.link import Link, RequestRefusedError, SessionLostError
from nrl_host.link.messages import MESSAGES
from nrl_host.targets.qemu import QemuTarget

BOARDS = ("mps2_an385", "mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547")
TRNG_ABSENT = 1


@pytest.mark.parametrize("board", BOARDS)
def test_three_episodes_end_with_the_weights_of_the_reference(board: str) -> None:
    equals_the_reference(board, cartpole())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "tiny"])
@pytest.mark.parametrize("board", BOARDS)
def test_twenty_episodes_end_with_the_weights_of_the_reference(board: str, kind: str) -> None:
    equals_the_reference(board, cartpole(episodes=20, hidden=64, kind=kind))


@pytest.mark.slow
def test_an_online_agent_ends_with_the_weights_of_the_reference() -> None:
    equals_the_reference("mps2_an386", cartpole(episodes=5, hidden=16, preset="actor-critic"))


def test_snapshots_travel_from_boot_to_boot() -> None:
    snapshots_travel("mps2_an385")


def test_a_board_without_a_generator_refuses_raw_entropy() -> None:
    board = require_board("mps2_an385")
    experiment = cartpole()
    configuration = resolve_agent(experiment)
    with pytest.raises(ConfigurationError, match=r"mps2_an385.*no hardware generator.*seeded"):
        render_firmware(configuration, seed=0, entropy_mode="raw", board=board)
    with QemuTarget(configuration, board) as target, Link(target.url) as link:
        assert link.hello.entropy_health == TRNG_ABSENT
        with pytest.raises(RequestRefusedError) as refused:
            link.request(MESSAGES["BEGIN"](1, (0, 0, 0, 0)))
        assert (refused.value.code_name, refused.value.detail) == ("ENTROPY", TRNG_ABSENT)
        # The link lives on, and so does an agent that begins with what there is.
        LinkAgent(link, configuration, entropy_settings(experiment))


def test_a_reset_begins_a_new_session_with_the_boot_weights() -> None:
    experiment = cartpole()
    configuration = resolve_agent(experiment)
    target = QemuTarget(configuration, require_board("mps2_an385"), seed=7)
    with target:
        with Link(target.url) as link:
            agent = LinkAgent(link, configuration, entropy_settings(experiment), begin=False)
            boot_weights = agent.weights_crc32()
            agent.begin()
            assert agent.weights_crc32() != boot_weights
            # QEMU's control protocol: a warm reset, in which RAM keeps what it holds.
            control, events = target.process.stdin, target.process.stdout
            assert control is not None and events is not None
            control.write(b'{"execute": "system_reset"}\n')
            control.flush()
            while json.loads(events.readline()).get("event") != "RESET":
                pass
            with pytest.raises(SessionLostError):
                agent.status()
        with Link(target.url) as link:
            again = LinkAgent(link, configuration, entropy_settings(experiment), begin=False)
            assert again.weights_crc32() == boot_weights


def test_the_target_starts_stops_and_starts_again() -> None:
    experiment = cartpole(episodes=2)
    target = QemuTarget(resolve_agent(experiment), require_board("mps2_an385"))
    with target:
        first = target.process
        summary = run_on(target, experiment)
        target.restart()
        assert first.poll() is not None
        assert run_on(target, experiment).weights_crc32 == summary.weights_crc32
        second = target.process
    assert second.poll() is not None
    target.stop()
    assert summary.weights_crc32 == simulate(experiment, "reference").weights_crc32


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd and prctl are Linux's")
def test_the_emulator_ends_when_its_host_is_killed() -> None:
    require_board("mps2_an386")
    script = (
        "import os, signal\n"
        "from nrl_edge.fixedpoint.configuration import AgentConfiguration\n"
        "from nrl_host.targets import make_target\n"
        "target = make_target('mps2_an386', AgentConfiguration(4, (8,), 2))\n"
        "target.start()\n"
        "print(target.process.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        emulator = os.pidfd_open(int(host.stdout.readline()))
        try:
            host.kill()
            ended, _, _ = select.select([emulator], [], [], 30.0)
            assert ended, "the emulator is still there"
        finally:
            os.close(emulator)
