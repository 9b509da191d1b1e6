"""Builds and runs the fuzzers of the firmware's link; `python tests/fuzz/fuzzing.py --minutes 10` fuzzes at length.

Each agent is fuzzed in two ways: bytes on the line, and sound frames with anything in them. A finding is a file that
reproduces it; its path is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.options import FirmwareOptions
from nrl_edge.codegen.render import write_files
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.native.compiler import CCompiler, compile_c

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
KINDS = ("line", "messages")
LONGEST_INPUT = 2048
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+)")

AGENTS = {
    "edge": (AgentConfiguration(3, (5,), 2), FirmwareOptions(save_every=2)),
    "tiny": (
        AgentConfiguration(2, (4, 3), 3, Formats(8, 7, 5, 3, 8), immediate_reward=True),
        FirmwareOptions(save_every=1),
    ),
    "actor-critic": (
        AgentConfiguration(2, (4,), 2, Formats(16, 10, 12, 8, 8), 1, 3, preset="actor-critic"),
        FirmwareOptions(save_every=3, link_key=bytes(32)),
    ),
}
"""Agents that take different ways through the firmware, one of them with a key."""


@dataclass(frozen=True)
class Fuzzed:
    """What a fuzzer came to."""

    agent: str
    kind: str
    executions: int
    edges: int
    """Edges of the firmware's control flow that were reached."""
    finding: Path | None
    output: str


def small_flash() -> Board:
    """The desktop with pages so small that a few saves fill them."""
    desktop = find_board("desktop")
    assert desktop.nonvolatile is not None
    return replace(desktop, nonvolatile=replace(desktop.nonvolatile, page_bytes=256, store_bytes=8192))


def write_sources(agent: str, folder: Path, patch: tuple[str, str, str] | None = None) -> list[Path]:
    """The firmware of an agent without its port and main, and the harness; returns its C files.

    `patch` is (file, text, other text): a fault that is put in on purpose.
    """
    configuration, options = AGENTS[agent]
    files = render_firmware(configuration, seed=3, entropy_mode="seeded", board=small_flash(), options=options)
    wanted = {
        PurePosixPath(path).name: text
        for path, text in files.items()
        if path.startswith(("include/", "src/")) and not path.startswith("src/port/") and path != "src/main.c"
    }
    if patch is not None:
        name, text, other = patch
        assert text in wanted[name]
        wanted[name] = wanted[name].replace(text, other)
    for name in ("victim.h", "victim.c"):
        wanted[name] = (HERE / "harness" / name).read_text(encoding="utf-8")
    write_files(wanted, folder)
    return sorted(folder.glob("*.c"))


def build_fuzzer(agent: str, kind: str, folder: Path, patch: tuple[str, str, str] | None = None) -> Path:
    """A libFuzzer program with the address and undefined-behaviour sanitizers. It needs clang."""
    sources = [*write_sources(agent, folder, patch), HERE / "harness" / f"fuzz_{kind}.c"]
    flags = (*SANITIZERS, "-fsanitize=fuzzer")
    return compile_c(
        sources,
        folder / f"fuzz_{kind}",
        include_folders=[folder, HERE / "harness"],
        extra_flags=flags,
        compiler=CCompiler(("clang",)),
    )


def build_storm(agent: str, folder: Path, *, sanitize: bool) -> Path:
    """The program that sends frames of noise."""
    sources = [*write_sources(agent, folder), HERE / "harness" / "storm.c"]
    flags = SANITIZERS if sanitize else ("-O2",)
    return compile_c(sources, folder / "storm", include_folders=[folder, HERE / "harness"], extra_flags=flags)


def fuzz(
    agent: str, kind: str, seconds: int, folder: Path, *, seed: int = 1, patch: tuple[str, str, str] | None = None
) -> Fuzzed:
    """Fuzz for so many seconds, from the committed corpus; new inputs and findings go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = build_fuzzer(agent, kind, folder, patch)
    grown = folder / f"grown_{kind}"
    grown.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *(str(program), str(grown), str(CORPUS / kind)),
            *(f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST_INPUT}", "-timeout=10"),
            *("-print_final_stats=1", f"-artifact_prefix={folder}/finding_{kind}_"),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 120,
        check=False,
    )
    executed, covered = _EXECUTED.search(done.stderr), _COVERED.findall(done.stderr)
    findings = sorted(folder.glob(f"finding_{kind}_*"))
    finding = findings[0] if findings else (folder if done.returncode else None)
    return Fuzzed(
        agent, kind, int(executed[1]) if executed else 0, int(covered[-1]) if covered else 0, finding, done.stderr
    )


def storm(agent: str, frames: int, folder: Path, *, sanitize: bool, seed: int = 1) -> str:
    """Send frames of noise; returns what the program says. Raises AssertionError where something changed."""
    folder.mkdir(parents=True, exist_ok=True)
    program = build_storm(agent, folder, sanitize=sanitize)
    done = subprocess.run([program, str(frames), str(seed)], capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fuzz_all(minutes: float, say: Callable[[str], None] = print) -> list[Fuzzed]:
    """Fuzz every agent in every way for `minutes` together, and send 10^7 frames of noise; returns the findings."""
    seconds = max(1, round(60 * minutes / (len(AGENTS) * len(KINDS))))
    folder = Path(tempfile.mkdtemp(prefix="nrl-edge-fuzz-"))
    findings = []
    for agent in AGENTS:
        for kind in KINDS:
            result = fuzz(agent, kind, seconds, folder / agent)
            say(f"{agent} {kind}: {result.executions:,} inputs in {seconds} s, {result.edges} edges reached")
            if result.finding is not None:
                findings.append(result)
                say(f"FINDING {result.finding}\n{result.output[-3000:]}")
        say(f"{agent} noise: {storm(agent, 10_000_000 // len(AGENTS) + 1, folder / agent / 'storm', sanitize=False)}")
    return findings


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, all fuzzers together")
    return 1 if fuzz_all(parser.parse_args().minutes, lambda text: print(text, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
