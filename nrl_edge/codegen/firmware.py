"""Generates a whole firmware: the agent, its serial link, one port and main, laid out as a PlatformIO project."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from nrl_edge.agent import EntropyMode
from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.messages import load_message_table, messages_variables
from nrl_edge.codegen.noise import noise_settings
from nrl_edge.codegen.options import PLAIN, PROFILE_PHASES, FirmwareOptions, OnChipEnvironment
from nrl_edge.codegen.render import render_folder, render_template
from nrl_edge.codegen.store import StoreSettings, program_memory, store_settings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.resources import templates_folder
from nrl_edge.tasks.fixed_cartpole import observation_shifts

LINKER_SCRIPT_SUFFIX = ".ld"
LINKER_SCRIPT = f"nrl_port{LINKER_SCRIPT_SUFFIX}"
"""Path, in a project, of the linker script of a port that has one."""

DEFAULT_DATA_BYTES = 240
"""Bytes of a snapshot that travel in one frame, where memory is no matter."""
SMALLEST_DATA_BYTES, LARGEST_DATA_BYTES = 16, 240
_RAM_SHARE_OF_DATA = 64
"""A frame carries at most this part of a board's RAM, since two buffers have the size of the largest frame."""

_BUILD_ID_BYTES = 8
_BOOT_MODES: dict[EntropyMode, str] = {
    "seeded": "NRL_ENTROPY_SEEDED",
    "raw": "NRL_ENTROPY_RAW",
    "expanded": "NRL_ENTROPY_EXPANDED",
}
_PROJECT_TEMPLATE = "link/nrl_project.h.j2"


def default_data_bytes(board: Board) -> int:
    """Bytes of a snapshot that travel in one frame of a board: fewer where its RAM is small."""
    if board.memory is None:
        return DEFAULT_DATA_BYTES
    return max(SMALLEST_DATA_BYTES, min(LARGEST_DATA_BYTES, board.memory.ram_bytes // _RAM_SHARE_OF_DATA))


_FAMILY_BASES: dict[str, tuple[str, ...]] = {
    "rp2040": ("rp2",),
    "rp2350": ("rp2",),
    "stm32f4": ("stm32",),
    "stm32l4": ("stm32",),
}
"""What families of one vendor share, in a folder of its own."""


def port_folders(board: Board) -> tuple[str, ...]:
    """Folders below the templates that make up a board's port, the more general first.

    A file of a later folder replaces the one of the same name before it.
    """
    shared: tuple[str, ...] = ()
    if board.framework is not None:
        # The framework has start-up, linker script and a C library.
        shared = ("avr_rom",) if board.isa == "avr" else ()
    elif board.isa == "avr":
        shared = ("avr_rom",)
    elif board.toolchain == "arm-none-eabi":
        shared = ("freestanding", "cortex_m")
    elif board.toolchain == "riscv64-unknown-elf":
        shared = ("freestanding", "riscv")
    bases = _FAMILY_BASES.get(board.port_family, ())
    return tuple(f"port/{name}" for name in (*shared, *bases, board.port_family))


def render_firmware(
    configuration: AgentConfiguration,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    board: Board | str = "desktop",
    data_bytes: int | None = None,
    options: FirmwareOptions = PLAIN,
) -> dict[str, str]:
    """All sources of one firmware: {path: text}, headers in `include/`, a linker script at the top, the rest in `src/`.

    `seed` and `entropy_mode` are what the agent starts with at power-on. `board` is a board or the id of one.
    `data_bytes` (16 to 240) sets how much of a snapshot travels in one frame at least; the two frame buffers have that
    size or the longest message's, and without it the board's RAM decides. `options` are what the firmware has
    besides its agent. The same arguments always give the same text.
    Raises ConfigurationError for an entropy mode that no firmware, or not this board's, can start with, for an unknown
    board, for one without a port and for a weight store that the board has no room for.
    """
    if isinstance(board, str):
        board = find_board(board)
    if entropy_mode not in _BOOT_MODES:
        raise ConfigurationError(
            f"entropy mode {entropy_mode!r}: firmware starts with {' or '.join(_BOOT_MODES)} entropy; "
            "set one of them in the experiment"
        )
    if options.profile != "off" and board.toolchain is None:
        raise ConfigurationError(
            f"board {board.id!r} is a process of this computer, whose costs say nothing about a microcontroller: "
            "choose a board to profile on (`nrl-edge boards` lists them)"
        )
    if options.profile != "off" and board.framework is not None:
        raise ConfigurationError(
            f"board {board.id!r} is built with {board.framework}, whose port has no counter: profile a board of "
            "the same core with a port from registers (`nrl-edge boards` lists them)"
        )
    if entropy_mode in ("raw", "expanded") and board.entropy_source is None:
        raise ConfigurationError(
            f"board {board.id!r} has no hardware generator, which entropy mode {entropy_mode!r} reads; "
            'set mode = "seeded" in [entropy], or choose a board that has one (`nrl-edge boards` lists them)'
        )
    folders = port_folders(board)
    for folder in folders:
        if not (templates_folder() / folder).is_dir():
            raise ConfigurationError(
                f"board {board.id!r} has no port: there is no folder {folder} in {templates_folder()}"
            )
    if data_bytes is None:
        data_bytes = default_data_bytes(board)
    if not SMALLEST_DATA_BYTES <= data_bytes <= LARGEST_DATA_BYTES:
        raise ConfigurationError(
            f"data_bytes = {data_bytes}: allowed are {SMALLEST_DATA_BYTES} to {LARGEST_DATA_BYTES}"
        )
    data_bytes = max(data_bytes, _free_data_bytes(configuration.inputs))
    longest_name = load_message_table().by_name["HELLO_REPLY"].field("board").byte_count(0)
    if not board.id.isascii() or len(board.id) > longest_name:
        raise ConfigurationError(
            f"board {board.id!r}: the id has to be ASCII and at most {longest_name} characters long"
        )

    store = store_settings(configuration, board, options.save_every)
    memory = program_memory(board, store)
    source = board.entropy_source
    hashes = options.link_key is not None or (source is not None and source.conditioned)
    files: dict[str, str] = {}
    variables = {
        **messages_variables(),
        "board": board,
        "layer_sizes": configuration.layer_sizes,
        "boot_entropy_mode": _BOOT_MODES[entropy_mode],
        "data_bytes": data_bytes,
        "build_id": (),
        "noise": noise_settings(configuration, board),
        "store": store,
        "link_key": options.link_key,
        "profile": options.profile,
    }
    # Where the store is, ports see by its settings, and linkers by what they leave to the program.
    port_variables = {
        **{"board": board, "memory": memory, "port": board.port, "store": store},
        "profile": options.profile != "off",
    }
    for part, contents in (
        ("core", render_core(configuration, seed)),
        ("profile", _profile_files(options)),
        ("noise", render_folder("noise", {})),
        ("store", _store_files(store)),
        ("guard", _guard_files(options)),
        ("hash", render_folder("hash", {}) if hashes else {}),
        ("link", render_folder("link", variables)),
        *(
            ()
            if options.environment is None
            else (
                ("environment", render_environment(configuration, options.environment)),
                ("loop", render_folder("loop", {})),
            )
        ),
        *(("port", render_folder(folder, port_variables)) for folder in folders),
    ):
        for name, text in contents.items():
            # What a port has for the weight store alone is empty where there is none.
            if text.strip():
                files[place(part, name)] = text
    main = "project/main.c" if options.environment is None else "project/main_on_chip.c"
    files["src/main.c"] = render_template(main, {})
    # The build id covers everything that is compiled; in its own file it is still empty at this point.
    variables["build_id"] = [f"0x{byte:02x}" for byte in build_id(files)]
    files["include/nrl_project.h"] = render_template(_PROJECT_TEMPLATE, variables)
    return dict(sorted(files.items()))


def firmware_build_id(
    configuration: AgentConfiguration,
    *,
    seed: int,
    entropy_mode: EntropyMode,
    board: Board | str = "desktop",
    data_bytes: int | None = None,
    options: FirmwareOptions = PLAIN,
) -> str:
    """The build id that the firmware rendered with these arguments tells in HELLO, in hexadecimal."""
    files = render_firmware(
        configuration, seed=seed, entropy_mode=entropy_mode, board=board, data_bytes=data_bytes, options=options
    )
    # The id covers everything but the file that it stands in, which has none of it then.
    header = files["include/nrl_project.h"]
    bytes_of_id = re.findall(r"0x([0-9a-f]{2})\b", header[header.index("NRL_BUILD_ID") :])[:_BUILD_ID_BYTES]
    return "".join(bytes_of_id)


def _free_data_bytes(inputs: int) -> int:
    """Bytes of a snapshot that the buffers hold anyway, as other messages are that long.

    A host asks for all that the largest frame has room for, so the firmware has to take as much.
    """
    messages = load_message_table().messages
    longest = max(each.payload_bytes(inputs) for each in messages if each.trailing is None)
    shortest_head = min(each.payload_bytes(inputs) for each in messages if each.trailing is not None)
    return min(LARGEST_DATA_BYTES, longest - shortest_head)


def _store_files(store: StoreSettings | None) -> dict[str, str]:
    """The weight store; of one that is not there, only the header that the link knows it by."""
    files = render_folder("store", {})
    return files if store is not None else {"nrl_store.h": files["nrl_store.h"]}


def _guard_files(options: FirmwareOptions) -> dict[str, str]:
    """What asks for a key; where there is none, only the header that the link includes."""
    files = render_folder("guard", {"link_key": options.link_key or b""})
    return files if options.link_key is not None else {"nrl_guard.h": files["nrl_guard.h"]}


def _profile_files(options: FirmwareOptions) -> dict[str, str]:
    """What counts at the marks of core and link; its nrl_mark.h takes the place of the core's."""
    if options.profile == "off":
        return {}
    return render_folder("profile", {"profile": options.profile, "phases": PROFILE_PHASES})


def render_environment(configuration: AgentConfiguration, environment: OnChipEnvironment) -> dict[str, str]:
    """What simulates the task on the chip: {file name: text}. Raises ConfigurationError for scales it cannot have."""
    shifts = observation_shifts(environment.scale_exponents, configuration.formats.observation_frac_bits)
    return render_folder("environment", {"environment": environment, "shifts": shifts})


def place(part: str, name: str) -> str:
    """Path of a rendered file inside the project."""
    if name.endswith(".h"):
        return f"include/{name}"
    return name if name.endswith(LINKER_SCRIPT_SUFFIX) else f"src/{part}/{name}"


def build_id(files: dict[str, str]) -> bytes:
    """First bytes of the SHA-256 of {path: text}."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{PurePosixPath(path)}\0{files[path]}\0".encode())
    return digest.digest()[:_BUILD_ID_BYTES]
