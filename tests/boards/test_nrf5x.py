"""The micro:bit in QEMU: Cortex-M0, and the only emulated hardware generator there is."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace

import pytest
from board_helpers import cartpole, equals_the_reference, run_on, snapshots_travel
from tools import require_board

from nrl_edge.experiment import Experiment, resolve_agent
from nrl_edge.simulation import simulate
from nrl_host.link import Link
from nrl_host.link.messages import MESSAGES
from nrl_host.noise_capture import capture_noise
from nrl_host.targets.qemu import QemuTarget

RAW = 1


def raw(experiment: Experiment) -> Experiment:
    return replace(experiment, entropy=replace(experiment.entropy, mode="raw"))


def test_three_episodes_end_with_the_weights_of_the_reference() -> None:
    equals_the_reference("microbit", cartpole())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int16", "tiny"])
def test_twenty_episodes_end_with_the_weights_of_the_reference(kind: str) -> None:
    equals_the_reference("microbit", cartpole(episodes=20, hidden=64, kind=kind))


def test_snapshots_travel_from_boot_to_boot() -> None:
    snapshots_travel("microbit")


def test_raw_entropy_comes_from_the_emulated_generator() -> None:
    experiment = raw(cartpole(episodes=3))
    configuration = resolve_agent(experiment)
    with QemuTarget(configuration, require_board("microbit"), "raw", seed=5) as target:
        summary = run_on(target, experiment)
        with Link(target.url) as link:
            status = link.request(MESSAGES["STATUS"]())
            # A board that begins twice draws other weights: the numbers go on.
            link.request(MESSAGES["BEGIN"](RAW, (0, 0, 0, 0)))
            again = link.request(MESSAGES["STATUS"]())
    assert (status.entropy_mode, status.entropy_health, summary.counters["entropy"]) == (RAW, 0, 0)
    assert status.bytes_drawn > configuration.parameters
    assert summary.weights_crc32 != simulate(cartpole(episodes=3), "reference").weights_crc32
    assert again.weights_crc32 != status.weights_crc32


def test_the_emulated_generator_repeats_for_a_seed() -> None:
    experiment = raw(cartpole(episodes=2))
    configuration = resolve_agent(experiment)
    board = require_board("microbit")
    weights = []
    for seed in (5, 5, (1 << 64) - 1):
        with QemuTarget(configuration, board, "raw", seed=seed) as target:
            weights.append(run_on(target, experiment).weights_crc32)
    assert weights[0] == weights[1] != weights[2]


def test_a_generator_is_not_silent_because_the_emulator_was_held_up() -> None:
    """QEMU's clock goes on while its process does not: each time by more than the port waits for a byte."""
    held_up, ended = 15, threading.Event()
    with QemuTarget(resolve_agent(cartpole()), require_board("microbit"), seed=5) as target, Link(target.url) as link:

        def hold_up() -> None:
            for _ in range(held_up):
                target.process.send_signal(signal.SIGSTOP)
                ended.wait(0.08)
                target.process.send_signal(signal.SIGCONT)
                ended.wait(0.02)

        interference = threading.Thread(target=hold_up)
        interference.start()
        while interference.is_alive():
            assert len(capture_noise(link, 120)) == 120
        interference.join()
