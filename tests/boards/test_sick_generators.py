"""Generators that fall ill while an agent learns: found within the bound that the cut-offs give, frozen, told.

On modelled chips (`nrl_host.targets.machines`), whose generator is healthy for so many bits and then sick. A failure is
final and nothing is read after it, so what the generator was asked for in all is what it took to find the sickness.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from board_helpers import cartpole
from tools import require_board

from nrl_edge.agent import EntropySettings
from nrl_edge.boards import find_board
from nrl_edge.codegen.noise import noise_settings
from nrl_edge.experiment import parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.noise.health import LONG_WINDOW
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_host.device import LinkAgent
from nrl_host.hil import simulate_firmware
from nrl_host.link import Link

pytestmark = pytest.mark.slow

CONFIGURATION = AgentConfiguration(4, (8,), 2)
GOOD_BITS = 12_000
ATTEMPTS = 4
STEP_BYTES = 3
"""What a step of this agent draws; an update draws rows of 4 and of 8 bytes."""
LARGEST_READ_BYTES = {"nucleo_l476rg": 8, "pico2": 8, "pico": 32}
"""Of one look of the tests: a draw, or 32 raw bytes where they are hashed to 16."""
UNIT_BITS = {"nucleo_l476rg": 32, "pico2": 192, "pico": 1}
"""What the port takes from the generator at once."""
RESTART_BITS = {"nucleo_l476rg": 2 * 13 * 32, "pico2": 192, "pico": 0}
"""What starting it again costs: an STM32 throws away 12 words and compares one, by itself where it has reported an
error and once more when it is told to; an RP2350 gathers its 192 bits anew."""


def bound(board_id: str, kind: str) -> int:
    """Bits that a generator gives, at most, from the first sick one to the failure of the noise.

    Stuck bits fail at the hard repetition count C = 1 + ceil(60 / H), periods of 2 at that of bytes, 1 + ceil(60 / 8H)
    of them. A bias fails in the second long window at the latest: the rest of the one in which it begins may pass. What
    is silent or reports an error fails after four attempts. On top come the look that is under way when it begins and
    the one in which it ends, four restarts, and the bits of the last word that a draw leaves.
    """
    limits = noise_settings(CONFIGURATION, find_board(board_id)).hard
    tested = {
        "zero": limits.repetition,
        "one": limits.repetition,
        "period2": 8 * (1 + limits.byte_repetition),
        "bias60": 2 * LONG_WINDOW,
        "dead": 0,
        "error": 0,
    }[kind]
    waste = 1.0
    if board_id == "nucleo_l476rg":
        # A word of 32 bits for the 24 of a step.
        waste = 32 * math.ceil(STEP_BYTES / 4) / (8 * STEP_BYTES)
    look = 8 * LARGEST_READ_BYTES[board_id] + UNIT_BITS[board_id]
    return math.ceil(tested * waste) + (2 + ATTEMPTS) * look + ATTEMPTS * RESTART_BITS[board_id]


SAYS = {
    "zero": ("one bit too often in a row", "the same number again and again"),
    "one": ("one bit too often in a row", "the same number again and again"),
    "period2": ("one byte too often in a row", "the same number again and again"),
    "bias60": ("one bit too often in a window",),
    "dead": ("gives no numbers",),
    "error": ("says that its noise is wrong",),
}


@pytest.mark.parametrize(
    ("board_id", "kind"),
    [
        *(("nucleo_l476rg", kind) for kind in ("zero", "one", "period2", "bias60", "dead", "error")),
        *(("pico2", kind) for kind in ("one", "period2", "bias60", "dead", "error")),
        *(("pico", kind) for kind in ("zero", "one", "period2", "dead")),
    ],
)
def test_a_sickness_is_found_within_its_bound_ends_learning_and_not_acting(board_id: str, kind: str) -> None:
    from nrl_host.targets.unicorn import UnicornTarget

    require_board(board_id)
    warnings: list[str] = []
    random = np.random.default_rng(3)
    rewards = random.integers(-1000, 1000, 20_000)
    observations = random.integers(-1500, 1500, (64, 4)).astype(np.int16)
    target = UnicornTarget(CONFIGURATION, board_id, "seeded", generator=f"{kind}@{GOOD_BITS}")
    # Four attempts at a silent generator are many looks at registers, which a busy computer models slowly.
    with target, Link(target.url, timeout=5.0) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings("raw"))
        agent.on_warning = warnings.append
        learned = {agent.weights_crc32()}
        calls = 0
        while not agent.entropy_failures:
            agent.step(observations[calls % 64], int(rewards[calls]), calls % 20 == 19, False)
            if calls % 20 == 19 and calls < 200:
                learned.add(agent.weights_crc32())
            calls += 1
            assert calls < len(rewards), "never found"
        frozen = agent.weights_crc32()
        actions = {agent.step(observations[call], 200, call % 20 == 19, False) for call in range(64)}
        assert agent.weights_crc32() == frozen, "it has stopped learning"
        assert actions & {0, 1}, "and goes on acting"
        assert agent.noise_report()["failed_draws"]
    assert len(learned) > 1, "it learned while its noise was healthy"
    # pytest -rP shows them, as docs/noise.md has them.
    print(f"| {board_id} | {kind} | {target.bits_read - GOOD_BITS} | {bound(board_id, kind)} |")
    assert target.bits_read + UNIT_BITS[board_id] >= GOOD_BITS
    assert target.bits_read - GOOD_BITS <= bound(board_id, kind)
    [sentence] = warnings
    assert "has stopped learning" in sentence and any(words in sentence for words in SAYS[kind]), sentence


@pytest.mark.parametrize(("board_id", "generator"), [("nucleo_l476rg", "one@9000"), ("pico2", "error@9000")])
def test_a_run_whose_noise_fails_in_mid_episode_ends_tells_and_is_repeated(
    tmp_path: Path, board_id: str, generator: str
) -> None:
    require_board(board_id)
    text = cartpole(episodes=14).to_toml().replace('mode = "seeded"', 'mode = "raw"')
    experiment = parse_experiment(text.replace("checkpoint_every = 50", "checkpoint_every = 1"))
    sentences: list[str] = []
    summary = simulate_firmware(
        experiment, board=board_id, run=tmp_path / "run", generator=generator, on_warning=sentences.append
    )
    assert summary.episodes == 14
    assert summary.noise is not None and int(summary.noise["failed_draws"]) > 0
    assert summary.noise["health"] != "nothing is wrong"
    assert len(sentences) == 1 and str(summary.noise["health"]) in sentences[0]
    run = RunFolder.open(tmp_path / "run")
    weights = [snapshot_info(path.read_bytes()).weights_crc32 for _, path in run.checkpoints()]
    assert len(weights) == 14 and weights[0] != weights[-1] == weights[-2] == weights[-3]
    assert replay(run).match, "the recording ends where the draws began to fail"
