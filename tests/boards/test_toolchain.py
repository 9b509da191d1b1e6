"""Images of boards: built without warnings, small, laid out as the board says, and what is missing is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from board_helpers import WARNINGS, cartpole
from elftools.elf.elffile import ELFFile
from tools import require_board

from nrl_edge.boards import load_boards
from nrl_edge.codegen.firmware import LINKER_SCRIPT, default_data_bytes, render_firmware
from nrl_edge.codegen.flags import is_freestanding
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.errors import DeviceError, MissingToolError, RunError
from nrl_edge.experiment import resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.toolchain import build_image, image_sizes
from nrl_host.cli import main
from nrl_host.targets import make_target
from nrl_host.targets.qemu import QemuTarget

CONFIGURATION = AgentConfiguration(4, (64,), 2)
CROSS_BOARDS = [board.id for board in load_boards() if is_freestanding(board)]


@pytest.mark.slow
@pytest.mark.parametrize("optimise", ["-Os", "-O0"])
@pytest.mark.parametrize("board_id", CROSS_BOARDS)
def test_every_image_builds_without_a_warning_and_fits(tmp_path: Path, board_id: str, optimise: str) -> None:
    board = require_board(board_id)
    # With the weight store where the board has memory for it: that is more code.
    save_every = 1 if board.nonvolatile is not None and board.nonvolatile.store_bytes else 0
    image = build_image(
        CONFIGURATION,
        board,
        seed=1,
        entropy_mode="seeded",
        options=FirmwareOptions(save_every=save_every),
        folder=tmp_path,
        extra_flags=[*WARNINGS, optimise],
    )
    sizes, memory = image_sizes(image), board.memory
    assert sizes is not None and memory is not None
    assert 4_000 < sizes.text_bytes + sizes.data_bytes < memory.flash_bytes
    # Weights and traces, at least.
    assert 4 * CONFIGURATION.parameters < sizes.data_bytes + sizes.bss_bytes < memory.ram_bytes
    with image.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & 2 and section["sh_size"]:
                address, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
                in_flash = memory.flash_origin <= address and end <= memory.flash_origin + memory.flash_bytes
                in_ram = memory.ram_origin <= address and end <= memory.ram_origin + memory.ram_bytes
                assert in_flash or in_ram, section.name


@pytest.mark.slow
def test_an_image_comes_from_the_cache_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_board("microbit")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = build_image(CONFIGURATION, "microbit", seed=1, entropy_mode="seeded")
    written = image.stat().st_mtime_ns
    assert build_image(CONFIGURATION, "microbit", seed=1, entropy_mode="seeded") == image
    assert image.stat().st_mtime_ns == written
    assert build_image(CONFIGURATION, "microbit", seed=2, entropy_mode="seeded") != image


def test_an_agent_that_is_too_large_for_the_board_is_refused_by_the_linker(tmp_path: Path) -> None:
    require_board("microbit")
    with pytest.raises(RunError, match=r"fewer hidden units|overflowed"):
        build_image(AgentConfiguration(4, (128, 64), 2), "microbit", seed=1, entropy_mode="seeded", folder=tmp_path)


def test_the_linker_script_stands_at_the_top_and_start_up_is_shared() -> None:
    rendered = {
        board_id: render_firmware(CONFIGURATION, seed=1, entropy_mode="seeded", board=board_id)
        for board_id in ("microbit", "mps2_an386", "riscv32_virt")
    }
    for files in rendered.values():
        assert {LINKER_SCRIPT, "include/nrl_cpu.h", "src/port/nrl_startup.c", "src/port/nrl_serial.c"} <= set(files)
    assert rendered["microbit"]["include/nrl_cpu.h"] == rendered["mps2_an386"]["include/nrl_cpu.h"]
    assert rendered["microbit"]["include/nrl_cpu.h"] != rendered["riscv32_virt"]["include/nrl_cpu.h"]
    assert not {LINKER_SCRIPT, "src/port/nrl_startup.c"} & set(
        render_firmware(CONFIGURATION, seed=1, entropy_mode="seeded")
    )


def test_frames_of_boards_follow_their_memory() -> None:
    for board in load_boards():
        limit = board.memory.ram_bytes // 32 if board.memory else 1 << 30
        assert 2 * default_data_bytes(board) <= max(limit, 32), board.id


@pytest.mark.parametrize(
    ("board_id", "packages"),
    [("microbit", "gcc-arm-none-eabi binutils-arm-none-eabi"), ("riscv32_virt", "gcc-riscv64-unknown-elf")],
)
def test_a_missing_compiler_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board_id: str, packages: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=f"apt-get install {packages}"):
        build_image(CONFIGURATION, board_id, seed=1, entropy_mode="seeded")


@pytest.mark.parametrize(
    ("board_id", "package"), [("microbit", "qemu-system-arm"), ("riscv32_virt", "qemu-system-misc")]
)
def test_a_missing_emulator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], board_id: str, package: str
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole().to_toml(), encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["nrl-edge", "sim", str(path), "--target", board_id, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert f"apt-get install {package}" in capsys.readouterr().out


def test_an_image_that_qemu_cannot_load_is_reported(tmp_path: Path) -> None:
    board = require_board("microbit")
    with pytest.raises(DeviceError, match="did not start"):
        QemuTarget(CONFIGURATION, board, program=tmp_path / "nothing.elf").start()


def test_sim_runs_an_emulated_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_board("microbit")
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole().to_toml(), encoding="utf-8")
    results = []
    for target in ("microbit", "desktop", "reference"):
        monkeypatch.setattr(sys, "argv", ["nrl-edge", "sim", str(path), "--target", target, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        results.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert [result["target"] for result in results] == ["microbit", "desktop", "reference"]
    assert results[0].keys() == results[1].keys()
    assert len({result["weights_crc32"] for result in results}) == 1


@pytest.mark.parametrize(("target", "says"), [("microbitt", "did you mean microbit"), ("nrf52840dk", "no emulator")])
def test_a_target_that_is_none_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str, says: str
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole().to_toml(), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["nrl-edge", "sim", str(path), "--target", target, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().out


def test_make_target_runs_the_desktop_board_too() -> None:
    experiment = cartpole(episodes=2)
    with make_target("desktop", resolve_agent(experiment)) as target:
        assert target.url.startswith("socket://127.0.0.1:")
