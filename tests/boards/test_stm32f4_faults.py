"""The STM32F4's port, compiled for this computer, against registers that misbehave: no emulator has clocks and RNG."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from board_helpers import WARNINGS

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


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stm32f4")
    files = render_firmware(AgentConfiguration(4, (8,), 2), seed=0, entropy_mode="raw", board="feather_f405")
    write_files(files, folder)
    (folder / "include" / "nrl_cpu.h").unlink()
    sources = [folder / "src" / "port" / name for name in ("nrl_port_stm32f4.c", "nrl_serial.c", "nrl_session.c")]
    return compile_c(
        [HARNESS / "stm32f4_faults.c", *sources],
        folder / "program",
        include_folders=[HARNESS, folder / "include"],
        extra_flags=WARNINGS,
    )


def run(
    program: Path,
    words: tuple[int, ...] = GOOD,
    *,
    crystal: bool = True,
    pll: bool = True,
    status: int = READY,
    after_restart: int = READY,
) -> Outcome:
    arguments = [int(crystal), int(pll), status, after_restart, *words]
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()
    return Outcome(int(done[0]), int(done[1]), int(done[2]), done[3] == "1", int(done[4]), done[5], int(done[6]))


def test_a_healthy_generator_gives_its_words_low_byte_first(program: Path) -> None:
    assert run(program) == Outcome(168_000_000, 729, HEALTHY, True, HEALTHY, GOOD_BYTES, 1)


@pytest.mark.parametrize(
    ("crystal", "pll", "core_hz", "divider"),
    [(True, True, 168_000_000, 729), (False, True, 168_000_000, 729), (True, False, 16_000_000, 139)],
)
def test_the_uart_keeps_its_rate_on_whatever_clock_there_is(
    program: Path, crystal: bool, pll: bool, core_hz: int, divider: int
) -> None:
    outcome = run(program, crystal=crystal, pll=pll)
    assert (outcome.core_hz, outcome.divider) == (core_hz, divider)


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
