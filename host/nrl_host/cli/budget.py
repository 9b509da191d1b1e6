"""nrl-edge budget: what an agent takes of a board, or of every board, before anything is built."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.budget import Budget, budget, catalogue_budget
from nrl_edge.codegen.options import firmware_options
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_host.build.board_build import build_for_board
from nrl_host.cli.options import ExperimentArgument, JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        "budget",
        short_help="Say what an agent takes of a board: memory, time, noise, link.",
        epilog="Example: nrl-edge budget experiment.toml --board uno, or without --board for all",
    )(budget_command)


def budget_command(
    experiment: ExperimentArgument,
    board: Annotated[str | None, typer.Option(help="One board; else all of them, as a table.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what an agent takes of a board: RAM to the byte, flash, cycles, control rate, noise, bytes on the link.

    Exit code 1 where it does not fit the --board, with the largest of its kind that does.
    """
    output = Output(as_json, quiet)
    loaded = load_experiment(experiment)
    if board is None:
        _show_catalogue(output, loaded)
        return
    found = find_board(board)
    budgeted = budget(loaded, found)
    output.table(_details(found, budgeted))
    record = budgeted.as_dict() | {"experiment": loaded.name}
    if budgeted.fits:
        output.result(record, f"{resolve_agent(loaded).description} fits {found.name}")
        return
    output.line(record)
    # Raises DoesNotFitError, which names what does; where the image fits after all, the estimate of flash was too high.
    built = build_for_board(
        resolve_agent(loaded),
        found,
        seed=loaded.entropy.seed,
        entropy_mode=loaded.entropy.mode,
        options=firmware_options(loaded),
    )
    output.result(
        record | {"fits": True, "flash_bytes": built.flash_bytes},
        f"the image was built, and fits {found.name} with {built.flash_bytes:,} bytes of flash",
    )


def _show_catalogue(output: Output, experiment: Experiment) -> None:
    description = resolve_agent(experiment).description  # an experiment that is wrong is no budget of any board
    names = Column("board", no_wrap=True)
    heads = ("fits", "RAM", "flash", "cycles", "core", "raw noise", "link")
    table = Table(names, *(Column(head, justify="right", no_wrap=True) for head in heads))
    records: list[dict[str, Any]] = []
    reasons = []
    for board, found in catalogue_budget(experiment):
        if isinstance(found, str):
            records.append({"board": board.id, "fits": None, "reason": found})
            reasons.append(board.id)
        else:
            records.append(found.as_dict())
            table.add_row(board.id, *_cells(found))
        output.line(records[-1])
    output.table(table)
    fitting = sum(record["fits"] is True for record in records)
    lines = [
        f"{description}: fits {fitting} of {len(records)} boards",
        "RAM: variables, to the byte, without the stack. cycles: of the longest call within an episode (~: of",
        "instructions, each about one). The last columns are steps/s: of the core, of noise in mode raw, of the line.",
    ]
    if reasons:
        lines.append(f"no budget, as a framework or its entropy is against it: {', '.join(reasons)}")
    output.result(
        {"experiment": experiment.name, "fits": fitting, "boards": len(records), "budgets": records}, "\n".join(lines)
    )


def _number(value: float | None, unit: str = "") -> str:
    """With three digits at most, and a letter for thousands and millions."""
    if value is None:
        return "–"
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * limit:
            return f"{value / limit:,.0f} {letter}{unit}"
    return f"{value:,.0f}{unit}"


def _cells(found: Budget) -> tuple[str, ...]:
    about = "~" if found.cycles_are == "instructions" else ""
    return (
        "yes" if found.fits else "no",
        f"{found.ram_bytes:,}",
        "–" if found.flash_bytes is None else f"{found.flash_bytes:,}",
        "–" if found.longest_call_cycles is None else f"{about}{found.longest_call_cycles:,}",
        _number(found.max_control_rate_hz),
        _number(found.raw_noise_rate_hz),
        _number(found.link_rate_hz),
    )


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} bytes ({part / whole:.0%})"


def _details(board: Board, found: Budget) -> Table:
    table = Table("what", "needs", title=f"{board.name} ({board.core})")
    about = "about " if found.cycles_are == "instructions" else ""
    table.add_row("RAM", f"{_share(found.ram_bytes, found.ram_limit_bytes)}, exact")
    table.add_row("  of it the agent", f"{found.agent_bytes:,} bytes")
    table.add_row("  besides, the stack", f"{found.stack_reserve_bytes:,} bytes")
    flash = "not known before a build"
    if found.flash_bytes is not None:
        flash = f"about {_share(found.flash_bytes, found.flash_limit_bytes)}"
    table.add_row("flash", flash)
    has_update = (found.longest_call_cycles or 0) > 1.2 * (found.step_cycles or 0)
    for name, cycles, error in (
        ("a step", found.step_cycles, found.error),
        ("an update", found.update_cycles, found.update_error),
        ("the longest call", found.longest_call_cycles, found.update_error if has_update else found.error),
    ):
        table.add_row(name, "not known" if cycles is None else f"{about}{cycles:,} cycles, within {error:.0%}")
    if found.max_control_rate_hz is not None and found.clock_hz is not None:
        rate = f"{found.max_control_rate_hz:,.0f} calls/s at {found.clock_hz / 1e6:g} MHz"
        table.add_row("control rate", f"{rate}, each as long as the longest")
    table.add_row("random bits a step", f"{found.entropy_bits_per_step:,.0f}")
    if found.raw_noise_rate_hz is not None:
        table.add_row("raw noise", f"enough for {found.raw_noise_rate_hz:,.0f} steps/s")
    table.add_row("link", f"{found.link_bytes_per_step} bytes a step, there and back")
    if found.link_rate_hz is not None and board.uart is not None:
        table.add_row("  at its rate", f"{found.link_rate_hz:,.0f} steps/s at {board.uart.baud:,} baud")
    return table
