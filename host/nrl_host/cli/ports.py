"""nrl-edge ports: the serial ports of this machine."""

from __future__ import annotations

import typer
from rich.table import Table

from nrl_host.cli.options import JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.ports import list_ports


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(epilog="Example: nrl-edge ports --json")(ports)


def ports(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the serial ports of this machine, USB identity included."""
    output = Output(as_json, quiet)
    table = Table("port", "description", "USB id", "serial number")
    found = list_ports()
    for port in found:
        usb_id = f"{port.usb_id[0]:04x}:{port.usb_id[1]:04x}" if port.usb_id else None
        output.line(
            {
                "port": port.device,
                "description": port.description,
                "usb_id": usb_id,
                "serial_number": port.serial_number,
            }
        )
        table.add_row(port.device, port.description, usb_id or "none", port.serial_number or "none")
    if found:
        output.table(table)
    else:
        output.say("no serial ports; is the board plugged in, with a cable that carries data?")
