"""Round trips of an agent behind a link, beside a bare echo process on the same transport."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from benchmarks.comparison import Comparison, OnPair, Target, measure_in_turns
from benchmarks.link_speed import CONFIGURATION, Echo, steps_per_second
from nrl_edge.agent import EntropySettings
from nrl_edge.boards import find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.native.compiler import build_cached
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets.desktop import DesktopTarget, Transport


def build_echo() -> Path:
    """The echo program, from the user's cache of builds: the port of the desktop's firmware under another main."""
    firmware = render_firmware(CONFIGURATION, seed=1, entropy_mode="seeded", board=find_board("desktop"))
    port = {
        PurePosixPath(path).name: text for path, text in firmware.items() if path.startswith(("include/", "src/port/"))
    }
    echo = Path(__file__).with_name("link_echo.c")
    return build_cached({**port, echo.name: echo.read_text(encoding="utf-8")}, "link-echo")


def compare_link(transport: Transport, steps: int, pairs: int, on_pair: OnPair) -> Comparison:
    """`LinkAgent.step` over the echo of as many bytes."""
    name = f"LinkAgent.step / bare echo, {transport}"
    echo = Echo(build_echo(), transport)
    try:
        with DesktopTarget(CONFIGURATION, transport=transport) as target, Link(target.url) as link:
            agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
            frame = bytes([1] * (link.codec_of("STEP").coded_bytes - 1) + [0])
            # Both processes warm up before anything counts.
            steps_per_second(agent, steps // 10)
            echo.round_trips_per_second(frame, steps // 10)
            measured = measure_in_turns(
                name,
                lambda: steps_per_second(agent, steps),
                lambda: echo.round_trips_per_second(frame, steps),
                pairs,
                on_pair,
            )
    finally:
        echo.close()
    return Comparison(name, "round trips", "LinkAgent.step", "echo", measured, target=Target(">=", 0.5))
