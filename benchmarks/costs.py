"""Makes what `nrl-edge budget` estimates from: nrl_edge/codegen/costs.json.

    python -m benchmarks.costs            # cycles, from the committed table of counts (benchmarks/counts/table.toml)
    python -m benchmarks.costs --flash    # and flash: builds firmware for every board, some minutes

To be run again when that table has changed, or firmware by more than the error that the file states.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.counts.networks import Network, configuration_of
from benchmarks.counts.table import Row, read_table
from nrl_edge.boards import Board, find_board, load_boards
from nrl_edge.codegen.costs import COSTS_FILE, features
from nrl_edge.codegen.options import PLAIN, FirmwareOptions
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.build.toolchain import build_image, image_sizes

KINDS = ("int16", "tiny", "online", "online-tiny")
COSTS = {"step": "step", "longest": "step_max", "update": "update"}
"""What is estimated, and the column of the table that says it."""
PARTS_OF = {"armv6-m": "microbit", "thumb-2": "nucleo_l476rg", "rv32imc": "riscv32_virt", "avr": "mega2560"}
"""Which board's firmware says what parts of it take in each group."""
KEY = bytes(range(32))


def flash_bytes(configuration: AgentConfiguration, board: Board, options: FirmwareOptions = PLAIN) -> int:
    """Of the image."""
    sizes = image_sizes(build_image(configuration, board, seed=0, entropy_mode="seeded", options=options))
    assert sizes is not None
    return sizes.text_bytes + sizes.data_bytes


def small(kind: str = "int16", layers: int = 1) -> AgentConfiguration:
    """An agent that every board has room for."""
    hidden = (24,) if layers == 1 else (16,) * layers
    return configuration_of(Network((4, *hidden, 2), "cartpole"), kind)


def flash_parts(board: Board) -> Iterator[tuple[str, int]]:
    """What parts of the firmware take beyond an int16 agent of preset edge with one hidden layer."""
    base = flash_bytes(small(), board)
    for kind in KINDS[1:]:
        yield kind, flash_bytes(small(kind), board) - base
    for layers in (2, 3):
        yield f"layers-{layers}", flash_bytes(small(layers=layers), board) - base
    yield "immediate", flash_bytes(replace(small(), immediate_reward=True), board) - base
    has_store = board.nonvolatile is not None and board.nonvolatile.store_bytes > 0
    yield "store", flash_bytes(small(), board, FirmwareOptions(save_every=10)) - base if has_store else 0
    yield "key", flash_bytes(small(), board, FirmwareOptions(link_key=KEY)) - base


def measure_flash() -> tuple[dict[str, Any], dict[str, int]]:
    """Bytes of each board's firmware and of its parts, and of the code that runs from RAM."""
    flash: dict[str, Any] = {"boards": {}, "parts": {}}
    in_ram: dict[str, int] = {}
    for group, board_id in PARTS_OF.items():
        flash["parts"][group] = dict(flash_parts(find_board(board_id)))
        print(f"{group}: {flash['parts'][group]}", file=sys.stderr, flush=True)
    for board in load_boards():
        if board.toolchain is None or board.framework is not None:
            continue
        flash["boards"][board.id] = flash_bytes(small(), board)
        print(f"{board.id}: {flash['boards'][board.id]}", file=sys.stderr, flush=True)
        if board.port_family in ("rp2040", "rp2350"):
            image = build_image(small(), board, seed=0, entropy_mode="seeded", options=FirmwareOptions(save_every=10))
            sizes = image_sizes(image)
            assert sizes is not None
            in_ram[board.id] = sizes.data_bytes
    return flash, in_ram


def row_features(row: Row) -> tuple[float, ...]:
    """Of the agent that a row of the table counts."""
    sizes = tuple(int(part) for part in row.network.split("-"))
    task = {4: "cartpole", 6: "acrobot"}.get(sizes[0], "reaching")
    return features(configuration_of(Network(sizes, task), row.kind))


def fit_cycles(rows: list[Row]) -> tuple[dict[str, Any], dict[str, float]]:
    """Coefficients of `features` for each core, kind and cost, and the largest error of each cost: a share.

    For int16, least squares of relative errors. The other kinds, of which fewer networks are counted, in proportion.
    """
    cycles: dict[str, Any] = {}
    errors = dict.fromkeys(COSTS, 0.0)
    for core in dict.fromkeys(row.core for row in rows):
        cycles[core] = {}
        for kind in KINDS:
            counted = [row for row in rows if (row.core, row.kind) == (core, kind)]
            if not counted:
                continue
            found: dict[str, list[float]] = {}
            for name, column in COSTS.items():
                costs = np.array([getattr(row, column) for row in counted], np.float64)
                matrix = np.array([row_features(row)[:4] for row in counted])
                if kind == "int16":
                    solved, *_ = np.linalg.lstsq(matrix / costs[:, None], np.ones(len(costs)), rcond=None)
                else:
                    base = np.array(cycles[core]["int16"][name][:4])
                    solved = base * float(np.median(costs / (matrix @ base)))
                errors[name] = max(errors[name], float(np.abs(matrix @ solved / costs - 1.0).max()))
                found[name] = [*(round(float(each), 3) for each in solved), 0.0]
            cycles[core][kind] = found
    return cycles, errors


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flash", action="store_true", help="build, and measure flash as well")
    options = parser.parse_args()
    costs = json.loads(COSTS_FILE.read_text(encoding="utf-8"))
    if options.flash:
        costs["flash"], costs["code_in_ram"] = measure_flash()
    costs["cycles"], errors = fit_cycles([row for row in read_table().rows if row.kind in KINDS])
    costs["error"] = round(errors["step"] + 0.005, 2)
    costs["update_error"] = round(max(errors["update"], errors["longest"]) + 0.005, 2)
    COSTS_FILE.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"error": costs["error"], "update_error": costs["update_error"]}))


if __name__ == "__main__":
    main()
