"""The Raspberry Pi Pico: its very image on an emulated RP2040, its conditioned noise, its flash, its UF2 file."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from board_helpers import cartpole, equals_the_reference, snapshots_travel
from elftools.elf.elffile import ELFFile
from tools import require_board, require_tool

from nrl_edge.agent import EntropySettings
from nrl_edge.boards import find_board
from nrl_edge.codegen.noise import noise_settings
from nrl_edge.errors import DeviceError, RunError
from nrl_edge.experiment import entropy_settings, parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.noise.health import WINDOW
from nrl_edge.replay import replay
from nrl_edge.resources import templates_folder
from nrl_edge.runs import RunFolder
from nrl_host.build.board_build import build_for_board
from nrl_host.build.uf2 import uf2_of
from nrl_host.cli import main
from nrl_host.device import LinkAgent, noise_health_text
from nrl_host.hil import simulate_firmware
from nrl_host.link import Link

CONFIGURATION = AgentConfiguration(4, (8,), 2)
BOOT2 = templates_folder() / "port" / "rp2040" / "nrl_boot2.c"
FAMILY = 0xE48BFF56


def boot_rom_crc(data: bytes) -> int:
    """As the boot ROM's, bit by bit over the whole message, most significant bit first."""
    remainder = 0xFFFFFFFF
    for bit in (byte >> place & 1 for byte in data for place in range(7, -1, -1)):
        carry = (remainder >> 31) ^ bit
        remainder = (remainder << 1) & 0xFFFFFFFF
        if carry:
            remainder ^= 0x04C11DB7
    return remainder


def boot2_words() -> list[int]:
    return [int(word, 16) for word in re.findall(r"UINT32_C\((0x[0-9a-f]{8})\)", BOOT2.read_text(encoding="utf-8"))]


def test_the_second_stage_is_what_its_source_assembles_to(tmp_path: Path) -> None:
    require_tool("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi binutils-arm-none-eabi")
    source = Path(__file__).parent / "harness" / "rp2040_boot2.S"
    subprocess.run(["arm-none-eabi-gcc", "-c", "-o", tmp_path / "stage.o", source], check=True)
    with (tmp_path / "stage.o").open("rb") as file:
        code = ELFFile(file).get_section_by_name(".text").data()
    *words, crc = boot2_words()
    assert struct.pack(f"<{len(words)}I", *words) == code
    assert crc == boot_rom_crc(code.ljust(252, b"\0"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi binutils-arm-none-eabi")
    folder = tmp_path_factory.mktemp("pico")
    return build_for_board(CONFIGURATION, "pico", seed=1, entropy_mode="seeded", folder=folder).image


def test_the_uf2_file_passes_an_independent_reading(image: Path) -> None:
    """By the specification's text: 512 bytes a block, three magic numbers, addresses, numbers, family."""
    data = image.with_suffix(".uf2").read_bytes()
    assert len(data) % 512 == 0
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    flash: dict[int, int] = {}
    for number, block in enumerate(blocks):
        first, second, flags, address, size, at, total, family = struct.unpack_from("<8I", block)
        (last,) = struct.unpack_from("<I", block, 508)
        assert (first, second, last) == (0x0A324655, 0x9E5D5157, 0x0AB16F30)
        assert (flags, size, at, total, family) == (0x2000, 256, number, len(blocks), FAMILY)
        assert address % 256 == 0 and 0x10000000 <= address < 0x10200000
        assert block[32 + 256 : 508] == bytes(220)
        for offset in range(256):
            assert address + offset not in flash
            flash[address + offset] = block[32 + offset]
    with image.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            for offset, byte in enumerate(segment.data()):
                assert flash[segment["p_paddr"] + offset] == byte
    stage = bytes(flash[0x10000000 + offset] for offset in range(256))
    assert boot_rom_crc(stage[:252]) == int.from_bytes(stage[252:], "little")
    # Behind it the vector table: a stack within RAM, and a start within flash, in Thumb.
    stack, start = struct.unpack("<2I", bytes(flash[0x10000100 + offset] for offset in range(8)))
    assert 0x20000000 < stack <= 0x20040000 and start & 1 and 0x10000100 < start < 0x10200000


def test_what_is_no_image_makes_no_uf2(tmp_path: Path) -> None:
    (tmp_path / "a.elf").write_bytes(b"\x7fELF and no more")
    with pytest.raises(RunError, match="no ELF file"):
        uf2_of(tmp_path / "a.elf", FAMILY)


def test_an_image_with_a_damaged_second_stage_is_not_started(image: Path, tmp_path: Path) -> None:
    """The emulated boot ROM is as strict as the real one."""
    from nrl_host.targets.unicorn import UnicornTarget

    require_board("pico")
    data = bytearray(image.read_bytes())
    with image.open("rb") as file:
        segment = next(each for each in ELFFile(file).iter_segments("PT_LOAD") if each["p_paddr"] == 0x10000000)
        data[segment["p_offset"] + 5] ^= 1
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(data)
    target = UnicornTarget(CONFIGURATION, "pico", program=damaged)
    with target, pytest.raises(DeviceError):
        Link(target.url, open_timeout=1.0)
    assert "not bootable" in target.error_output()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "preset"), [("int16", "edge"), ("tiny", "edge"), ("int16", "actor-critic")])
def test_twenty_episodes_end_with_the_weights_of_the_reference(kind: str, preset: str) -> None:
    require_board("pico")
    equals_the_reference("pico", cartpole(episodes=20, kind=kind, preset=preset))


@pytest.mark.slow
def test_snapshots_travel_from_boot_to_boot() -> None:
    require_board("pico")
    snapshots_travel("pico", 8)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["raw", "expanded"])
def test_a_run_on_conditioned_noise_is_repeated_by_the_reference(tmp_path: Path, mode: str) -> None:
    require_board("pico")
    experiment = parse_experiment(cartpole(episodes=12).to_toml().replace('mode = "seeded"', f'mode = "{mode}"'))
    summary = simulate_firmware(experiment, board="pico", run=tmp_path / "run")
    assert summary.noise is not None and summary.noise["failed_draws"] == 0
    run = RunFolder.open(tmp_path / "run")
    assert replay(run).match
    if mode == "raw":
        bits = np.unpackbits(np.frombuffer(run.noise(), np.uint8))
        # The oscillator's own bits are 48% ones; of so many the hash makes half, within four standard deviations.
        assert len(bits) > 8000
        assert abs(bits.mean() - 0.5) < 4 * 0.5 / len(bits) ** 0.5


SICK = {
    # (how the oscillator is, the words that the host hears)
    "zero": "one bit too often in a row",
    "one": "one bit too often in a row",
    "period2": "one byte too often in a row",
    "dead": "gives no numbers",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SICK)
def test_a_generator_that_is_sick_from_the_start_gives_no_weights(kind: str) -> None:
    from nrl_host.targets.unicorn import UnicornTarget

    require_board("pico")
    with UnicornTarget(CONFIGURATION, "pico", "raw", generator=kind) as target, Link(target.url) as link:
        assert link.hello.agent_state == 0
        assert SICK[kind] in noise_health_text(link.hello.entropy_health)
        with pytest.raises(DeviceError, match="the entropy source failed"):
            LinkAgent(link, CONFIGURATION, EntropySettings("raw"))


@pytest.mark.slow
def test_sixty_percent_ones_are_found_within_the_window_of_the_proportion_test() -> None:
    """A claim of half a bit of entropy allows 70% ones; 60% are healthy by it, and the hash makes fair bits of them."""
    from nrl_host.targets.unicorn import UnicornTarget

    require_board("pico")
    settings = noise_settings(CONFIGURATION, find_board("pico"))
    assert settings.hard.proportion > 0.6 * WINDOW + 5 * (0.24 * WINDOW) ** 0.5
    with UnicornTarget(CONFIGURATION, "pico", generator="bias60") as target, Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings("raw"))
        for call in range(400):
            agent.step(np.array([100, -50, 30, 10], np.int16), 0, call % 20 == 19, False)
        noise = agent.take_noise()
        assert noise is not None and agent.entropy_failures == 0
        bits = np.unpackbits(np.frombuffer(noise, np.uint8))
        assert abs(bits.mean() - 0.5) < 4 * 0.5 / len(bits) ** 0.5


@pytest.mark.slow
def test_the_build_of_the_command_leaves_a_uf2_beside_the_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_board("pico")
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(cartpole().to_toml(), encoding="utf-8")
    arguments = ["build", str(experiment), "--board", "pico", "--output", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr(sys, "argv", ["nrl-edge", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["board"] == "pico"
    assert (tmp_path / "out" / "firmware.uf2").stat().st_size % 512 == 0
    assert entropy_settings(parse_experiment(cartpole().to_toml())).mode == "seeded"
