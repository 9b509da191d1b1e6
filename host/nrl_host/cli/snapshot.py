"""nrl-edge snapshot: what an agent has learned, as a file: off a device, onto one, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_edge.codegen.options import read_link_key
from nrl_edge.experiment import load_experiment, resolve_agent
from nrl_edge.runs.difference import compare_snapshots
from nrl_host.cli.options import BaudOption, JsonOption, KeyFileOption, NoResetOption, PortOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.link import DEFAULT_BAUD
from nrl_host.snapshots import (
    clear_store,
    restore_snapshot,
    save_snapshot,
    snapshot_of,
    store_report,
    store_status,
)

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
SnapshotArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A snapshot (.nrls).")]
StoreOption = Annotated[bool, typer.Option("--store", help="Also in the device's weight store.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.add_typer(group, name="snapshot", help="What an agent has learned: off a device, onto one, and compared.")


@group.callback()
def snapshot() -> None:
    """What an agent has learned: off a device, onto one, and compared."""


def _key(file: Path | None) -> bytes | None:
    return None if file is None else read_link_key(file)


@group.command(epilog="Example: nrl-edge snapshot save agent.nrls --port /dev/ttyACM0")
def save(
    file: SnapshotArgument,
    port: PortOption,
    baud: BaudOption = DEFAULT_BAUD,
    no_reset: NoResetOption = False,
    store: StoreOption = False,
    key_file: KeyFileOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read what the agent of a device has learned, between its episodes, into a file."""
    output = Output(as_json, quiet)
    info = save_snapshot(
        port, file, baud=baud, reset_on_open=not no_reset, store=store, force=force, key=_key(key_file)
    )
    output.result(
        {
            "file": str(file),
            "episodes": info.episodes,
            "steps": info.steps,
            "weights_crc32": f"{info.weights_crc32:08x}",
        },
        f"{file}: an agent of {info.episodes:,} episodes and {info.steps:,} steps, weights CRC-32 "
        f"{info.weights_crc32:08x}",
    )


@group.command(epilog="Example: nrl-edge snapshot restore agent.nrls --port /dev/ttyACM0 --store")
def restore(
    file: SnapshotArgument,
    port: PortOption,
    baud: BaudOption = DEFAULT_BAUD,
    no_reset: NoResetOption = False,
    store: StoreOption = False,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Give a device what is in a file; what its agent had learned is lost. FILE may also be the folder of a run."""
    output = Output(as_json, quiet)
    info = restore_snapshot(
        *(port, snapshot_of(file), str(file)),
        baud=baud,
        reset_on_open=not no_reset,
        store=store,
        key=_key(key_file),
    )
    output.result(
        {
            "file": str(file),
            "episodes": info.episodes,
            "steps": info.steps,
            "weights_crc32": f"{info.weights_crc32:08x}",
        },
        f"the device has the agent of {file}: {info.episodes:,} episodes, weights CRC-32 {info.weights_crc32:08x}",
    )


@group.command(epilog="Example: nrl-edge snapshot diff runs/first runs/second")
def diff(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="A snapshot (.nrls), or the folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another one.")],
    experiment: Annotated[
        Path | None, typer.Option(help="Its experiment file: differences are then told weight by weight, in layers.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two snapshots: weights, baseline, counters, state of the generator. Exit code 1 where they differ."""
    output = Output(as_json, quiet)
    configuration = None if experiment is None else resolve_agent(load_experiment(experiment))
    difference = compare_snapshots(snapshot_of(first), snapshot_of(second), configuration, (str(first), str(second)))
    output.result(difference.as_dict(), difference.describe())
    if not difference.equal:
        raise typer.Exit(1)


@group.command(epilog="Example: nrl-edge snapshot status --port /dev/ttyACM0")
def status(
    port: PortOption,
    baud: BaudOption = DEFAULT_BAUD,
    no_reset: NoResetOption = False,
    clear: Annotated[bool, typer.Option("--clear", help="Forget what the store holds.")] = False,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What the weight store of a device holds: saves, failures, the longest pause."""
    output = Output(as_json, quiet)
    ask = clear_store if clear else store_status
    reply = ask(port, baud=baud, reset_on_open=not no_reset, key=_key(key_file))
    output.result(
        reply,
        f"{'holds' if reply['holds_image'] else 'holds no'} image"
        + (f" {reply['sequence']} of {reply['episodes']:,} episodes" if reply["holds_image"] else "")
        + f"; {reply['saves']} saves, {reply['failures']} failures, {reply['damaged']} damaged records, longest pause "
        f"{reply['longest_pause_ms']} ms, since the device started",
    )


@group.command(epilog="Example: nrl-edge snapshot wear experiment.toml --board microbit")
def wear(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment file (TOML).")],
    board: Annotated[str | None, typer.Option(help="Id of the board, instead of the file's.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Episodes between two saves, instead of the file's.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """How many saves and episodes the board's memory endures, and how long a save stops the agent."""
    output = Output(as_json, quiet)
    report = store_report(load_experiment(experiment), board, save_every)
    output.result(report.as_dict(), report.describe())
