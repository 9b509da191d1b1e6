"""nrl-edge ports: the serial ports of this machine, and the boards behind them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from nrl_host.board_ports import BoardPort, find_boards, watch_boards
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.interrupt import GracefulStop

_LOOK_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="List the serial ports and the boards behind them.",
        epilog="Example: nrl-edge ports --json, or nrl-edge ports --watch",
    )(ports)


def ports(
    watch: Annotated[bool, typer.Option("--watch", help="Tell what is plugged in and out, until Ctrl-C.")] = False,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Open no port: go by USB ids alone. Opening restarts most Arduino boards.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the serial ports and the boards behind them: by USB id, confirmed by what their firmware says.

    Only ports with the USB id of a board in the catalogue are opened. Where several boards share an id and no firmware
    answers, all of them are named.
    """
    output = Output(as_json, quiet)
    if watch:
        _watch(output, not no_open)
        return
    found = find_boards(confirm=not no_open)
    for each in found:
        output.line(each.as_dict())
        output.say(_line(each))
    if not found:
        output.say(
            "no serial ports; is the board plugged in, with a cable that carries data? `nrl-edge doctor` looks further"
        )
    confirmed = {each.port.device: each.board for each in found if each.state == "confirmed"}
    output.result({"ports": len(found), "confirmed": confirmed})


def _line(found: BoardPort) -> str:
    lines = [f"{found.port}: {_which(found)}, {found.state}"]
    if found.agent is not None:
        lines.append(f"    {found.agent}, {found.episodes:,} episodes")
    if found.detail:
        lines.append(f"    {found.detail}")
    return "\n".join(lines)


def _which(found: BoardPort) -> str:
    if found.board is not None:
        return found.board if found.state == "confirmed" else f"{found.board}?"
    return " or ".join(found.candidates) or "none of the catalogue"


def _watch(output: Output, confirm: bool) -> None:
    events = 0
    with GracefulStop() as stop:

        def wait() -> bool:
            time.sleep(0 if stop() else _LOOK_SECONDS)
            return stop()

        for event in watch_boards(wait, confirm=confirm):
            events += 1
            found = event.board_port
            output.line({"event": event.event} | found.as_dict())
            output.say(f"{event.event} {_line(found)}")
    output.result({"events": events})
