"""nrl-edge key: make a key for the link of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.codegen.options import write_link_key
from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Make a key that lets only its holders change an agent.", epilog="Example: nrl-edge key board.key"
    )(key)


def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the new key goes.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key: a device that has it takes what changes its agent only from a host that has it, too."""
    write_link_key(file)
    Output(as_json, quiet).result(
        {"file": str(file)},
        f"{file}: a new key, for you alone to read. Name it in an experiment, as key_file under [link]. "
        "Keep it and the generated firmware out of public places",
    )
