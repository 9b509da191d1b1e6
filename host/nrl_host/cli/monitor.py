"""nrl-edge monitor: watch a run or a device while it learns, in the terminal or in a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from nrl_edge.errors import ConfigurationError
from nrl_host.cli.options import BaudOption, JsonOption, QuietOption
from nrl_host.cli.output import Output
from nrl_host.interrupt import GracefulStop
from nrl_host.link import DEFAULT_BAUD
from nrl_host.monitor import ENDED, LinkSource, MonitorServer, MonitorState, RunSource, Source
from nrl_host.monitor.terminal import one_line, render

_LOOK_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command(
        short_help="Watch a run or a device while it learns.",
        epilog="Example: nrl-edge monitor runs/first, or nrl-edge monitor runs/first --web",
    )(monitor)


def monitor(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="The folder of a run, going on or not.")] = None,
    port: Annotated[str | None, typer.Option(help="Instead of a run: a device that no run has open.")] = None,
    baud: BaudOption = DEFAULT_BAUD,
    web: Annotated[bool, typer.Option("--web", help="Serve a page to this computer's browsers.")] = False,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is now, and end.")] = False,
    snapshots: Annotated[
        Path, typer.Option(metavar="DIR", help="Where snapshots of a device go (a run's go into its folder).")
    ] = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Watch a run or a device while it learns: return, prediction error, noise, saturation, link, steps a second.

    The run is not disturbed by it, whatever becomes of the monitor. Ctrl-C ends the monitor, and not the run.
    """
    if (run is None) == (port is None):
        raise ConfigurationError("name either the folder of a run or, with --port, a device: nrl-edge monitor RUN")
    if web and once:
        raise ConfigurationError("--web serves until Ctrl-C, and --once ends at once; choose one of them")
    output = Output(as_json, quiet)
    source: Source = RunSource(run) if run is not None else LinkSource(str(port), baud=baud, snapshots=snapshots)
    try:
        state = _serve(output, source, http_port) if web else _show(output, source, once)
    finally:
        source.close()
    output.result(state.as_dict(), "" if once and not quiet else one_line(state))


def _waiting(stop: GracefulStop) -> Callable[[], bool]:
    """Waits until it is time to look again; True where the monitor is to end."""

    def wait() -> bool:
        if not stop():
            time.sleep(_LOOK_SECONDS)
        return stop()

    return wait


def _show(output: Output, source: Source, once: bool) -> MonitorState:
    """In the terminal, until the run has ended."""
    # Lines are broken here: a view is looked at, and not copied from.
    console = Console(highlight=False, markup=False, emoji=False)
    view = source.read()
    if once:
        if not output.as_json and not output.quiet:
            console.print(render(view, console))
        return view.state
    shows = console.is_terminal and not output.as_json and not output.quiet
    shown: tuple[str, int] | None = None
    with GracefulStop() as stop, Live(console=console, auto_refresh=False, transient=False) as live:
        wait = _waiting(stop)
        while True:
            now = view.state.state, view.state.episodes
            if shows:
                live.update(render(view, console), refresh=True)
            elif now != shown:
                output.line(view.state.as_dict())
                output.say(one_line(view.state))
            shown = now
            if view.state.state in ENDED or wait():
                return view.state
            view = source.read()


def _serve(output: Output, source: Source, http_port: int) -> MonitorState:
    """In the browser, until Ctrl-C."""
    newest: list[MonitorState] = [source.read().state]

    def keep(state: MonitorState) -> None:
        newest[0] = state

    with GracefulStop() as stop, MonitorServer(source, port=http_port, on_state=keep) as server:
        output.line({"url": server.url})
        output.say(f"{newest[0].title}: open {server.url}\nCtrl-C ends the monitor, and not the run")
        wait = _waiting(stop)
        while not wait():
            if server.error is not None:
                raise server.error
    return newest[0]
