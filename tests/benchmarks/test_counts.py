"""Counting is exact, counts what is right, and is the same every time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.counts import measure
from benchmarks.counts.build import Image, agent_sources, build
from benchmarks.counts.cores import CORES, find_core
from benchmarks.counts.naive import NAIVE_KINDS, NaiveKind, naive_sources
from benchmarks.counts.networks import (
    NETWORKS,
    SEED,
    TERMINATED,
    TRUNCATED,
    Network,
    configuration_of,
    find_network,
    record_stream,
    reference_of,
)
from benchmarks.counts.timings import Pricer, count_instructions, instruction_bytes
from benchmarks.counts.trace import Run, function_costs
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.native.compiler import build_cached
from tests.tools import require_board

ROOT = Path(__file__).resolve().parents[2]

SMALL = find_network("4-8-2")


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of a few dozen steps are enough here."""
    monkeypatch.setattr(measure, "record_stream", lambda network, kind: record_stream(network, kind, 40))


@pytest.mark.parametrize("core_id", [core.id for core in CORES])
def test_every_core_is_counted_on_the_reference_s_weights(core_id: str) -> None:
    core = find_core(core_id)
    require_board(core.board_id)
    pytest.importorskip("capstone", reason="capstone is not installed: pip install capstone")
    first, second = measure.count_agent(core, SMALL), measure.count_agent(core, SMALL)
    assert (first.step, first.update) == (second.step, second.update), "a count is the same every time"
    assert first.step.min <= first.step.median <= first.step.max
    assert first.step.calls + 2 * first.update.calls == len(record_stream(SMALL, "int16", 40))
    # Not a figure of speed: no core can do 48 weights in less than two instructions each.
    assert first.step.min > 2 * 48
    functions = first.functions(first.steps)
    assert sum(each.own for each in functions) == pytest.approx(first.step.mean)
    whole = next(each for each in functions if each.name == measure.STEP)
    assert whole.inclusive == pytest.approx(first.step.mean) and whole.calls == 1


def test_wrong_weights_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    require_board("riscv32_virt")
    pytest.importorskip("unicorn", reason="unicorn is not installed: pip install unicorn")
    stream = record_stream(SMALL, "int16", 40)
    monkeypatch.setattr(measure, "record_stream", lambda *_: replace(stream, weights_crc32=stream.weights_crc32 ^ 1))
    with pytest.raises(RunError, match="the weights have CRC"):
        measure.count_agent(find_core("rv32"), SMALL)


@pytest.mark.parametrize("core_id", ["m0plus", "m4", "rv32"])
def test_blocks_hold_every_instruction(core_id: str) -> None:
    """The sum over blocks against a hook that is called before every single instruction."""
    core = find_core(core_id)
    require_board(core.board_id)
    unicorn = pytest.importorskip("unicorn", reason="unicorn is not installed: pip install unicorn")
    from benchmarks.counts.unicorn_machine import UnicornMachine

    configuration, stream = configuration_of(SMALL), record_stream(SMALL, "int16", 40)
    image = build(core, agent_sources(configuration, SEED), configuration.inputs)
    entry = image.address_of(measure.STEP)
    by_block, single = UnicornMachine(core, image), UnicornMachine(core, image)
    seen: list[int] = []
    skipped: set[int] = set()
    single._uc.hook_add(unicorn.UC_HOOK_CODE, lambda uc, address, size, data: seen.append(address))
    single._uc.ctl_flush_tb()  # what was translated before has no hook
    harness = {image.function_at(image.address_of(name)) for name in ("counted_next", "counted_call", "main")}
    for index in range(len(stream) - 1):  # the CRC comes after the last
        log = by_block.call(stream, index, entry)
        expected: Counter[int] = Counter()
        for begin, length in log.tolist():
            code, place = image.code(begin, length), 0
            while place < length:
                expected[begin + place] += 1
                place += instruction_bytes(core_id, code[place : place + 2])
        assert expected.total() == sum(count_instructions(core_id, image.code(*block)) for block in log.tolist())
        seen.clear()
        single.call(stream, index, entry)
        inside = seen[seen.index(entry) :]
        found = Counter(address for address in inside if image.function_at(address) not in harness)
        assert not found - expected
        # Unicorn does not tell of an instruction that an IT block skips, which a core spends a cycle on.
        assert core_id == "m4" or not expected - found
        skipped |= set(expected - found)
    skippable = {address for start in {int(each) for each in log[:, 0]} for address in in_it_blocks(image, start)}
    assert skipped <= skippable


def in_it_blocks(image: Image, address: int) -> set[int]:
    """Addresses in the function around an address that an IT instruction before them makes conditional."""
    function = image.function(image.function_at(address))
    code, place, found, left = image.code(function.address, function.bytes), 0, set(), 0
    while place + 1 < len(code):
        first = code[place] | code[place + 1] << 8
        if left:
            found.add(function.address + place)
            left -= 1
        elif first & 0xFF00 == 0xBF00 and first & 0xF:
            left = {8: 1, 4: 2, 2: 3, 1: 4}[(first & 0xF) & -(first & 0xF)]
        place += instruction_bytes("m4", code[place : place + 2])
    return found


@pytest.mark.parametrize(
    ("core_id", "code", "instructions", "cycles", "taken"),
    [
        # muls r0, r1 / adds r0, r0, r2 / ldrsh r3, [r4, r5] / strh r3, [r6] / bne back
        ("m0plus", "4843 8018 635f 3380 fad1", 5, 1 + 1 + 2 + 2 + 1, 1),
        # push {r4-r6, lr} / bl / pop {r4-r6, pc}
        ("m0plus", "70b5 00f000f8 70bd", 3, 5 + 3 + 7, 0),
        # ldr r0, [r1] / ldr r2, [r3] / ldr r2, [r2]: the last needs what the one before it loads
        ("m4", "0868 1a68 1268", 3, 2 + 1 + 2, 0),
        # str r0, [r1] / smlad r0, r1, r2, r3 / udiv r0, r1, r2 / cbz r0
        ("m4", "0860 21fb0230 b1fbf2f0 00b1", 4, 1 + 1 + 12 + 1, 2),
        # mla r0, r1, r2, r3 / bx lr
        ("m3", "01fb0230 7047", 2, 2 + 3, 0),
        # it ne / bxne lr
        ("m4", "18bf 7047", 2, 1 + 1, 2),
        # c.addi / mul: 2 and 4 bytes
        ("rv32", "0505 3305b502", 2, 2, 0),
    ],
)
def test_published_timings(core_id: str, code: str, instructions: int, cycles: int, taken: int) -> None:
    pytest.importorskip("capstone", reason="capstone is not installed: pip install capstone")
    price = Pricer(core_id).price(0x10000, bytes.fromhex(code.replace(" ", "")))
    assert (price.instructions, price.cycles, price.taken) == (instructions, cycles, taken)


def test_who_called_whom_follows_from_the_order() -> None:
    starts = {"outer": 0, "middle": 100, "inner": 200}

    def function_at(address: int) -> str:
        return max((name for name, start in starts.items() if start <= address), key=starts.__getitem__)

    addresses = np.array([0, 100, 200, 104, 200, 204, 108, 8], np.uint32)
    run = Run(addresses, np.array([1, 10, 100, 10, 100, 100, 10, 1], np.int64), None)
    found = {each.name: each for each in function_costs([run], function_at, starts.__getitem__)}
    assert (found["outer"].own, found["outer"].inclusive) == (2, 332)
    assert (found["middle"].own, found["middle"].inclusive, found["middle"].calls) == (30, 330, 1)
    assert (found["inner"].own, found["inner"].calls) == (300, 2)


def test_networks_are_those_of_their_tasks() -> None:
    for network in NETWORKS:
        assert configuration_of(network).layer_sizes == network.layer_sizes
    with pytest.raises(ConfigurationError, match="4-64-2"):
        find_network("4-9-2")


@pytest.mark.slow
def test_the_command_prints_one_object_a_line() -> None:
    require_board("riscv32_virt")
    pytest.importorskip("unicorn", reason="unicorn is not installed: pip install unicorn")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.counts", "--core", "rv32", "--network", "4-8-2", "--json", "--functions"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["unit"] == "instructions" and result["step"]["median"] > 0
    assert result["functions"]["step"][0]["own"] > 0
    wrong = subprocess.run(
        [sys.executable, "-m", "benchmarks.counts", "--core", "z80"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2 and "there is no core 'z80'" in wrong.stderr


@pytest.mark.parametrize("kind", NAIVE_KINDS)
def test_the_naive_versions_learn(kind: NaiveKind) -> None:
    """They are compared with, so they have to do what they are there for: +1 asks for action 0, -1 for action 1."""
    sources = naive_sources(find_network("4-8-2"), kind)
    del sources["naive_subject.c"]
    one = "1.0f" if kind == "naive-float32" else "1024"
    reward = "(action == wanted ? 1.0f : 0.0f)" if kind == "naive-float32" else "(action == wanted ? 256 : 0)"
    sources["main.c"] = f"""
        #include <stdio.h>
        #include "naive.h"
        int main(void)
        {{
            int score = 0;
            naive_prepare();
            for (int trial = 0; trial < 6000; ++trial) {{
                const int wanted = trial & 1;
                const naive_t observation[4] = {{wanted ? -{one} : {one}, 0, 0, 0}};
                const int action = naive_step(observation, 0, 0);
                naive_step(observation, {reward}, 1);
                score += trial >= 5800 && action == wanted;
            }}
            printf("%d\\n", score);
            return 0;
        }}
    """
    program = build_cached(sources, f"learns-{kind}")
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    # Half of 200 is chance, with a deviation of 7.
    assert int(done.stdout) > 150


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_most_updates_of_a_stream_change_weights(network: Network) -> None:
    configuration, stream = configuration_of(network), record_stream(network)
    agent = reference_of(configuration)
    crcs = [agent.weights_crc32()]
    for observation, reward, flag in zip(stream.observations, stream.rewards, stream.flags, strict=True):
        agent.step(observation, int(reward), bool(flag & TERMINATED), bool(flag & TRUNCATED))
        if flag:
            crcs.append(agent.weights_crc32())
    changed = sum(before != after for before, after in pairwise(crcs))
    assert changed > stream.ends.sum() / 2, "the median of its updates would be one that changes nothing"
