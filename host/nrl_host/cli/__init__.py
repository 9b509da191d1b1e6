"""The `nrl-edge` command: one thin module a verb, each a skin over a public function.

Exit codes: 0 fine, 1 the run or check failed, 2 wrong usage or configuration, 3 device or link, 4 a tool is missing.
"""

from __future__ import annotations

import json
import sys

import typer

from nrl_edge import __version__
from nrl_edge.errors import NrlError
from nrl_host.cli import boards, build, demo, generate, hil, new, ports, replay, report, sim, sweep, train

app = typer.Typer(
    name="nrl-edge",
    help="Agents that keep learning on microcontrollers: train, generate firmware, run it, and prove what it computed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
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


for _verb in (new, train, generate, build, sim, hil, replay, report, sweep, boards, ports, demo):
    _verb.register(app)


def main() -> None:
    """Entry point of the command: shows a user's or a device's error as one message and ends with its exit code."""
    try:
        app()
    except NrlError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}), flush=True)
        print(f"nrl-edge: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("nrl-edge: interrupted", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output went away (for example `| head`): nothing is left to say.
        sys.stderr.close()
        sys.exit(0)
