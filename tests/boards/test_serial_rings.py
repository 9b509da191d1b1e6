"""The rings between program and interrupt, compiled for this computer: what has no room is lost, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from board_helpers import WARNINGS

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.render import write_files
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c

HARNESS = Path(__file__).parent / "harness"
RING_BYTES, STALL_MS = 512, 500


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial")
    write_files(
        render_firmware(AgentConfiguration(4, (8,), 2), seed=0, entropy_mode="seeded", board="mps2_an385"), folder
    )
    (folder / "include" / "nrl_cpu.h").unlink()
    return compile_c(
        [HARNESS / "serial_rings.c", folder / "src" / "port" / "nrl_serial.c"],
        folder / "program",
        include_folders=[HARNESS, folder / "include"],
        extra_flags=(*WARNINGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    )


def run(program: Path, count: int) -> list[int]:
    finished = subprocess.run([str(program), str(count)], capture_output=True, text=True, check=True)
    return [int(word) for word in finished.stdout.split()]


@pytest.mark.parametrize("received", [0, 1, RING_BYTES - 1, RING_BYTES, RING_BYTES + 1, 3 * RING_BYTES])
def test_what_comes_is_read_in_order_and_what_has_no_room_is_dropped(program: Path, received: int) -> None:
    assert run(program, received) == [min(received, RING_BYTES), 1]


@pytest.mark.parametrize("sent", [1, RING_BYTES, RING_BYTES + 1, 2 * RING_BYTES])
def test_a_line_that_stalls_holds_a_write_up_for_a_bounded_time(program: Path, sent: int) -> None:
    went, in_order, waited = run(program, -sent)
    assert (went, in_order) == (min(sent, RING_BYTES), 1)
    assert waited < 2 if sent <= RING_BYTES else STALL_MS < waited < 2 * STALL_MS
