"""The firmware of a plant: what a learner on the host acts upon (docs/plant.md). Ports and link are those of agents."""

from __future__ import annotations

import re

from nrl_edge import __version__
from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.firmware import LINKER_SCRIPT, build_id, place, port_folders, render_firmware
from nrl_edge.codegen.project import compile_command, render_build_files
from nrl_edge.codegen.render import TEMPLATE_SUFFIX, render_folder, render_template
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.resources import templates_folder
from nrl_edge.tasks.fixed_cartpole import INPUTS

ACTIONS = 2
PLANT_SHAPE = AgentConfiguration(INPUTS, (1,), ACTIONS)
"""Of what an agent has, a plant has inputs and actions only."""

# What a plant shares with the firmware of agents, besides the port.
_SHARED = (
    *("nrl_crc32.c", "nrl_crc32.h", "nrl_rom.h", "nrl_project.h", "nrl_port.h", "nrl_trng.h"),
    *("nrl_frames.c", "nrl_frames.h", "nrl_messages.h", "nrl_server.c", "nrl_server.h", "nrl_mark.h", LINKER_SCRIPT),
)
_CARTPOLE = ("nrl_cartpole.c", "nrl_cartpole.h")
_BYTE = re.compile(r"0x[0-9a-f]{2}\b")


def render_plant(board: Board | str) -> dict[str, str]:
    """All sources of a plant for a board: {path: text}, headers in `include/`, the rest in `src/`.

    The plant is a pole on a cart, in integers; for another one, main.c is changed. Raises ConfigurationError for an
    unknown board and for one without a port.
    """
    board = find_board(board) if isinstance(board, str) else board
    ports = {
        path.name.removesuffix(TEMPLATE_SUFFIX)
        for folder in port_folders(board)
        for path in (templates_folder() / folder).iterdir()
    }
    whole = render_firmware(PLANT_SHAPE, seed=0, entropy_mode="seeded", board=board)
    files = {path: text for path, text in whole.items() if path.rpartition("/")[2] in ports.union(_SHARED)}
    cartpole = (templates_folder() / "environment" / name for name in _CARTPOLE)
    for part, contents in (
        ("plant", render_folder("plant", {"inputs": INPUTS, "actions": ACTIONS})),
        ("environment", {path.name: path.read_text(encoding="utf-8") for path in cartpole}),
    ):
        files |= {place(part, name): text for name, text in contents.items()}
    files["src/main.c"] = render_template("project/main_plant.c", {})
    # The id that came with the header is that of an agent's firmware.
    own = iter([f"0x{byte:02x}" for byte in build_id(files)])
    head, define, tail = files["include/nrl_project.h"].partition("#define NRL_BUILD_ID ")
    before, brace, after = tail.partition("}")
    files["include/nrl_project.h"] = head + define + _BYTE.sub(lambda _: next(own), before) + brace + after
    return dict(sorted(files.items()))


def render_plant_project(board: Board | str) -> dict[str, str]:
    """`render_plant` with what builds and explains it."""
    board = find_board(board) if isinstance(board, str) else board
    files = render_plant(board)
    files |= render_build_files(board, "a plant: a pole on a cart", LINKER_SCRIPT in files)
    values = {
        "version": __version__,
        "environment": board.id,
        "board": board,
        "compile_command": compile_command(board, LINKER_SCRIPT in files),
    }
    files["README.md"] = render_template("export/plant/README.md.j2", values)
    return dict(sorted(files.items()))
