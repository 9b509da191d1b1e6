"""Hardware in the loop: an experiment's task on this computer, in lock step with an agent behind a link."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Unpack

from nrl_edge.codegen.options import firmware_options
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, entropy_settings, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import RunOptions, RunSummary, open_run, run_agent, split_options
from nrl_host.device import noise_health_text
from nrl_host.link import DEFAULT_BAUD, Link, SessionLostError
from nrl_host.link.faults import SCHEME, LineFaults, faulty_url, split_faulty_url
from nrl_host.link.ports import usb_locator
from nrl_host.on_chip import listen_on_chip
from nrl_host.recovery import MAX_RESTARTS, RecoveringAgent
from nrl_host.targets import Target, make_target
from nrl_host.targets.desktop import DesktopTarget, Transport

RECONNECT_SECONDS = 10.0
"""How long a port that vanished is waited for."""


def run_hil(
    experiment: Experiment,
    port: str,
    *,
    configuration: AgentConfiguration | None = None,
    baud: int = DEFAULT_BAUD,
    reset_on_open: bool = True,
    on_warning: Callable[[str], None] = lambda sentence: None,
    line_faults: LineFaults | None = None,
    locate: Callable[[], str] | None = None,
    reconnect_seconds: float = RECONNECT_SECONDS,
    **options: Unpack[RunOptions],
) -> RunSummary:
    """Run an experiment with the device at `port`, anything that pyserial opens; see `run_agent` for the run itself.

    `options` are RunOptions.

    The device draws fresh weights, or takes back those of the checkpoint that a resumed run goes on from. Raises
    DeviceError where no device answers, or one with another agent does. `on_warning` is called with a sentence
    where the device's noise fails (it goes on acting and has stopped learning), is lost to the record, or where a save
    fails. `line_faults` make the line worse than it is, which changes nothing that is learned.

    Where the task is on the chip (`on_chip` under [task]) the device begins anew and is then only listened to.

    A device that restarts in the middle, and a port that vanishes for a while, do not change what is learned either:
    seeded calls since the last snapshot are done over, a run on raw noise goes back to its last checkpoint and says so.
    A port that vanished is waited for for `reconnect_seconds`, at the url that `locate` gives; without that an adapter
    is found by its USB serial number.
    """
    configuration = configuration or resolve_agent(experiment)
    if port.startswith(SCHEME):
        if line_faults is not None:
            raise ConfigurationError(f"{port} names faults of the line, and so does --line-faults: name them once")
        line_faults, port = split_faulty_url(port)
    where = locate or usb_locator(port) or (lambda: port)

    def url(behind: str) -> str:
        return behind if line_faults is None else faulty_url(behind, line_faults)

    if experiment.task.on_chip:
        with Link(
            url(port),
            baud=baud,
            reset_on_open=reset_on_open,
            key=firmware_options(experiment).link_key,
        ) as link:
            return listen_on_chip(
                experiment,
                link,
                configuration,
                begin=True,
                on_warning=on_warning,
                **options,
            )
    with Link(
        url(port),
        baud=baud,
        reset_on_open=reset_on_open,
        reconnect_timeout=reconnect_seconds,
        locate=lambda: url(where()),
        key=firmware_options(experiment).link_key,
    ) as link:
        agent = RecoveringAgent(link, configuration, entropy_settings(experiment), begin=False)
        agent.on_warning = on_warning
        for went_back in count():
            try:
                return _run_once(agent, experiment, port, went_back, options)
            except SessionLostError:
                # Raw noise does not come again: what was learned since the last checkpoint is learned anew.
                run = options.get("run")
                if run is None or went_back == MAX_RESTARTS:
                    raise
                options["resume"] = True
                link.greet()
                episode = RunFolder.open(run).resume_from().episode
                on_warning(
                    f"{link.url}: the device restarted. Its noise does not come again, so the run goes back to its "
                    f"last checkpoint, after {episode} episodes, and is recorded from there"
                )
    raise AssertionError("counting does not end")


def _run_once(
    agent: RecoveringAgent, experiment: Experiment, port: str, went_back: int, options: RunOptions
) -> RunSummary:
    """The run, from its beginning or its last checkpoint to its end, or to a restart that cannot be made undone."""
    link, configuration = agent.link, agent.configuration
    run, resume, episode_options = split_options(options)
    hello = link.hello
    extra = {"port": port, "board": hello.board, "build_id": bytes(hello.build_id).hex(), "session": link.session}
    with open_run(run, experiment, hello.board, configuration, resume=resume, extra=extra) as (folder, checkpoint):
        # Only now: a folder that is refused must not cost what the device has learned.
        agent.begin()
        if folder is not None:
            if resume:
                folder.update_extra(**extra)
            writer, told = folder, checkpoint.episode

            def keep(telemetry: Any) -> None:
                nonlocal told
                # A device that restarted tells again of the episodes that it does over.
                if telemetry.episode > told:
                    told = telemetry.episode
                    writer.log_telemetry(told, _telemetry_row(telemetry, configuration))

            agent.on_telemetry(keep)

        def faults() -> dict[str, int] | None:
            return None if link.faulty_line is None else dict(link.faulty_line.counts)

        def counters() -> dict[str, dict[str, int]]:
            link.poll()
            return agent.link_counters()

        try:
            return run_agent(
                agent,
                experiment,
                hello.board,
                folder=folder,
                checkpoint=checkpoint,
                link_counters=counters,
                line_faults=faults,
                restarts=lambda: agent.restarts + went_back,
                noise_report=agent.noise_report if experiment.entropy.mode != "seeded" else None,
                **episode_options,
            )
        finally:
            # What comes late has no folder any more: the next one is another's, or none is open.
            agent.on_telemetry(None)


def simulate_firmware(
    experiment: Experiment,
    *,
    board: str = "desktop",
    transport: Transport = "tcp",
    program: Path | None = None,
    on_warning: Callable[[str], None] = lambda sentence: None,
    line_faults: LineFaults | None = None,
    generator: str = "healthy",
    **options: Unpack[RunOptions],
) -> RunSummary:
    """Generate, build and run the experiment's firmware on this computer, and run the experiment with it.

    `options` are RunOptions.

    `board` is the id of the board whose firmware it is: it runs in the board's emulator, that of "desktop" as a process
    behind `transport`. `program` is firmware that was built already; `generator` is as for `make_target`. Raises
    MissingToolError where the compiler or the emulator is not installed, ConfigurationError for a board without an
    emulator.
    """
    configuration = resolve_agent(experiment)
    seed, mode, carried = experiment.entropy.seed, experiment.entropy.mode, firmware_options(experiment)
    place: Target
    if board == "desktop" and generator == "healthy":
        place = DesktopTarget(configuration, mode, seed=seed, transport=transport, program=program, options=carried)
    else:
        place = make_target(
            board, configuration, mode, seed=seed, program=program, options=carried, generator=generator
        )
    with place as target:
        return run_hil(
            experiment,
            target.url,
            configuration=configuration,
            on_warning=on_warning,
            line_faults=line_faults,
            locate=lambda: target.url,
            # Nobody starts it again: a program that has ended is not waited for.
            reconnect_seconds=0.0,
            **options,
        )


def _telemetry_row(telemetry: Any, configuration: AgentConfiguration) -> dict[str, float | int | str]:
    """One line of telemetry.csv: returns in the environment's units, counters since the agent's start."""
    one = 1 << configuration.formats.reward_frac_bits
    names = ("observation", "pre_activation", "difference", "trace", "weight", "entropy")
    return {
        "return": telemetry.episode_return / one,
        "return_baseline": telemetry.return_baseline / one,
        "steps": telemetry.episode_steps,
        **{f"{name}_count": count for name, count in zip(names, telemetry.counters, strict=True)},
        "dropped": telemetry.dropped,
        "noise_health": noise_health_text(telemetry.entropy_health),
        "noise_alarms": telemetry.noise_alarms,
    }
