"""The `nrl-edge` command: one thin module a verb, each a skin over a public function.

Exit codes: 0 fine, 1 the run or check failed, 2 wrong usage or configuration, 3 device or link, 4 a tool is missing.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import Any

import typer

from nrl_edge import __version__
from nrl_edge.errors import NrlError
from nrl_host.cli import (
    boards,
    budget,
    build,
    demo,
    doctor,
    export,
    flash,
    generate,
    hil,
    key,
    monitor,
    new,
    noise,
    ports,
    profile,
    replay,
    report,
    sim,
    snapshot,
    study,
    sweep,
    train,
    validate,
)

app = typer.Typer(
    name="nrl-edge",
    help="Agents that keep learning on microcontrollers: train, generate firmware, run it, and prove what it computed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"nrl-edge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version.", callback=_show_version, is_eager=True),
) -> None:
    pass


for _verb in (
    *(
        new,
        train,
        generate,
        export,
        key,
        budget,
        build,
        flash,
        sim,
        hil,
        replay,
        snapshot,
        report,
        sweep,
        study,
        validate,
        noise,
        profile,
        boards,
        ports,
        doctor,
        monitor,
        demo,
    ),
):
    _verb.register(app)


# Typer brings its own copy of click or uses the installed one; wrong usage derives from this class either way.
_UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_TYPER_INTERRUPTED = 130
_INTERRUPTED = "interrupted"


def main() -> None:
    """Entry point of the command: shows a user's or a device's error as one message and ends with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a pipe that knows ASCII only still gets everything else.
            stream.reconfigure(errors="replace")
    code = 1
    try:
        code, message = _run()
        if message and "--json" in sys.argv:
            print(json.dumps({"error": message, "exit_code": code}))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (for example `| head`): nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> tuple[int, str]:
    """Run the command and show its error, if there is one; returns exit code and error."""
    try:
        code = app(standalone_mode=False) or 0
    except NrlError as error:
        code, message = error.exit_code, str(error)
    except _UsageError as error:
        error.show()
        return error.exit_code, error.format_message()
    except (KeyboardInterrupt, typer.Abort):
        code, message = 1, _INTERRUPTED
    else:
        if code != _TYPER_INTERRUPTED:
            return code, ""
        code, message = 1, _INTERRUPTED
    if message == _INTERRUPTED:
        # Pressed again and again, Ctrl-C must not interrupt the last words.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f"nrl-edge: {message}", file=sys.stderr)
    return code, message
