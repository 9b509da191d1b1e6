"""`python -m benchmarks.counts`: see docs/performance.md."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.counts.cores import CORES, Core, find_core
from benchmarks.counts.measure import Count, count_agent
from benchmarks.counts.networks import KINDS, NETWORKS, Network, configuration_of, find_network
from benchmarks.counts.page import write_page
from benchmarks.counts.sizes import core_sizes
from benchmarks.counts.table import (
    GROWTH,
    TABLE,
    Row,
    count_firmware,
    count_rows,
    gains,
    growth,
    is_comparable,
    read_table,
    renewed,
    write_table,
)
from nrl_edge.errors import NrlError

DESCRIPTION = "Instructions and cycles of one learning step and one update of the generated core, counted exactly."
EXAMPLE = "example: python -m benchmarks.counts --core m0plus --network 4-64-2 --functions"
LEAST_SHARE = 0.001
"""Functions that take less of the cost than this are not shown."""


def result_of(core: Core, network: Network, kind: str, functions: bool) -> dict[str, Any]:
    """One agent on one core, for JSON and for the table."""
    count = count_agent(core, network, kind)
    agent_bytes = count.image.variables["counted_agent"].bytes
    result: dict[str, Any] = {
        "core": core.id,
        "network": network.name,
        "kind": kind,
        "unit": core.unit,
        "step": count.step.as_dict(),
        "update": count.update.as_dict(),
        "step_instructions": None if count.step_instructions is None else count.step_instructions.as_dict(),
        "sizes": core_sizes(core, configuration_of(network, kind), agent_bytes).as_dict(),
        "compiler": core.compiler,
        "flags": list(core.flags),
    }
    if functions:
        result["functions"] = {
            "step": function_table(count, update=False),
            "update": function_table(count, update=True),
        }
    return result


def function_table(count: Count, update: bool) -> list[dict[str, Any]]:
    """Where a step's or an update's cost is, function by function: means over the calls."""
    runs = count.updates if update else count.steps
    total = sum(run.cost for run in runs) / len(runs)
    return [
        {
            "function": each.name,
            "own": round(each.own, 1),
            "share": round(each.own / total, 4),
            "inclusive": round(each.inclusive, 1),
            "calls": round(each.calls, 2),
        }
        for each in count.functions(runs)
        if each.own >= LEAST_SHARE * total
    ]


def print_text(result: dict[str, Any]) -> None:
    """One result for people."""
    step, update, sizes = result["step"], result["update"], result["sizes"]
    instructions = result["step_instructions"]
    also = f" ({instructions['median']:,} instructions)" if instructions and result["unit"] == "cycles" else ""
    print(
        f"{find_core(result['core']).name:<11} {result['network']:<10} {result['kind']:<7} "
        f"step {step['median']:>9,} {result['unit']}{also}, {step['min']:,} to {step['max']:,}; "
        f"update {update['median']:,}, {update['min']:,} to {update['max']:,}\n"
        f"            text {sizes['learning_text_bytes']:,} bytes to learn, {sizes['text_bytes']:,} in all; "
        f"agent {sizes['agent_bytes']:,} bytes, of which {sizes['parameter_bytes']:,} are weights and traces"
    )
    for part, table in result.get("functions", {}).items():
        print(f"            {part}:")
        for each in table:
            print(
                f"            {each['own']:>12,.1f} {100 * each['share']:>5.1f} %"
                f" {each['inclusive']:>12,.1f} with callees {each['calls']:>8.1f} calls  {each['function']}"
            )


def show(row: Row) -> None:
    """Progress."""
    if sys.stderr.isatty():
        print(f"{row.name}: {row.step:,} {row.unit}", file=sys.stderr, flush=True)


def check(cores: Sequence[Core]) -> int:
    """Count again what the table has, but the naive versions, and say what grew. Returns the exit code."""
    table = read_table()
    comparable = [core for core in cores if is_comparable(table, core.id)]
    for core in cores:
        if core not in comparable:
            print(f"{core.name}: not compared, the table's compiler is another: {table.compilers.get(core.id)}")
    rows = list(count_rows(comparable, on_row=show))
    grown = growth(table, rows, count_firmware())
    for line in grown:
        print(f"grew: {line}")
    for line in gains(table, rows):
        print(f"cheaper: {line}")
    print(f"{len(rows)} agents counted, {len(grown)} figures grew by more than {round(100 * (GROWTH - 1))} %")
    if grown:
        print('if that is what the change is worth: python -m benchmarks.counts --update --why "REASON"')
    return 1 if grown else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=DESCRIPTION, epilog=EXAMPLE)
    parser.add_argument("--core", action="append", help=f"one of {', '.join(core.id for core in CORES)}; default all")
    parser.add_argument(
        "--network", action="append", help=f"one of {', '.join(each.name for each in NETWORKS)}; default the first"
    )
    parser.add_argument("--kind", choices=KINDS, default="int16", help="formats and preset; default int16, preset edge")
    parser.add_argument("--functions", action="store_true", help="where the cost is, function by function")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed table; exit code 1: something grew"
    )
    parser.add_argument("--update", action="store_true", help="count everything anew and write the table and the page")
    parser.add_argument("--why", default="", help="with --update: the reason that the table keeps")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md from the table")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    try:
        cores = [find_core(name) for name in arguments.core] if arguments.core else list(CORES)
        if arguments.check:
            return check(cores)
        if arguments.update:
            old = read_table() if TABLE.exists() else None
            write_table(renewed(old, arguments.why, show))
        if arguments.write or arguments.update:
            write_page(read_table())
            return 0
        networks = [find_network(name) for name in arguments.network] if arguments.network else [NETWORKS[0]]
        for network in networks:
            for core in cores:
                result = result_of(core, network, arguments.kind, arguments.functions)
                if arguments.json:
                    print(json.dumps(result), flush=True)
                else:
                    print_text(result)
    except NrlError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
