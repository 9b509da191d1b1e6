"""nrl-edge boards: the board catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from nrl_edge.boards import Board, find_board, load_boards
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_host.build.sizes import TITLES, sizes_markdown, sizes_on_boards
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="List the boards, and what was really run of each.",
        epilog="Example: nrl-edge boards, or nrl-edge boards desktop",
    )(boards)


def boards(
    board: Annotated[str | None, typer.Argument(metavar="[BOARD]", help="Show all of one board.")] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(metavar="EXPERIMENT", help="Build this experiment for every board, and show what it takes."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="With --sizes: the table as Markdown.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the boards that firmware can be generated for, and what was really run of each."""
    output = Output(as_json, quiet)
    if sizes is not None:
        _show_sizes(output, sizes, board, markdown)
        return
    if board is None:
        # A name that is cut off cannot be copied into a command.
        whole = [Column(title, no_wrap=True) for title in ("board", "core", "evidence")]
        table = Table(*whole, "noise", "emulator", "name")
        for each in load_boards():
            output.line(_record(each))
            source = each.entropy_source
            noise = (source.block or source.description) if source else "none"
            emulator = each.emulator.split()[0] if each.emulator else "none"
            table.add_row(each.id, each.core, each.evidence, noise, emulator, each.name)
        output.table(table)
        return
    found = find_board(board)
    memory = found.memory
    details = _record(found) | {
        "name": found.name,
        "mcu": found.mcu,
        "port_family": found.port_family,
        "toolchain": found.toolchain,
        "flags": list(found.flags),
        "flash_bytes": memory.flash_bytes if memory else None,
        "ram_bytes": memory.ram_bytes if memory else None,
        "clock_hz": found.clock.hz if found.clock else None,
        "baud": found.uart.baud if found.uart else None,
        "uart": found.uart.description if found.uart else None,
        "usb_ids": list(found.uart.usb_ids) if found.uart else [],
        **_source_details(found),
        **_nonvolatile_details(found),
        "platformio_platform": found.platformio.platform if found.platformio else None,
        "platformio_board": found.platformio.board if found.platformio else None,
        "platformio_upload_protocol": found.platformio.upload_protocol if found.platformio else None,
        "framework": found.framework,
        "uf2_family": f"{found.uf2.family_id:#010x}" if found.uf2 else None,
    }
    output.line(details)
    table = Table("what", "value")
    for key, value in details.items():
        text = " ".join(value) if isinstance(value, list) else str(value)
        text = text if value is not None and text else "none"
        table.add_row(key.replace("_", " "), text)
    output.table(table)


def _show_sizes(output: Output, path: Path, board_id: str | None, markdown: bool) -> None:
    """One row a board: what the firmware of an experiment takes of it."""
    experiment = load_experiment(path)
    description = resolve_agent(experiment).description
    table, found = Table(*TITLES), []
    for each in sizes_on_boards(experiment, None if board_id is None else [find_board(board_id)]):
        output.line(each.as_dict())
        table.add_row(*each.row)
        found.append(each)
    if markdown:
        output.result({"agent": description}, sizes_markdown(found))
        return
    output.table(table)
    output.result({"agent": description}, f"bytes of {description}")


def _source_details(board: Board) -> dict[str, object]:
    source = board.entropy_source
    return {
        "trng_block": source.block if source else None,
        "trng_bits_per_second": source.bits_per_second if source else None,
        "trng_min_entropy": source.min_entropy if source else None,
        "trng_conditioned": source.conditioned if source else None,
        "trng_reference": source.reference if source else None,
    }


def _nonvolatile_details(board: Board) -> dict[str, object]:
    memory = board.nonvolatile
    return {
        "nonvolatile": memory.kind if memory else None,
        "nonvolatile_page_bytes": memory.page_bytes if memory else None,
        "nonvolatile_endurance_cycles": memory.endurance_cycles if memory else None,
        "nonvolatile_reference": memory.reference if memory else None,
        "store_bytes": memory.store_bytes if memory else None,
    }


def _record(board: Board) -> dict[str, object]:
    source = board.entropy_source
    return {
        "id": board.id,
        "core": board.core,
        "isa": board.isa,
        "trng": source.description if source else None,
        "evidence": board.evidence,
        "emulator": board.emulator,
    }
