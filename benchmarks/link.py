"""`python -m benchmarks.link [--json] [--quick]`: round trips of an agent behind a link, beside a bare echo.

Both go through the same port in C, in the same run, in turns, with requests of the same length. The echo neither
decodes nor checks nor learns, and its host is pyserial and nothing else. On a paced line the yardstick is the line
itself. Rates are against processor time (processor.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from benchmarks.comparison import Comparison, OnPair, Target, measure_in_turns
from benchmarks.echo import Echo, build_echo
from benchmarks.paced import BITS_PER_BYTE, PacedLine
from benchmarks.processor import rate_of
from nrl_edge.agent import EntropySettings
from nrl_edge.errors import NrlError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.device import LinkAgent
from nrl_host.link import DEFAULT_BAUD, Link
from nrl_host.targets.desktop import DesktopTarget, Transport
from nrl_host.targets.process import ProcessTarget
from nrl_host.targets.qemu import QemuTarget

CONFIGURATION = AgentConfiguration(4, (64,), 2)
AIM = 0.8
PACED_AIM = 0.9
QEMU_BOARD = "microbit"


def make_steps(agent: LinkAgent, steps: int) -> None:
    """Steps of an agent behind a link; each learns."""
    observation = np.array([100, -200, 300, -400], np.int16)
    for _ in range(steps):
        agent.step(observation, 256, False, False)


def compare_link(
    transport: Transport, steps: int, pairs: int, on_pair: OnPair, *, directly: bool = False
) -> Comparison:
    """`LinkAgent.step` over the echo of as many bytes, both of the desktop firmware; see Echo for `directly`."""
    echo = build_echo("desktop", CONFIGURATION)
    return _compare(
        f"LinkAgent.step / bare echo{', its port direct too' if directly else ''}, {transport}",
        DesktopTarget(CONFIGURATION, transport=transport),
        DesktopTarget(CONFIGURATION, transport=transport, program=echo),
        steps,
        pairs,
        on_pair,
        directly,
    )


def compare_qemu(steps: int, pairs: int, on_pair: OnPair) -> Comparison:
    """The same of a micro:bit in QEMU."""
    echo = build_echo(QEMU_BOARD, CONFIGURATION)
    return _compare(
        f"LinkAgent.step / bare echo, {QEMU_BOARD} in QEMU",
        QemuTarget(CONFIGURATION, QEMU_BOARD),
        QemuTarget(CONFIGURATION, QEMU_BOARD, program=echo),
        steps,
        pairs,
        on_pair,
    )


def _compare(
    name: str,
    target: ProcessTarget,
    echo_target: ProcessTarget,
    steps: int,
    pairs: int,
    on_pair: OnPair,
    directly: bool = False,
) -> Comparison:
    with ExitStack() as stack:
        stack.enter_context(target)
        stack.enter_context(echo_target)
        link = stack.enter_context(Link(target.url))
        echo = Echo(echo_target.url, directly=directly)
        stack.callback(echo.close)
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        frame = bytes([1] * (link.codec_of("STEP").coded_bytes - 1) + [0])
        # Both processes warm up before anything counts.
        make_steps(agent, max(1, steps // 10))
        echo.make_round_trips(frame, max(1, steps // 10))
        measured = measure_in_turns(
            name,
            lambda: rate_of(lambda: make_steps(agent, steps), steps, target.process.pid),
            lambda: rate_of(lambda: echo.make_round_trips(frame, steps), steps, echo_target.process.pid),
            pairs,
            on_pair,
        )
    return Comparison(
        name, "round trips", "LinkAgent.step", "echo", measured, target=None if directly else Target(">=", AIM)
    )


def compare_paced(steps: int, pairs: int, on_pair: OnPair, baud: int = DEFAULT_BAUD) -> Comparison:
    """`LinkAgent.step` over what the bytes of request and reply allow on a line of so many baud.

    The line's time is added up, not waited for: nothing runs meanwhile, and how well a system sleeps is not the matter.
    """
    name = f"LinkAgent.step / the bytes' own time, {baud} baud"
    with DesktopTarget(CONFIGURATION, transport="pty") as target, Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        link._port = line = PacedLine(link._port, baud)
        wire_bytes = link.codec_of("STEP").coded_bytes + link.codec_of("ACTION").coded_bytes
        allowed = baud / (BITS_PER_BYTE * wire_bytes)
        make_steps(agent, max(1, steps // 10))

        def paced_rate() -> float:
            before = line.seconds
            rate = rate_of(lambda: make_steps(agent, steps), steps, target.process.pid)
            return steps / (steps / rate + line.seconds - before)

        measured = measure_in_turns(name, paced_rate, lambda: allowed, pairs, on_pair)
    return Comparison(name, "round trips", "LinkAgent.step", "line", measured, target=Target(">=", PACED_AIM))


def comparisons(steps: int, pairs: int, on_pair: OnPair) -> Iterator[Comparison]:
    """All of them. Raises MissingToolError where QEMU or the micro:bit's compiler is not installed."""
    yield compare_link("tcp", steps, pairs, on_pair)
    yield compare_link("pty", steps, pairs, on_pair)
    yield compare_link("pty", steps, pairs, on_pair, directly=True)
    yield compare_paced(steps, pairs, on_pair)
    yield compare_qemu(steps, pairs, on_pair)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that everything runs")
    arguments = parser.parse_args()
    steps, pairs = (50, 5) if arguments.quick else (300, 15)
    try:
        for comparison in comparisons(steps, pairs, lambda name: None):
            print(json.dumps(comparison.as_dict()) if arguments.json else comparison.as_text(), flush=True)
    except NrlError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
