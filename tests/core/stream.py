"""Builds and runs `harness/stream_driver.c`: the core alone, under sanitizers, on observations and rewards."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import Counters, EntropySettings
from nrl_edge.codegen.core import render_core, seed_state
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native import CCompiler, build_cached

HARNESS = Path(__file__).resolve().parent / "harness"
STRICT_FLAGS = ("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror")
SANITIZER_FLAGS = (*STRICT_FLAGS, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name) is not None]


@dataclass(frozen=True)
class DriverResult:
    """What the driver wrote: actions int32 (T,) or statuses, crcs uint32 (T,), and the state at the end."""

    actions: NDArray[np.int32]
    crcs: NDArray[np.uint32]
    counters: Counters
    snapshot: bytes | None


def build_harness(
    name: str, configuration: AgentConfiguration, compiler: str, flags: tuple[str, ...] = SANITIZER_FLAGS
) -> Path:
    """A program of the harness folder together with the core of one agent."""
    files = {**render_core(configuration), f"{name}.c": (HARNESS / f"{name}.c").read_text(encoding="utf-8")}
    return build_cached(files, name, extra_flags=flags, compiler=CCompiler((compiler,)))


def run_program(program: Path, *arguments: str) -> None:
    """Run a program of the harness; AssertionError with its output, sanitizer reports included, where it fails."""
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def stream_bytes(
    observations: NDArray[np.int16], rewards: NDArray[np.int32], flags: NDArray[np.uint8], inputs: int
) -> bytes:
    """The stream file of the driver."""
    record = np.dtype([("observation", "<i2", (inputs,)), ("reward", "<i4"), ("flags", "u1")])
    records = np.zeros(len(rewards), dtype=record)
    records["observation"], records["reward"], records["flags"] = observations, rewards, flags
    return records.tobytes()


def run_driver(
    folder: Path,
    configuration: AgentConfiguration,
    entropy: EntropySettings,
    observations: NDArray[np.int16],
    rewards: NDArray[np.int32],
    flags: NDArray[np.uint8],
    *,
    compiler: str = "gcc",
    compiler_flags: tuple[str, ...] = SANITIZER_FLAGS,
) -> DriverResult:
    """Run the core in a program of its own; entropy is seeded or replay. `folder` takes its files."""
    program = build_harness("stream_driver", configuration, compiler, compiler_flags)
    stream, result = folder / "stream.bin", folder / "result.bin"
    stream.write_bytes(stream_bytes(observations, rewards, flags, configuration.inputs))
    if entropy.mode == "seeded":
        source = ["seeded", *(f"{word:08x}" for word in seed_state(entropy.seed))]
    else:
        recording = folder / "recording.bin"
        recording.write_bytes(entropy.recording)
        source = ["replay", str(recording)]
    run_program(program, str(stream), str(result), *source)
    data = result.read_bytes()
    count = len(rewards)
    steps = np.frombuffer(data[: 8 * count], dtype=np.dtype([("action", "<i4"), ("crc", "<u4")]))
    rest = data[8 * count :]
    return DriverResult(
        actions=steps["action"].copy(),
        crcs=steps["crc"].copy(),
        counters=Counters(*(int(value) for value in np.frombuffer(rest[:24], dtype="<u4"))),
        snapshot=rest[28:] if rest[24:28] == bytes(4) else None,
    )
