"""The weight store over a loss of power: cut at every word and erase of a save, twice in a row, and flipped bits."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.codegen.render import write_files
from nrl_edge.codegen.store import store_settings
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native.compiler import compile_c

HERE = Path(__file__).resolve().parent
SMALL = AgentConfiguration(2, (2,), 2)
TINY = AgentConfiguration(2, (3,), 2, formats=Formats(parameter_bits=8, weight_frac_bits=5, trace_frac_bits=3))
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def board_with(page_bytes: int, word_bytes: int, store_bytes: int = 4096) -> Board:
    desktop = find_board("desktop")
    assert desktop.nonvolatile is not None
    memory = replace(desktop.nonvolatile, page_bytes=page_bytes, word_bytes=word_bytes, store_bytes=store_bytes)
    return replace(desktop, nonvolatile=memory)


def build(
    configuration: AgentConfiguration,
    board: Board,
    folder: Path,
    patch: tuple[str, str] | None = None,
    flags: tuple[str, ...] = SANITIZERS,
    harness: str = "power_cut.c",
) -> Path:
    files = render_firmware(
        configuration, seed=3, entropy_mode="seeded", board=board, options=FirmwareOptions(save_every=1)
    )
    wanted = {
        PurePosixPath(path).name: text
        for path, text in files.items()
        if path.startswith(("include/", "src/core/", "src/store/"))
    }
    if patch is not None:
        assert patch[0] in wanted["nrl_store.c"]
        wanted["nrl_store.c"] = wanted["nrl_store.c"].replace(*patch)
    wanted[harness] = (HERE / "harness" / harness).read_text(encoding="utf-8")
    write_files(wanted, folder)
    return compile_c(sorted(folder.glob("*.c")), folder / "program", include_folders=[folder], extra_flags=flags)


@pytest.mark.slow
@pytest.mark.parametrize("fill", [255, 0, 1], ids=["ones", "zeros", "garbage"])
@pytest.mark.parametrize(
    ("configuration", "page_bytes", "word_bytes", "images"),
    [
        pytest.param(SMALL, 128, 4, 1, id="a-page-an-image"),
        pytest.param(SMALL, 64, 4, 1, id="two-pages-an-image"),
        pytest.param(SMALL, 256, 8, 2, id="two-images-a-page-double-words"),
        pytest.param(TINY, 384, 4, 3, id="three-images-a-page-tiny"),
        pytest.param(SMALL, 1, 1, 1, id="eeprom"),
    ],
)
def test_the_old_or_the_new_image_survives_every_loss_of_power(
    configuration: AgentConfiguration, page_bytes: int, word_bytes: int, images: int, fill: int, tmp_path: Path
) -> None:
    board = board_with(page_bytes, word_bytes)
    settings = store_settings(configuration, board, 1)
    assert settings is not None and settings.images == images
    # Sanitizers make it six times slower; what memory held before does not matter to what they look for.
    program = build(configuration, board, tmp_path, flags=SANITIZERS if fill == 1 else ("-O2",))
    result = subprocess.run([program, str(fill)], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    words = result.stdout.split()
    # Each word of an image is an operation that was cut in five ways, and so was each of the save that follows.
    operations = settings.record_bytes // word_bytes
    assert int(words[1]) > 5 * operations * 5 * operations


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    [
        ("area = 1u - after / NRL_STORE_IMAGES;", "area = after / NRL_STORE_IMAGES;"),
        ("return nrl_store_get_u32(bytes) == *crc;", "return true;"),
        ("const uint32_t sequence = store->sequence + 1u;", "const uint32_t sequence = store->sequence;"),
    ],
    ids=["erases-the-newest", "checks-no-crc", "counts-no-sequence"],
)
def test_the_harness_catches_a_store_that_is_wrong(patch: tuple[str, str], tmp_path: Path) -> None:
    program = build(SMALL, board_with(128, 4), tmp_path, patch)
    result = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1
