"""The yardstick of the link: firmware that only sends back what it is sent, through the very port of a board."""

from __future__ import annotations

import socket
from pathlib import Path, PurePosixPath

import serial

from nrl_edge.boards import find_board
from nrl_edge.codegen.firmware import LINKER_SCRIPT, render_firmware
from nrl_edge.codegen.flags import build_flags
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached, find_c_compiler
from nrl_host.build.toolchain import find_cross_compiler
from nrl_host.link import close_port, open_port


def build_echo(board_id: str, configuration: AgentConfiguration) -> Path:
    """The image of a board's firmware with link_echo.c as its main, from the user's cache of builds."""
    board = find_board(board_id)
    files = render_firmware(configuration, seed=0, entropy_mode="seeded", board=board)
    files["src/main.c"] = Path(__file__).with_name("link_echo.c").read_text(encoding="utf-8")
    flags, libraries = build_flags(board)
    return build_cached(
        {PurePosixPath(path).name: text for path, text in files.items()},
        f"{board.id}-echo",
        extra_flags=flags,
        libraries=libraries,
        linker_script=LINKER_SCRIPT if LINKER_SCRIPT in files else None,
        suffix=None if board.toolchain is None else ".elf",
        compiler=find_c_compiler() if board.toolchain is None else find_cross_compiler(board.toolchain),
    )


class Echo:
    """An open port to running echo firmware: pyserial and nothing else, as anybody's first program is.

    With `directly` it is read and written as the link's ports are.
    """

    def __init__(self, url: str, *, directly: bool = False) -> None:
        if directly:
            self._port = open_port(url)
            return
        self._port = serial.serial_for_url(url, timeout=0.5)
        plain_socket = getattr(self._port, "_socket", None)
        if isinstance(plain_socket, socket.socket):
            plain_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def make_round_trips(self, frame: bytes, steps: int) -> None:
        """Send a frame and wait until it is back, `steps` times. Raises SystemExit where bytes are lost."""
        for _ in range(steps):
            self._port.write(frame)
            received = self._port.read(len(frame))
            while len(received) < len(frame):
                more = self._port.read(len(frame) - len(received))
                if not more:
                    raise SystemExit("the echo lost bytes")
                received += more

    def close(self) -> None:
        """Close the port."""
        close_port(self._port)
