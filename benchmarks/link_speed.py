"""Round trips a second of an agent behind a link, beside a bare echo of the same bytes over the same transport.

Run: python benchmarks/link_speed.py [--steps 20000] [--json]
Both sides go through pyserial and the same port code in C, in the same run, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c
from nrl_edge.resources import templates_folder
from nrl_host.device import LinkAgent
from nrl_host.link import Link, close_port, open_port
from nrl_host.targets.desktop import DesktopTarget, Transport

CONFIGURATION = AgentConfiguration(4, (64,), 2)
TRANSPORTS: tuple[Transport, ...] = ("tcp", "pty")
REPEATS = 5


class Echo:
    """The echo program and an open port to it."""

    def __init__(self, program: Path, transport: str) -> None:
        arguments = ["--tcp", "0"] if transport == "tcp" else ["--pty"]
        self._process = subprocess.Popen(
            [str(program), *arguments, "--watch-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        place = self._process.stdout.readline().decode().split()[-1]
        self.port = open_port(f"socket://{place}" if transport == "tcp" else place)

    def round_trips_per_second(self, frame: bytes, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            self.port.write(frame)
            if len(self.port.read(len(frame))) != len(frame):
                raise SystemExit("the echo lost bytes")
        return steps / (time.perf_counter() - start)

    def close(self) -> None:
        close_port(self.port)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def steps_per_second(agent: LinkAgent, steps: int) -> float:
    observation = np.array([100, -200, 300, -400], np.int16)
    start = time.perf_counter()
    for _ in range(steps):
        agent.step(observation, 256, False, False)
    return steps / (time.perf_counter() - start)


def measure(transport: Transport, echo_program: Path, steps: int) -> dict[str, float | str]:
    echo = Echo(echo_program, transport)
    with DesktopTarget(CONFIGURATION, transport=transport) as target, Link(target.url) as link:
        agent = LinkAgent(link, CONFIGURATION, EntropySettings(seed=1))
        request_bytes = link.codec_of("STEP").coded_bytes
        frame = bytes([1] * (request_bytes - 1) + [0])
        steps_per_second(agent, steps // 10)
        echo.round_trips_per_second(frame, steps // 10)
        agent_rates, echo_rates = [], []
        for _ in range(REPEATS):
            agent_rates.append(steps_per_second(agent, steps // REPEATS))
            echo_rates.append(echo.round_trips_per_second(frame, steps // REPEATS))
    echo.close()
    agent_rate, echo_rate = statistics.median(agent_rates), statistics.median(echo_rates)
    return {
        "transport": transport,
        "step_round_trips_per_second": round(agent_rate),
        "echo_round_trips_per_second": round(echo_rate),
        "ratio": round(agent_rate / echo_rate, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(__file__).resolve().parent
        echo_program = compile_c(
            [here / "link_echo.c", templates_folder() / "port" / "desktop" / "nrl_port_desktop.c"],
            Path(folder) / "echo",
            include_folders=[templates_folder() / "link"],
        )
        for transport in TRANSPORTS:
            result = measure(transport, echo_program, arguments.steps)
            if arguments.json:
                print(json.dumps(result))
            else:
                print(
                    f"{transport}: {result['step_round_trips_per_second']} steps/s, "
                    f"echo {result['echo_round_trips_per_second']}/s, ratio {result['ratio']}"
                )


if __name__ == "__main__":
    main()
