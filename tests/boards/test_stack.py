"""The bound of the stack: never below what is really used, and right where frames and calls are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from board_helpers import cartpole
from tools import require_board

from nrl_edge.boards import find_board
from nrl_edge.experiment import entropy_settings, resolve_agent
from nrl_edge.simulation import run_agent
from nrl_host.build.board_build import STACK_RESERVE_BYTES, build_for_board
from nrl_host.build.stack import _avr_taken, stack_bound
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets.simavr import SimavrTarget

# Frames are made by arrays that the compiler cannot do without; the numbers are their sizes.
PROGRAM = """
#include <stdint.h>
typedef void (*callback_t)(volatile uint8_t *);
static void use(volatile uint8_t *bytes) {{ bytes[0] = 1; }}
__attribute__((noinline)) void shallow(volatile uint8_t *bytes)
{{
    volatile uint8_t own[20];
    own[0] = bytes[0];
    use(own);
}}
__attribute__((noinline)) void deep(volatile uint8_t *bytes)
{{
    volatile uint8_t own[100];
    own[0] = bytes[0];
    {deep}
    bytes[0] = own[0];
}}
__attribute__((noinline)) void through_pointer(volatile uint8_t *bytes)
{{
    volatile uint8_t own[200];
    own[0] = *bytes;
    use(own);
}}
volatile callback_t callback;
int main(void)
{{
    volatile uint8_t own[40];
    own[0] = 3;
    {main}
    return own[0];
}}
"""
COMPILERS = {"microbit": ["-mcpu=cortex-m0", "-mthumb"], "uno": ["-mmcu=atmega328p"], "mega2560": ["-mmcu=atmega2560"]}


def compiled(board_id: str, folder: Path, *, deep: str = "", main: str = "") -> Path:
    board = require_board(board_id)
    source, image = folder / "program.c", folder / "program.elf"
    source.write_text(PROGRAM.format(deep=deep, main=main), encoding="utf-8")
    flags = ["-Os", "-g", "-ffreestanding", "-fno-optimize-sibling-calls", *COMPILERS[board_id]]
    bare = ["-nostdlib", "-Wl,-emain"] if board.toolchain != "avr" else []
    subprocess.run([f"{board.toolchain}-gcc", *flags, *bare, "-o", str(image), str(source)], check=True)
    return image


@pytest.mark.parametrize("board_id", COMPILERS)
def test_the_deepest_path_counts(board_id: str, tmp_path: Path) -> None:
    image = compiled(board_id, tmp_path, main="shallow(own); deep(own);", deep="shallow(own);")
    bound = stack_bound(image, find_board(board_id))
    assert bound is not None and bound.path == ("main", "deep", "shallow")
    # Saved registers and return addresses come on top of the arrays.
    assert 160 < bound.path_bytes <= 160 + 3 * 24


@pytest.mark.parametrize("board_id", COMPILERS)
def test_a_call_through_a_pointer_may_go_wherever_an_address_is_taken(board_id: str, tmp_path: Path) -> None:
    image = compiled(board_id, tmp_path, main="callback = through_pointer; callback(own); deep(own);")
    bound = stack_bound(image, find_board(board_id))
    assert bound is not None and bound.path == ("main", "through_pointer")
    assert 240 < bound.path_bytes <= 240 + 2 * 24


@pytest.mark.parametrize("board_id", COMPILERS)
def test_a_function_that_calls_itself_has_no_bound(board_id: str, tmp_path: Path) -> None:
    image = compiled(board_id, tmp_path, main="deep(own);", deep="if (bytes[1] > 2) { deep(own); }")
    assert stack_bound(image, find_board(board_id)) is None


def test_only_the_frame_pointer_takes_from_an_avr_s_stack() -> None:
    """avr-gcc works with other registers as soon as the frame pointer is read: `subi r20, 0xFF` is an addition of 1."""
    assert _avr_taken("subi", "r28, 0x45", 2, True) == 0x45
    assert _avr_taken("subi", "r20, 0xFF", 2, True) == 0
    assert _avr_taken("subi", "r28, 0x45", 2, False) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "preset"), [(32, "edge"), (16, "actor-critic")])
def test_the_bound_holds_on_the_emulated_uno(hidden: int, preset: str) -> None:
    """Of what the bound allows, the chip uses a good part: it is no number that is always right."""
    require_board("uno")
    experiment = cartpole(hidden=hidden, preset=preset)
    built = build_for_board(resolve_agent(experiment), "uno", seed=0, entropy_mode="seeded")
    target = SimavrTarget(resolve_agent(experiment), "uno", program=built.image)
    with target, Link(target.url) as link:
        agent = LinkAgent(link, target.configuration, entropy_settings(experiment))
        run_agent(agent, experiment, "uno")
        agent.restore(agent.snapshot())
        agent.link_counters()
    assert built.stack is not None
    assert built.stack.bytes / 2 < target.stack_bytes <= built.stack.bytes
    assert built.stack_room_bytes == max(STACK_RESERVE_BYTES, built.stack.bytes)
