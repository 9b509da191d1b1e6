"""The STM32F4's flash for the weight store, compiled for this computer, against a model of its registers.

No emulator has them: QEMU's machine ignores what is written to flash.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from board_helpers import WARNINGS

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.codegen.render import write_files
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c

HARNESS = Path(__file__).parent / "harness"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stm32f4-flash")
    board = "feather_f405"
    files = render_firmware(
        AgentConfiguration(4, (8,), 2),
        seed=0,
        entropy_mode="seeded",
        board=board,
        options=FirmwareOptions(save_every=1),
    )
    port = "src/port/nrl_nvm_stm32f4.c"
    # The longest wait is two seconds on the chip; against a model it need not be.
    files[port] = files[port].replace("#define FLASH_TURNS UINT32_C(200000000)", "#define FLASH_TURNS UINT32_C(1000)")
    assert "UINT32_C(1000)" in files[port]
    write_files(files, folder)
    (folder / "include" / "nrl_cpu.h").unlink()
    return compile_c(
        [HARNESS / "stm32f4_flash.c", folder / port],
        folder / "program",
        include_folders=[HARNESS, folder / "include"],
        extra_flags=WARNINGS,
    )


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("none", "erased 1 written 1 equal 1 locked 1 erases 0 0 1 cache 1"),
        ("busy", "erased 0 written 0 equal 0 locked 1 erases 0 0 0 cache 1"),
        ("error", "erased 0 written 0 equal 0 locked 1 erases 0 0 0 cache 1"),
    ],
)
def test_words_are_erased_and_written_as_the_manual_says(program: Path, fault: str, expected: str) -> None:
    done = subprocess.run([program, fault], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [expected]


def test_a_flash_that_stays_locked_is_not_written(program: Path) -> None:
    done = subprocess.run([program, "locked"], capture_output=True, text=True, check=True, timeout=20)
    assert "equal 0 locked 1 erases 0 0 0" in done.stdout.splitlines()[-1]
