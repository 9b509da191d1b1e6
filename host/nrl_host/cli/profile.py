"""nrl-edge profile: what the firmware costs on the target itself, phase by phase."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from nrl_edge.codegen.options import PROFILE_PHASES
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import load_experiment
from nrl_host.cli.options import BaudOption, ExperimentArgument, JsonOption, NoResetOption, QuietOption, SeedOption
from nrl_host.cli.output import Output
from nrl_host.link import DEFAULT_BAUD
from nrl_host.profile import DEFAULT_EPISODES, Distribution, Profile, profile, profile_device


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        "profile",
        short_help="Count what the firmware costs on the target, phase by phase.",
        epilog="Example: nrl-edge profile experiment.toml --target microbit",
    )(profile_command)


def profile_command(
    experiment: ExperimentArgument,
    target: Annotated[
        str | None,
        typer.Option(metavar="BOARD", help="A board, in its emulator; else the experiment's."),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="A device instead, with firmware built with --profile: its port, as for hil."),
    ] = None,
    baud: BaudOption = DEFAULT_BAUD,
    no_reset: NoResetOption = False,
    seed: SeedOption = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes whose calls are counted.")] = DEFAULT_EPISODES,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Count what the firmware costs on the target: each phase of a step, the update, the depth of the stack.

    QEMU and the emulated RP2040 count instructions, simavr and devices clock cycles. A device begins a new agent.
    """
    output = Output(as_json, quiet)
    loaded = load_experiment(experiment).with_overrides(seed=seed)
    if port is not None and target is not None:
        raise ConfigurationError("--target and --port exclude each other: a device says itself which board it is")
    passes = 1 if port is not None else 2
    with output.progress(passes * episodes, port or target or loaded.board.id) as bar:

        def show(finished: int, stage: str) -> None:
            bar.update(finished, {"steps": "whole steps", "phases": "phases"}.get(stage, ""))

        if port is not None:
            found = profile_device(
                loaded, port, baud=baud, reset_on_open=not no_reset, episodes=episodes, on_episode=show
            )
        else:
            found = profile(loaded, target or loaded.board.id, episodes=episodes, on_episode=show)
    output.table(_table(found))
    output.result(found.as_dict() | {"experiment": loaded.name}, _summary(found))


def _table(found: Profile) -> Table:
    numbers = [Column(title, justify="right") for title in ("min", "median", "max", "of a step")]
    table = Table(Column(found.unit, no_wrap=True), *numbers, title=f"{found.target}, {found.calls:,} calls of step")
    total = found.step.median

    def add(name: str, counts: Distribution | None, share: bool = False) -> None:
        if counts is not None:
            of_step = f"{counts.median / total:.0%}" if share and total else ""
            table.add_row(name, f"{counts.min:,}", f"{counts.median:,}", f"{counts.max:,}", of_step)

    add("step", found.step)
    add("update", found.update)
    add("whole call", found.call)
    if found.phases is not None:
        table.add_section()
        for name in (*PROFILE_PHASES[1:], PROFILE_PHASES[0]):
            add(name, found.phases.get(name), share=name not in ("update", "link"))
    return table


def _summary(found: Profile) -> str:
    lines = []
    if found.worst_call.phases is not None:
        largest = sorted(found.worst_call.phases.items(), key=lambda item: -item[1])[:4]
        parts = ", ".join(f"{name} {count:,}" for name, count in largest)
        lines.append(f"longest call: number {found.worst_call.call}, {found.worst_call.count:,} {found.unit} ({parts})")
    if found.detail_calls is not None:
        lines.append(
            f"marks: {found.mark_cost} {found.unit} each, taken off; with every phase marked the median call is "
            f"{found.detail_calls.median:,}"
        )
    lines.append(f"stack: {found.stack_high_water_bytes} bytes at most")
    if found.clock_hz is not None:
        megahertz = found.clock_hz / 1e6
        longest = found.call.max / found.clock_hz * 1e6
        least = "" if found.unit == "cycles" else " at one cycle an instruction, which is the least"
        lines.append(f"at {megahertz:g} MHz the longest call takes {longest:,.0f} us{least}")
    return "\n".join(lines)
