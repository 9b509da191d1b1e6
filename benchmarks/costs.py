"""Measures what `nrl-edge budget` estimates from, and writes it to nrl_edge/codegen/costs.json.

    python -m benchmarks.costs            # build and count; some minutes
    python -m benchmarks.costs --check    # compare the file with other networks, write nothing

To be run again when the core, the link or a port has changed by more than the error that the file states.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.counts.cores import find_core
from benchmarks.counts.measure import count_agent
from benchmarks.counts.networks import Network, configuration_of
from nrl_edge.boards import Board, find_board, load_boards
from nrl_edge.codegen.budget import agent_budget
from nrl_edge.codegen.costs import COSTS_FILE, features, measured_costs
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.toolchain import build_image, image_sizes

BASE = Network((4, 64, 2), "cartpole")
COUNTED_CORES = ("m0plus", "m4", "rv32", "avr")
COUNTED = {
    "int16": ((4, 64, 2), (6, 128, 3), (4, 8, 2), (4, 64, 64, 2)),
    "tiny": ((4, 64, 2),),
    "online": ((4, 64, 2), (6, 64, 3)),
    "online-tiny": ((4, 64, 2),),
}
"""Networks that are counted, by kind. Kinds with fewer of them take what is missing from int16, in proportion."""
CHECKED = (((4, 32, 2), "int16"), ((6, 32, 3), "online"))
_TASKS = {4: "cartpole", 6: "acrobot", 32: "reaching"}
PARTS_OF = {"armv6-m": "microbit", "thumb-2": "nucleo_l476rg", "rv32imc": "riscv32_virt", "avr": "mega2560"}
"""Which board's firmware says what parts of it take in each group."""
KEY = bytes(range(32))
WORKERS = 4
FLASH_ERROR_CORES = ("microbit", "nucleo_l476rg", "riscv32_virt", "mega2560")

Say = Callable[[str], None]


def network(sizes: tuple[int, ...]) -> Network:
    """A network on the task that has so many inputs."""
    return Network(sizes, _TASKS[sizes[0]])


def flash_bytes(configuration: AgentConfiguration, board: Board, options: FirmwareOptions = PLAIN) -> int:
    """Of the image."""
    sizes = image_sizes(build_image(configuration, board, seed=0, entropy_mode="seeded", options=options))
    assert sizes is not None
    return sizes.text_bytes + sizes.data_bytes


def small(board: Board, kind: str = "int16", layers: int = 1) -> AgentConfiguration:
    """An agent that every board has room for."""
    hidden = (24,) if layers == 1 else (16,) * layers
    return configuration_of(network((4, *hidden, 2)), kind)


def flash_parts(board: Board) -> Iterator[tuple[str, int]]:
    """What parts of the firmware take beyond an int16 agent of preset edge with one hidden layer."""
    base = flash_bytes(small(board), board)
    for kind in ("tiny", "online", "online-tiny"):
        yield kind, flash_bytes(small(board, kind), board) - base
    for layers in (2, 3):
        yield f"layers-{layers}", flash_bytes(small(board, layers=layers), board) - base
    yield "immediate", flash_bytes(replace(small(board), immediate_reward=True), board) - base
    has_store = board.nonvolatile is not None and board.nonvolatile.store_bytes > 0
    yield "store", flash_bytes(small(board), board, FirmwareOptions(save_every=10)) - base if has_store else 0
    yield "key", flash_bytes(small(board), board, FirmwareOptions(link_key=KEY)) - base


def counts_of(core_id: str, sizes: tuple[int, ...], kind: str) -> dict[str, int]:
    """Cycles (or instructions) of one agent on one core."""
    core = find_core(core_id)
    found = count_agent(core, network(sizes), kind)
    print(f"counted {core_id} {sizes} {kind}", file=sys.stderr, flush=True)
    return {"step": found.step.median, "longest": found.step.max, "update": found.update.median}


def fit(kind: str, counted: dict[tuple[int, ...], dict[str, int]], base: dict[str, list[float]]) -> dict[str, Any]:
    """Coefficients of `features` for each cost, none of them negative but the constant."""
    found: dict[str, Any] = {}
    for name in ("step", "longest", "update"):
        rows = [np.array(features(configuration_of(network(sizes), kind))) for sizes in counted]
        costs = np.array([each[name] for each in counted.values()], np.float64)
        if kind == "int16":
            # As errors are told in shares of a cost, every network counts the same.
            matrix = np.array(rows)[:, :4] / costs[:, None]
            solved, *_ = np.linalg.lstsq(matrix, np.ones(len(costs)), rcond=None)
            found[name] = [round(float(each), 3) for each in solved] + [0.0]
            continue
        # In proportion to int16's, and the critic.
        of_base = np.array([row[:4] @ np.array(base[name][:4]) for row in rows])
        columns = [of_base, *([[row[4] for row in rows]] if len(rows) > 1 else [])]
        solved, *_ = np.linalg.lstsq(np.array(columns).T, costs, rcond=None)
        critic = float(solved[1]) if len(rows) > 1 else 0.0
        found[name] = [*(round(float(solved[0]) * each, 3) for each in base[name][:4]), round(critic, 3)]
    return found


def measure(say: Say) -> dict[str, Any]:
    """Build and count everything."""
    boards = [board for board in load_boards() if board.toolchain is not None and board.framework is None]
    flash: dict[str, Any] = {"boards": {}, "parts": {}}
    in_ram: dict[str, int] = {}
    with ProcessPoolExecutor(WORKERS) as workers:
        # Into the cache of builds, a few at a time.
        list(workers.map(flash_bytes, map(small, boards), boards))
    for group, board_id in PARTS_OF.items():
        flash["parts"][group] = dict(flash_parts(find_board(board_id)))
        say(f"{group}: {flash['parts'][group]}")
    for board in boards:
        flash["boards"][board.id] = flash_bytes(small(board), board)
        say(f"{board.id}: {flash['boards'][board.id]}")
        if board.port_family in ("rp2040", "rp2350"):
            in_ram[board.id] = _code_in_ram(board)
    cycles: dict[str, Any] = {}
    jobs = [(core, sizes, kind) for core in COUNTED_CORES for kind in COUNTED for sizes in COUNTED[kind]]
    with ProcessPoolExecutor(WORKERS) as workers:
        counts = dict(zip(jobs, workers.map(counts_of, *zip(*jobs, strict=True)), strict=True))
    for core in COUNTED_CORES:
        cycles[core] = {}
        for kind, networks in COUNTED.items():
            counted = {sizes: counts[core, sizes, kind] for sizes in networks}
            cycles[core][kind] = fit(kind, counted, cycles[core].get("int16", {}))
            say(f"{core} {kind}: {counted}")
    return {"flash": flash, "code_in_ram": in_ram, "cycles": cycles, "error": 0.0}


def _code_in_ram(board: Board) -> int:
    """What the image has in .data: the one function that runs while flash is written."""
    sizes = image_sizes(
        build_image(small(board), board, seed=0, entropy_mode="seeded", options=FirmwareOptions(save_every=10))
    )
    assert sizes is not None
    return sizes.data_bytes


def largest_error(say: Say) -> float:
    """How far the file is off for networks that it was not made from: a share of what they really take."""
    errors = []
    for board_id, core in zip(FLASH_ERROR_CORES, ("m0plus", "m4", "rv32", "avr"), strict=True):
        board = find_board(board_id)
        for sizes, kind in CHECKED:
            configuration = configuration_of(network(sizes), kind)
            found = agent_budget(configuration, board, seed=0, entropy_mode="seeded", options=PLAIN)
            counted = counts_of(core, sizes, kind)
            for name, estimated, real in (
                ("flash", found.flash_bytes, flash_bytes(configuration, board)),
                ("step", found.step_cycles, counted["step"]),
                ("longest", found.longest_call_cycles, counted["longest"]),
                ("update", found.update_cycles, counted["update"]),
            ):
                assert estimated is not None
                errors.append(abs(estimated / real - 1.0))
                say(f"{board_id} {'-'.join(map(str, sizes))} {kind} {name}: {estimated} for {real}, {errors[-1]:.1%}")
    return max(errors)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if not options.check:
        costs = measure(say)
        COSTS_FILE.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
        measured_costs.cache_clear()
    error = largest_error(say)
    if not options.check:
        costs["error"] = round(error + 0.005, 2)
        COSTS_FILE.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"error": round(error, 4)}))


if __name__ == "__main__":
    main()
