"""Board files against the pages of PlatformIO's documentation, of which platformio_pages.toml keeps what they say."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from nrl_edge.boards import find_board, load_boards

PAGES: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("platformio_pages.toml").read_text(encoding="utf-8")
)


def test_every_board_of_platformio_s_own_platforms_has_its_page() -> None:
    named = {board.id for board in load_boards() if board.platformio is not None}
    assert named - set(PAGES) == {"pico2"}
    platform = find_board("pico2").platformio
    assert platform is not None and platform.platform.startswith("https://"), "it is a fork, of which no page tells"


def plain(mcu: str) -> str:
    return "".join(character for character in mcu.upper() if character.isalnum()).removeprefix("AT")


@pytest.mark.parametrize("board_id", PAGES)
def test_a_board_file_says_what_the_page_says_or_why_not(board_id: str) -> None:
    page, board = PAGES[board_id], find_board(board_id)
    assert board.platformio is not None and board.clock is not None and board.memory is not None
    assert (board.platformio.platform, board.platformio.board) == (page["platform"], page["board"])
    # The pages add letters for the package: STM32F405RGT6.
    assert plain(page["mcu"]).startswith(plain(board.mcu))
    protocols = page["upload_protocols"]
    agrees = {
        "clock": board.clock.hz == page["clock_mhz"] * 1_000_000,
        "flash": board.memory.flash_bytes == page["flash_kib"] * 1024,
        "ram": board.memory.ram_bytes == page["ram_kib"] * 1024,
        "upload_protocol": not protocols or board.platformio.upload_protocol in protocols,
    }
    assert {name for name, holds in agrees.items() if not holds} == set(page.get("differs", {}))
