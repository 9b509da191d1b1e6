"""nrl-edge doctor: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

from typing import Annotated

import typer

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.doctor import Check, Machine, Status, diagnose

_SHOWN_BOARDS = 4
_INDENT = 19
"""Columns of the state, so that what is found stands below itself."""
_MARKS: dict[Status, str] = {"ok": "ok", "missing": "missing", "problem": "problem", "unknown": "unknown"}


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Look at what is installed and plugged in; name what mends it.",
        epilog="Example: nrl-edge doctor, or nrl-edge doctor --board uno --json",
    )(doctor)


def doctor(
    board: Annotated[
        str | None,
        typer.Option(metavar="BOARD", help="All that building, emulating and flashing for this board takes is needed."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at what is installed and plugged in, and name the command that mends each lack.

    Exit code 1 where something needed is missing: Python's packages, a C compiler, the right to open a board that is
    plugged in, and with --board that board's compiler, emulator and programs to flash it.
    """
    output = Output(as_json, quiet)
    checks = []
    for check in diagnose(board, Machine()):
        output.line(check.as_dict())
        output.say(_line(check, board))
        if check.remedy:
            output.say(f"{'':{_INDENT}}mend it with: {check.remedy}")
        checks.append(check)
    ailing = [check.name for check in checks if check.ails]
    others = [check.name for check in checks if check.status in ("missing", "problem") and not check.ails]
    text = f"needed and not in order: {', '.join(ailing)}" if ailing else "all that is needed is there"
    if others and not ailing:
        text += f"; what only some boards or uses need is not: {', '.join(others)}"
    output.result({"healthy": not ailing, "ailing": ailing, "not_needed_here": others}, text)
    if ailing:
        raise typer.Exit(1)


def _line(check: Check, board: str | None) -> str:
    # Who asks about one board wants to know of that one.
    names = [board] if board is not None and board in check.boards else check.boards
    shown = ", ".join(names[:_SHOWN_BOARDS])
    more = len(names) - _SHOWN_BOARDS
    boards = f" (for {shown}{f' and {more} more' if more > 0 else ''})" if shown else ""
    mark = _MARKS[check.status]
    if check.status in ("missing", "problem"):
        mark += ", needed" if check.ails else ", optional"
    return f"{mark:<{_INDENT}}{check.name}: {check.detail}{boards}"
