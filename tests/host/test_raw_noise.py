"""Runs on raw noise are repeated exactly from what was recorded; noise that fails ends learning, and is told."""

from __future__ import annotations

import os
import re
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest
from host_helpers import run_target, write_experiment
from tools import require_tool

from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import build_cached
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_host.hil import simulate_firmware

SICK = """
#include <stddef.h>
#include <stdint.h>

static int sick_entropy(uint8_t *bytes, size_t length)
{{
    static uint32_t state = 0x2545F491;
    static uint32_t given = 0;

    for (size_t i = 0; i < length; ++i, ++given) {{
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = given < {healthy_bytes} ? (uint8_t)(state >> 11) : {sick};
    }}
    return 0;
}}
"""


def raw_experiment(folder: Path, mode: str = "raw", **options: object) -> Experiment:
    path = write_experiment(folder, **options)  # type: ignore[arg-type]
    path.write_text(path.read_text(encoding="utf-8") + f'[entropy]\nmode = "{mode}"\n', encoding="utf-8")
    return load_experiment(path)


@cache
def forgetful_firmware(configuration: AgentConfiguration) -> Path:
    """The desktop's firmware with a log of noise that is too small for the agent."""
    files = render_firmware(configuration, seed=1, entropy_mode="raw")
    sources = {PurePosixPath(path).name: text for path, text in files.items()}
    project = re.sub(r"#define NRL_NOISE_LOG_BYTES \d+u", "#define NRL_NOISE_LOG_BYTES 16u", sources["nrl_project.h"])
    assert project != sources["nrl_project.h"]
    return build_cached(sources | {"nrl_project.h": project}, "forgetful-firmware")


@cache
def sick_firmware(configuration: AgentConfiguration, healthy_bytes: int, sick: str) -> Path:
    """The desktop's firmware with a generator of its own, which falls ill after so many bytes."""
    files = render_firmware(configuration, seed=1, entropy_mode="raw")
    sources = {PurePosixPath(path).name: text for path, text in files.items()}
    port = sources["nrl_port_desktop.c"]
    assert port.count("getentropy(bytes, count)") == 1
    port = port.replace("getentropy(bytes, count)", "sick_entropy(bytes, count)")
    first = port.index('#include "nrl_port.h"')
    sources["nrl_port_desktop.c"] = port[:first] + SICK.format(healthy_bytes=healthy_bytes, sick=sick) + port[first:]
    return build_cached(sources, "sick-firmware")


@pytest.mark.parametrize("target", ["native", "desktop"])
@pytest.mark.parametrize("options", [{}, {"reward": "immediate"}, {"kind": "tiny", "hidden": (6, 5)}])
def test_a_run_on_raw_noise_is_repeated_by_the_reference(tmp_path: Path, target: str, options: dict) -> None:
    experiment = raw_experiment(tmp_path, episodes=6, **options)
    first = run_target(experiment, target, run=tmp_path / "first")
    verdict = replay(RunFolder.open(tmp_path / "first"))
    assert verdict.match and verdict.weights_crc32 == first.weights_crc32
    again = run_target(experiment, target, run=tmp_path / "again")
    assert again.weights_crc32 != first.weights_crc32, "nobody drew the same noise twice"
    if target == "desktop":
        assert first.noise == {"health": "nothing is wrong", "soft_alarms": 0, "failed_draws": 0}


@pytest.mark.parametrize("target", ["native", "desktop"])
def test_a_stopped_raw_run_goes_on_and_is_repeated_as_a_whole(tmp_path: Path, target: str) -> None:
    experiment = raw_experiment(tmp_path, episodes=12, checkpoint_every=4)
    asked = iter([False] * 5 + [True] * 20)
    run = tmp_path / "run"
    stopped = run_target(experiment, target, run=run, stop=lambda: next(asked))
    assert stopped.interrupted and stopped.episodes == 6
    # As if it had been killed two episodes later, in the middle of a line.
    with (run / "noise.bin").open("ab") as file:
        file.write(os.urandom(55))
    with (run / "noise.csv").open("ab") as file:
        file.write(b"7,99")
    finished = run_target(experiment, target, run=run, resume=True)
    assert finished.episodes == 12
    assert replay(RunFolder.open(run)).match


def test_a_run_on_expanded_noise_is_repeated_by_the_reference(tmp_path: Path) -> None:
    experiment = raw_experiment(tmp_path, episodes=12, hidden=(24,), mode="expanded")
    first = run_target(experiment, "desktop", run=tmp_path / "first")
    run = RunFolder.open(tmp_path / "first")
    assert len(run.noise()) > 2 * 1024, "keyed several times"
    verdict = replay(run)
    assert verdict.match and verdict.weights_crc32 == first.weights_crc32
    assert run_target(experiment, "desktop").weights_crc32 != first.weights_crc32
    with pytest.raises(ConfigurationError, match="expanded"):
        run_target(experiment, "native")


def test_damaged_noise_is_noticed(tmp_path: Path) -> None:
    experiment = raw_experiment(tmp_path, episodes=6)
    run_target(experiment, "native", run=tmp_path / "run")
    noise = tmp_path / "run" / "noise.bin"
    whole = noise.read_bytes()
    # The sign bits of the first weights: nothing later could make up for them.
    noise.write_bytes(bytes([whole[0] ^ 0x40]) + whole[1:])
    assert not replay(RunFolder.open(tmp_path / "run")).match
    noise.write_bytes(whole[:-1])
    with pytest.raises(ConfigurationError, match="shorter than"):
        replay(RunFolder.open(tmp_path / "run"))
    noise.unlink()
    with pytest.raises(ConfigurationError, match="holds no recorded noise"):
        replay(RunFolder.open(tmp_path / "run"))


def test_noise_that_is_lost_is_told_and_makes_no_repeatable_run(tmp_path: Path) -> None:
    experiment = raw_experiment(tmp_path, episodes=4)
    program = forgetful_firmware(resolve_agent(experiment))
    sentences: list[str] = []
    summary = simulate_firmware(experiment, program=program, run=tmp_path / "run", on_warning=sentences.append)
    assert summary.episodes == 4 and summary.counters["entropy"] == 0, "it learns as ever"
    assert len(sentences) == 1 and "cannot be repeated" in sentences[0]
    with pytest.raises(ConfigurationError, match="some of the noise of this run was lost"):
        replay(RunFolder.open(tmp_path / "run"))


@pytest.mark.parametrize(("sick", "why"), [("0x00", "in a row (stuck"), ("0x55", "byte too often"), ("0xFF", "stuck")])
def test_noise_that_fails_in_the_middle_ends_learning_and_nothing_else(tmp_path: Path, sick: str, why: str) -> None:
    experiment = raw_experiment(tmp_path, episodes=14, checkpoint_every=1)
    program = sick_firmware(resolve_agent(experiment), 1500, sick)
    sentences: list[str] = []
    summary = simulate_firmware(experiment, program=program, run=tmp_path / "run", on_warning=sentences.append)
    assert summary.episodes == 14 and not summary.interrupted
    assert summary.noise is not None and int(summary.noise["failed_draws"]) > 0 and why in str(summary.noise["health"])
    assert len(sentences) == 1 and "has stopped learning" in sentences[0] and why in sentences[0]
    run = RunFolder.open(tmp_path / "run")
    weights = [snapshot_info(path.read_bytes()).weights_crc32 for _, path in run.checkpoints()]
    changes = sum(before != after for before, after in pairwise(weights))
    frozen = sum(weight == weights[-1] for weight in weights)
    assert changes >= 2, "it learned while its noise was healthy"
    assert frozen >= 3, "and not afterwards"
    assert replay(run).match, "the recording ends where the draws began to fail"


@pytest.mark.slow
def test_the_microbit_learns_on_its_own_generator_and_the_run_is_repeated(tmp_path: Path) -> None:
    """8 hidden units, from the first weights to a mean of 195 and beyond, in QEMU, on the emulated nRF51's noise."""
    require_tool("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi binutils-arm-none-eabi")
    require_tool("qemu-system-arm", "apt-get install qemu-system-arm")
    experiment = raw_experiment(tmp_path, episodes=400, task_keys="threshold = 195")
    summary = simulate_firmware(experiment, board="microbit", run=tmp_path / "run", until_solved=True)
    assert summary.episodes_to_threshold is not None and summary.mean_return_last_100 >= 195
    assert summary.counters["entropy"] == 0
    verdict = replay(RunFolder.open(tmp_path / "run"))
    assert verdict.match and verdict.weights_crc32 == summary.weights_crc32
