"""Images of boards whose chip is unicorn's core with peripherals modelled by us: NUCLEO boards and the Pico 2."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from board_helpers import cartpole, equals_the_reference, snapshots_travel
from elftools.elf.elffile import ELFFile
from tools import require_board, require_tool

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.errors import ConfigurationError, DeviceError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_host.build.board_build import build_for_board
from nrl_host.hil import simulate_firmware
from nrl_host.link import Link

CONFIGURATION = AgentConfiguration(4, (8,), 2)
NEW = ("nucleo_l476rg", "nucleo_l432kc", "nucleo_g474re", "pico2")
HEALTHY = 0


@pytest.mark.parametrize("board", ["nucleo_l476rg", "pico2"])
def test_three_episodes_end_with_the_weights_of_the_reference(board: str) -> None:
    equals_the_reference(board, cartpole())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "preset"), [("int16", "edge"), ("tiny", "edge"), ("int16", "actor-critic")])
@pytest.mark.parametrize("board", NEW)
def test_twenty_episodes_end_with_the_weights_of_the_reference(board: str, kind: str, preset: str) -> None:
    equals_the_reference(board, cartpole(episodes=20, kind=kind, preset=preset))


@pytest.mark.slow
@pytest.mark.parametrize("board", NEW)
def test_snapshots_travel_from_boot_to_boot(board: str) -> None:
    snapshots_travel(board, 8)


@pytest.mark.slow
@pytest.mark.parametrize("board", NEW)
def test_a_run_on_the_modelled_generator_is_repeated_by_the_reference(tmp_path: Path, board: str) -> None:
    """The port sets the generator's clock: a model without 48 MHz (or 25 clocks a sample) gives no number."""
    require_board(board)
    experiment = cartpole(episodes=12)
    experiment = replace(experiment, entropy=replace(experiment.entropy, mode="raw"))
    summary = simulate_firmware(experiment, board=board, run=tmp_path / "run")
    assert summary.noise == {"health": "nothing is wrong", "soft_alarms": 0, "failed_draws": 0}
    assert replay(RunFolder.open(tmp_path / "run")).match


@pytest.mark.slow
@pytest.mark.parametrize("board", NEW)
def test_an_unsigned_session_number_comes_from_the_generator(board: str) -> None:
    from nrl_host.targets.unicorn import UnicornTarget

    require_board(board)
    sessions = []
    for seed in (1, 2, 1):
        with UnicornTarget(CONFIGURATION, board, seed=seed) as target, Link(target.url) as link:
            sessions.append(link.session)
            assert link.hello.entropy_health == HEALTHY
    assert sessions[0] == sessions[2] != sessions[1]


def test_the_image_of_the_pico_2_has_what_its_boot_rom_looks_for(tmp_path: Path) -> None:
    """By the data sheet's text: a block within the first 4 KiB, word by word, and a vector table at the beginning."""
    require_tool("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi binutils-arm-none-eabi")
    built = build_for_board(CONFIGURATION, "pico2", seed=1, entropy_mode="seeded", folder=tmp_path)
    with built.image.open("rb") as file:
        [start] = [each for each in ELFFile(file).iter_segments("PT_LOAD") if each["p_paddr"] == 0x10000000]
        flash = start.data()
    words = struct.unpack(f"<{4096 // 4}I", flash[:4096])
    begin = words.index(0xFFFFDED3)
    # One item of one word: image type, executable (1), security S (2), CPU Arm (0), chip RP2350 (1).
    item = words[begin + 1]
    assert (item & 0x7F, item >> 8 & 0xFF) == (0x42, 1)
    flags = item >> 16
    assert (flags & 15, flags >> 4 & 3, flags >> 8 & 7, flags >> 12 & 7) == (1, 2, 0, 1)
    # The last item, whose size is that of all items before it; the next block, this one; the end.
    assert words[begin + 2 : begin + 5] == (1 << 8 | 0xFF, 0, 0xAB123579)
    stack, entry = words[:2]
    assert stack == 0x20080000 and entry & 1 and 0x10000000 < entry < 0x10000000 + len(flash)
    uf2 = built.image.with_suffix(".uf2").read_bytes()
    assert {struct.unpack_from("<I", uf2, at + 28)[0] for at in range(0, len(uf2), 512)} == {0xE48BFF59}


def test_an_image_without_a_definition_is_not_started(tmp_path: Path) -> None:
    from nrl_host.targets.unicorn import UnicornTarget

    require_board("pico2")
    image = build_for_board(CONFIGURATION, "pico2", seed=1, entropy_mode="seeded", folder=tmp_path).image
    data = image.read_bytes()
    assert data.count(struct.pack("<I", 0xFFFFDED3)) == 1
    image.write_bytes(data.replace(struct.pack("<I", 0xFFFFDED3), bytes(4)))
    target = UnicornTarget(CONFIGURATION, "pico2", program=image)
    with target, pytest.raises(DeviceError):
        Link(target.url, open_timeout=1.0)
    assert "not bootable" in target.error_output()


def test_only_modelled_chips_have_a_generator_that_can_be_made_sick() -> None:
    experiment = cartpole(episodes=1)
    with pytest.raises(ConfigurationError, match=r"microbit.*generator.*nucleo_l476rg.*pico2"):
        simulate_firmware(experiment, board="microbit", generator="one")
    with pytest.raises(ConfigurationError, match=r"generator 'sick'.*period2"):
        simulate_firmware(experiment, board="pico2", generator="sick")


def test_flash_that_was_torn_is_no_fault_where_it_is_read() -> None:
    """An STM32L4 or G4 interrupts, non-maskably, where a double word with a wrong code is read: a fault would reset it,
    at every start again. Without a weight store nothing reads such words, and the interrupt stays a fault."""
    for save_every, handler in ((0, "nrl_fault"), (1, "nrl_port_non_maskable")):
        files = render_firmware(
            CONFIGURATION,
            seed=1,
            entropy_mode="seeded",
            board="nucleo_l476rg",
            options=FirmwareOptions(save_every=save_every),
        )
        exceptions = files["src/port/nrl_startup.c"].split(".exceptions = {")[1].split("}")[0]
        assert [each.strip() for each in exceptions.split(",")][:3] == ["nrl_reset", handler, "nrl_fault"]
        assert ("FLASH_CORRECTION |= CORRECTION_FAILED" in "".join(files.values())) == bool(save_every)
