"""Generates a whole firmware: the agent, its serial link, one port and main, laid out as a PlatformIO project."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from nrl_edge.agent import EntropyMode
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.messages import load_message_table, messages_variables
from nrl_edge.codegen.render import render_folder, render_template
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration

PORT_FAMILIES = {"desktop": "desktop"}
"""Folder below `firmware_templates/port/` that holds the port of each board."""

DEFAULT_DATA_BYTES = 240
"""Bytes of a snapshot that travel in one frame, where memory is no matter."""
SMALLEST_DATA_BYTES, LARGEST_DATA_BYTES = 16, 240

_BUILD_ID_BYTES = 8
_BOOT_MODES: dict[EntropyMode, str] = {"seeded": "NRL_ENTROPY_SEEDED", "raw": "NRL_ENTROPY_RAW"}
_PROJECT_TEMPLATE = "link/nrl_project.h.j2"


def render_firmware(
    configuration: AgentConfiguration,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    board: str = "desktop",
    data_bytes: int = DEFAULT_DATA_BYTES,
) -> dict[str, str]:
    """All sources of one firmware: {path: text}, headers in `include/`, the rest in `src/`.

    `seed` and `entropy_mode` are what the agent starts with at power-on. `data_bytes` (16 to 240) sets how much of a
    snapshot travels in one frame; the two frame buffers have at least that size. The same arguments always give the
    same text. Raises ConfigurationError for an entropy mode that no firmware can start with and for a board without a
    port.
    """
    if entropy_mode not in _BOOT_MODES:
        raise ConfigurationError(
            f"entropy mode {entropy_mode!r}: firmware starts with {' or '.join(_BOOT_MODES)} entropy; "
            "set one of them in the experiment"
        )
    if board not in PORT_FAMILIES:
        raise ConfigurationError(
            f"board {board!r} has no port; known are {', '.join(sorted(PORT_FAMILIES))} (`nrl-edge boards` lists them)"
        )
    if not SMALLEST_DATA_BYTES <= data_bytes <= LARGEST_DATA_BYTES:
        raise ConfigurationError(
            f"data_bytes = {data_bytes}: allowed are {SMALLEST_DATA_BYTES} to {LARGEST_DATA_BYTES}"
        )
    longest_name = load_message_table().by_name["HELLO_REPLY"].field("board").byte_count(0)
    if not board.isascii() or len(board) > longest_name:
        raise ConfigurationError(
            f"board {board!r}: the name has to be ASCII and at most {longest_name} characters long"
        )

    files: dict[str, str] = {}
    variables = {
        **messages_variables(),
        "board": board,
        "layer_sizes": configuration.layer_sizes,
        "boot_entropy_mode": _BOOT_MODES[entropy_mode],
        "data_bytes": data_bytes,
        "build_id": (),
    }
    for part, contents in (
        ("core", render_core(configuration, seed)),
        ("link", render_folder("link", variables)),
        ("port", render_folder(f"port/{PORT_FAMILIES[board]}", {})),
    ):
        for name, text in contents.items():
            files[f"include/{name}" if name.endswith(".h") else f"src/{part}/{name}"] = text
    files["src/main.c"] = render_template("project/main.c", {})
    # The build id covers everything that is compiled; in its own file it is still empty at this point.
    variables["build_id"] = [f"0x{byte:02x}" for byte in _build_id(files)]
    files["include/nrl_project.h"] = render_template(_PROJECT_TEMPLATE, variables)
    return dict(sorted(files.items()))


def _build_id(files: dict[str, str]) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{PurePosixPath(path)}\0{files[path]}\0".encode())
    return digest.digest()[:_BUILD_ID_BYTES]
