"""Ports of STM32, compiled for this computer, against oscillators and a generator that misbehave as told."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from board_helpers import WARNINGS

from nrl_edge.boards import find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.render import write_files
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c

HARNESS = Path(__file__).parent / "harness"
READY, CLOCK_NOW, SEED_NOW, SEED_LATCHED = 1, 2, 4, 64
HEALTHY, SILENT, CLOCK, SEED, CONSTANT = 0, 2, 3, 4, 5
GOOD = (0x11111111, 0x04030201, 0x08070605)
"""Start-up takes the first word, a draw the two others."""
GOOD_BYTES = "0102030405060708"


@dataclass(frozen=True)
class Outcome:
    core_hz: int
    divider: int
    health_at_start: int
    drawn: bool
    health: int
    read: str
    starts: int


def built(folder: Path, board: str) -> Path:
    files = render_firmware(AgentConfiguration(4, (8,), 2), seed=0, entropy_mode="raw", board=board)
    write_files(files, folder)
    (folder / "include" / "nrl_cpu.h").unlink()
    family = find_board(board).port_family
    names = (f"nrl_port_{family}.c", "nrl_rng_stm32.c", "nrl_serial.c", "nrl_session.c")
    return compile_c(
        [HARNESS / "stm32_faults.c", *(folder / "src" / "port" / name for name in names)],
        folder / "program",
        include_folders=[HARNESS, folder / "include"],
        extra_flags=[*WARNINGS, f"-D{family.upper()}"],
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    boards = ("feather_f405", "nucleo_l476rg", "nucleo_l432kc", "nucleo_g474re")
    return {board: built(tmp_path_factory.mktemp(board), board) for board in boards}


@pytest.fixture(params=["feather_f405", "nucleo_l476rg"])
def program(programs: dict[str, Path], request: pytest.FixtureRequest) -> Path:
    """Both kinds of port: what the generator does is the same file in them."""
    return programs[request.param]


def run(
    program: Path,
    words: tuple[int, ...] = GOOD,
    *,
    oscillator: bool = True,
    pll: bool = True,
    status: int = READY,
    after_restart: int = READY,
) -> Outcome:
    arguments = [int(oscillator), int(pll), status, after_restart, *words]
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()
    return Outcome(int(done[0]), int(done[1]), int(done[2]), done[3] == "1", int(done[4]), done[5], int(done[6]))


def test_a_healthy_generator_gives_its_words_low_byte_first(program: Path) -> None:
    outcome = run(program)
    assert (outcome.health_at_start, outcome.drawn, outcome.health, outcome.read) == (
        HEALTHY,
        True,
        HEALTHY,
        GOOD_BYTES,
    )
    assert outcome.starts == 1


@pytest.mark.parametrize(
    ("board", "oscillator", "pll", "core_hz", "bus_divider"),
    [
        # The F4 has its 16 MHz in place of the crystal; APB2 runs at half of the core behind the PLL.
        ("feather_f405", True, True, 168_000_000, 2),
        ("feather_f405", False, True, 168_000_000, 2),
        ("feather_f405", True, False, 16_000_000, 1),
        ("nucleo_l476rg", True, True, 80_000_000, 1),
        ("nucleo_l476rg", True, False, 16_000_000, 1),
        ("nucleo_l476rg", False, False, 4_000_000, 1),
        ("nucleo_l432kc", True, True, 80_000_000, 1),
        ("nucleo_g474re", True, True, 170_000_000, 1),
        ("nucleo_g474re", True, False, 16_000_000, 1),
    ],
)
def test_the_uart_keeps_its_rate_on_whatever_clock_there_is(
    programs: dict[str, Path], board: str, oscillator: bool, pll: bool, core_hz: int, bus_divider: int
) -> None:
    outcome = run(programs[board], oscillator=oscillator, pll=pll)
    assert outcome.core_hz == core_hz
    # 115200 baud to the nearest whole divider.
    assert outcome.divider == round(core_hz / bus_divider / 115_200)
    assert outcome.drawn


def test_a_generator_that_is_never_ready_is_silent(program: Path) -> None:
    outcome = run(program, status=0)
    assert (outcome.health_at_start, outcome.drawn, outcome.health) == (SILENT, False, SILENT)


def test_a_seed_error_that_passes_is_recovered_from_and_its_words_are_thrown_away(program: Path) -> None:
    words = (*(0xBAD00000 + i for i in range(12)), *GOOD)
    outcome = run(program, words, status=READY | SEED_LATCHED)
    assert (outcome.health_at_start, outcome.drawn, outcome.health, outcome.read) == (
        HEALTHY,
        True,
        HEALTHY,
        GOOD_BYTES,
    )
    assert outcome.starts > 1


@pytest.mark.parametrize("error", [SEED_LATCHED, SEED_NOW, SEED_LATCHED | SEED_NOW])
def test_a_seed_error_that_stays_is_reported(program: Path, error: int) -> None:
    outcome = run(program, status=READY | error, after_restart=READY | error)
    assert (outcome.health_at_start, outcome.drawn, outcome.health) == (SEED, False, SEED)


def test_a_wrong_clock_is_reported(program: Path) -> None:
    outcome = run(program, status=READY | CLOCK_NOW)
    assert (outcome.health_at_start, outcome.drawn, outcome.health) == (CLOCK, False, CLOCK)


@pytest.mark.parametrize("words", [(0,), (0x12345678,), (0x11111111, 0x22222222, 0)])
def test_zero_and_the_same_word_again_are_never_handed_out(program: Path, words: tuple[int, ...]) -> None:
    outcome = run(program, words)
    assert (outcome.drawn, outcome.health) == (False, CONSTANT)
