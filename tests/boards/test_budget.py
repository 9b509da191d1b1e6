"""Budgets against linked images: RAM to the byte, flash and cycles within what the budget says of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from board_helpers import cartpole
from elftools.elf.elffile import ELFFile
from tools import require_board

from nrl_edge.boards import find_board, load_boards
from nrl_edge.codegen.budget import Budget, agent_budget, budget, catalogue_budget, link_bytes_per_step
from nrl_edge.codegen.costs import estimate
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.codegen.structs import ABIS, Layouts, ram_variables
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.board_build import DoesNotFitError
from nrl_host.build.toolchain import build_image, image_sizes
from nrl_host.cli import app
from nrl_host.link.messages import Codec
from nrl_host.profile import profile

KEY = bytes(range(32))
ONLINE = resolve_agent(cartpole(hidden=16, preset="actor-critic"))
TINY = resolve_agent(cartpole(hidden=24, kind="tiny"))
SMALL = resolve_agent(cartpole(hidden=7))


def deep(draws: int = 1) -> AgentConfiguration:
    return replace(SMALL, inputs=5, hidden=(9, 6, 11), actions=3, noise_draws=draws)


CASES = [
    ("microbit", SMALL, PLAIN),
    ("microbit", deep(4), FirmwareOptions(save_every=3)),
    ("uno", SMALL, PLAIN),
    ("uno", replace(ONLINE, hidden=(9,)), PLAIN),
    ("mega2560", deep(2), FirmwareOptions(save_every=1, link_key=KEY)),
    ("riscv32_virt", ONLINE, PLAIN),
    ("riscv32_virt", deep(), FirmwareOptions(link_key=KEY)),
    ("mps2_an386", TINY, PLAIN),
    ("stm32f4_disco", ONLINE, FirmwareOptions(save_every=1, link_key=KEY)),
    ("nucleo_l476rg", TINY, FirmwareOptions(save_every=1)),
    ("pico", deep(), PLAIN),
    ("pico", ONLINE, FirmwareOptions(save_every=5)),
    ("pico2", SMALL, PLAIN),
]


def of(configuration: AgentConfiguration, board: str, options: FirmwareOptions = PLAIN) -> Budget:
    return agent_budget(configuration, find_board(board), seed=0, entropy_mode="seeded", options=options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "configuration", "options"), CASES, ids=[f"{board}-{index}" for index, (board, _, _) in enumerate(CASES)]
)
def test_ram_is_that_of_the_linked_image_to_the_byte(
    board: str, configuration: AgentConfiguration, options: FirmwareOptions
) -> None:
    toolchain = require_board(board).toolchain
    assert toolchain is not None
    image = build_image(configuration, board, seed=0, entropy_mode="seeded", options=options)
    sizes = image_sizes(image)
    assert sizes is not None
    found = of(configuration, board, options)
    assert found.ram_bytes == sizes.data_bytes + sizes.bss_bytes
    with image.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        # What is static in a function has a number behind its name.
        linked = {symbol.name.split(".")[0]: symbol["st_size"] for symbol in symbols.iter_symbols()}
    files = render_firmware(configuration, seed=0, entropy_mode="seeded", board=board, options=options)
    for variables in ram_variables(files, toolchain).values():
        for variable in variables:
            assert linked[variable.name] == variable.bytes, variable.name
    assert found.agent_bytes == linked["agent"]


@pytest.mark.slow
def test_flash_is_about_what_is_built() -> None:
    """One board of each instruction set, and a network that costs.json was not made from."""
    for board in ("microbit", "mps2_an386", "riscv32_virt", "mega2560"):
        found = of(TINY, board)
        require_board(board)
        sizes = image_sizes(build_image(TINY, board, seed=0, entropy_mode="seeded"))
        assert sizes is not None
        assert found.flash_bytes == pytest.approx(sizes.text_bytes + sizes.data_bytes, rel=0.05), (
            "the firmware's size has changed: run `python -m benchmarks.costs --flash`"
        )


@pytest.mark.slow
@pytest.mark.parametrize("board", ["riscv32_virt", "mega2560"])
def test_cycles_are_those_of_a_profile(board: str) -> None:
    require_board(board)
    experiment = cartpole(hidden=24)
    counted = profile(experiment, board, episodes=2)
    found = budget(experiment, board)
    message = "the core's cost has changed: run `python -m benchmarks.costs`"
    assert found.step_cycles == pytest.approx(counted.step.median, rel=found.error + 0.1), message
    assert counted.update is not None
    assert found.update_cycles == pytest.approx(counted.update.max, rel=found.update_error + 0.02), message


@pytest.mark.slow
def test_the_catalogue_has_a_budget_of_every_microcontroller_or_says_why_not() -> None:
    found = {board.id: each for board, each in catalogue_budget(cartpole(hidden=16))}
    assert set(found) == {board.id for board in load_boards() if board.toolchain is not None}
    for board_id, each in found.items():
        board = find_board(board_id)
        if board.framework is not None:
            assert isinstance(each, str) and "nrl-edge build" in each
            continue
        assert isinstance(each, Budget), each
        assert each.fits and each.flash_bytes is not None, f"{board_id}: run `python -m benchmarks.costs --flash`"
        assert each.longest_call_cycles is not None and each.max_control_rate_hz is not None
        assert (each.raw_noise_rate_hz is not None) == (board.entropy_source is not None)


def test_rates_follow_from_clock_noise_and_line() -> None:
    found = of(SMALL, "microbit")
    assert found.longest_call_cycles is not None
    assert found.max_control_rate_hz == pytest.approx(16_000_000 / found.longest_call_cycles, abs=0.1)
    # 7 sign bits in a byte, and two bytes for the action.
    assert found.entropy_bits_per_step == 24
    assert found.raw_noise_rate_hz == pytest.approx(11_800 / 24, abs=0.1)
    codec = Codec(4)
    assert found.link_bytes_per_step == sum(codec.by_name[name].coded_bytes for name in ("STEP", "ACTION"))
    assert found.link_rate_hz == pytest.approx(115_200 / 10 / found.link_bytes_per_step, abs=0.1)
    # Conditioned noise takes two raw bits for one.
    assert of(SMALL, "pico").raw_noise_rate_hz == pytest.approx(125_000 / 2 / 24, abs=0.1)
    assert link_bytes_per_step(SMALL) == found.link_bytes_per_step


def test_costs_that_nothing_like_was_measured_are_not_known() -> None:
    several = replace(SMALL, noise_draws=4)
    board = find_board("microbit")
    assert estimate(several, board, PLAIN).step_cycles is None
    assert estimate(SMALL, replace(board, id="new"), PLAIN).flash_bytes is None
    assert estimate(SMALL, replace(board, core="Cortex-M99"), PLAIN).cycles_are == "unknown"
    immediate = estimate(replace(SMALL, immediate_reward=True), board, PLAIN)
    assert immediate.step_cycles is not None and immediate.update_cycles is not None
    assert immediate.longest_call_cycles == immediate.step_cycles + immediate.update_cycles


def test_layouts_follow_the_rules_of_each_abi() -> None:
    text = """\
#include <stdint.h>
typedef enum { A = 0, B = 200 } small_t;
typedef struct { uint8_t a; small_t kind; void *p; uint16_t c; uint64_t d; uint8_t tail[3]; } mixed_t;
typedef union { mixed_t one; uint8_t bytes[sizeof(mixed_t) + 1]; } either_t;
static mixed_t several[2];
static const uint32_t constant[4] = {1, 2, 3, 4};
"""
    sizes = {name: Layouts(text, {}, abi) for name, abi in ABIS.items()}
    assert {name: layouts.bytes_of("mixed_t") for name, layouts in sizes.items()} == {
        "arm-none-eabi": 32,
        "riscv64-unknown-elf": 32,
        "avr": 18,
    }
    assert sizes["arm-none-eabi"].bytes_of("either_t") == 40
    [several] = sizes["arm-none-eabi"].variables(constants=False)
    assert (several.name, several.bytes, several.alignment) == ("several", 64, 8)


def test_the_desktop_has_no_budget() -> None:
    with pytest.raises(ConfigurationError, match="no microcontroller"):
        budget(cartpole(), "desktop")


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_board("uno")
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole(hidden=64).to_toml(), encoding="utf-8")

    def run(*arguments: str) -> list[str]:
        app(["budget", str(path), *arguments], standalone_mode=False)
        return capsys.readouterr().out.splitlines()

    result = json.loads(run("--board", "microbit", "--json")[-1])
    assert result["fits"] is True
    keys = {"board", "fits", "ram_bytes", "flash_bytes", "step_cycles", "max_control_rate_hz"}
    assert keys | {"entropy_bits_per_step", "raw_noise_rate_hz"} <= set(result)
    lines = [json.loads(line) for line in run("--json")]
    assert {line["board"] for line in lines[:-1]} == {board.id for board in load_boards() if board.toolchain}
    assert lines[-1]["boards"] == len(lines) - 1
    assert {line["board"]: line["fits"] for line in lines[:-1]}["uno"] is False
    assert any("microbit" in line and "yes" in line for line in run())
    assert any("exact" in line for line in run("--board", "pico"))
    with pytest.raises(DoesNotFitError, match=r"does not fit Arduino Uno.*the largest of its kind that fits is 4-"):
        run("--board", "uno")
