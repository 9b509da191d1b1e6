"""Snapshots between files and devices, and what a device's weight store holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nrl_edge.agent import EntropySettings
from nrl_edge.boards import find_board
from nrl_edge.codegen.store import store_settings
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import Experiment, resolve_agent
from nrl_edge.runs import RunFolder, SnapshotInfo, snapshot_info
from nrl_edge.runs.files import write_atomically
from nrl_host.device import LinkAgent, configuration_of
from nrl_host.link import DEFAULT_BAUD, Link, RequestRefusedError


def snapshot_of(path: Path) -> bytes:
    """The snapshot in a file, or the last one of a run's folder. Raises ConfigurationError where there is none."""
    if path.is_dir():
        run = RunFolder.open(path)
        final = run.final_snapshot()
        if final is not None:
            return final
        checkpoints = run.checkpoints()
        if not checkpoints:
            raise ConfigurationError(f"{path} holds no snapshot yet: its run has not reached a checkpoint")
        path = checkpoints[-1][1]
    try:
        snapshot = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}; name a snapshot") from error
    snapshot_info(snapshot, str(path))
    return snapshot


def _agent(link: Link) -> LinkAgent:
    """The agent of a device as it is: which one, the device tells itself."""
    return LinkAgent(link, configuration_of(link), EntropySettings(), begin=False)


def save_snapshot(
    port: str,
    file: Path,
    *,
    baud: int = DEFAULT_BAUD,
    reset_on_open: bool = True,
    store: bool = False,
    force: bool = False,
    key: bytes | None = None,
) -> SnapshotInfo:
    """Read the snapshot of the device at `port` into a file, with `store` also into the device's weight store.

    That takes the device's `key`, where it has one. Raises DeviceError where no device answers, RunError while an
    episode is open, ConfigurationError where the file exists (without `force`) or cannot be written.
    """
    if file.exists() and not force:
        raise ConfigurationError(f"{file} exists already and stays as it is; name another file, or add --force")
    with Link(port, baud=baud, reset_on_open=reset_on_open, key=key) as link:
        agent = _agent(link)
        snapshot = agent.snapshot()
        if store:
            _save(agent)
    try:
        write_atomically(file, snapshot)
    except (OSError, RunError) as error:
        raise ConfigurationError(f"{file} cannot be written: {error}") from error
    return snapshot_info(snapshot, str(file))


def restore_snapshot(
    port: str,
    snapshot: bytes,
    name: str = "the snapshot",
    *,
    baud: int = DEFAULT_BAUD,
    reset_on_open: bool = True,
    store: bool = False,
    key: bytes | None = None,
) -> SnapshotInfo:
    """Give the device at `port` a snapshot, with `store` also to its weight store; `name` is what errors call it.

    `key` is the device's, where it has one. Raises DeviceError where no device answers, ConfigurationError where the
    snapshot is damaged or of another agent.
    """
    info = snapshot_info(snapshot, name)
    with Link(port, baud=baud, reset_on_open=reset_on_open, key=key) as link:
        agent = _agent(link)
        if info.identity != agent.configuration.identity:
            raise ConfigurationError(
                f"{name} is of another agent (identity {info.identity:08x}) than the device's, "
                f"{agent.configuration.description} (identity {agent.configuration.identity:08x})"
            )
        agent.restore(snapshot)
        if store:
            _save(agent)
    return info


def _save(agent: LinkAgent) -> None:
    try:
        agent.store_save()
    except RequestRefusedError as error:
        if error.code_name == "EPISODE_OPEN":
            raise RunError("an episode is open: the agent is saved between episodes") from error
        raise


def store_status(
    port: str, *, baud: int = DEFAULT_BAUD, reset_on_open: bool = True, key: bytes | None = None
) -> dict[str, int]:
    """What the weight store of the device at `port` holds, by field of STORE_STATUS_REPLY. Raises DeviceError."""
    with Link(port, baud=baud, reset_on_open=reset_on_open, key=key) as link:
        return dict(_agent(link).store_status()._asdict())


def clear_store(
    port: str, *, baud: int = DEFAULT_BAUD, reset_on_open: bool = True, key: bytes | None = None
) -> dict[str, int]:
    """Forget what the weight store of the device at `port` holds; returns its status then. Raises DeviceError.

    `key` is the device's, where it has one.
    """
    with Link(port, baud=baud, reset_on_open=reset_on_open, key=key) as link:
        return dict(_agent(link).store_clear()._asdict())


@dataclass(frozen=True)
class StoreReport:
    """The wear budget of an agent's weight store."""

    board: str
    kind: str
    """What the memory is."""
    save_every: int
    record_bytes: int
    images: int
    """Images of one area, of which there are two."""
    total_bytes: int
    endurance_cycles: int
    saves_in_life: int
    episodes_in_life: int
    pause_milliseconds: float
    """The longest save, by the vendor's figures."""

    def as_dict(self) -> dict[str, Any]:
        """The report by field name."""
        return asdict(self)

    def describe(self) -> str:
        """The same for a person."""
        return (
            f"{self.board}: images of {self.record_bytes} bytes, {2 * self.images} of them in {self.total_bytes} bytes "
            f"of {self.kind}\n"
            f"endurance {self.endurance_cycles:,} cycles: {self.saves_in_life:,} saves, one every {self.save_every} "
            f"episodes, are {self.episodes_in_life:,} episodes\n"
            f"a save stops the agent for {self.pause_milliseconds:,.0f} ms at most"
        )


def store_report(experiment: Experiment, board_id: str | None = None, save_every: int | None = None) -> StoreReport:
    """The wear budget of an experiment's weight store on a board; `save_every` (episodes) replaces the file's.

    Raises ConfigurationError where it has none, or where the board has no room for it.
    """
    board = find_board(board_id or experiment.board.id)
    every = experiment.store.save_every if save_every is None else save_every
    settings = store_settings(resolve_agent(experiment), board, every)
    if settings is None or board.nonvolatile is None:
        raise ConfigurationError(
            f"{experiment.name}: save_every = 0 in [store], so there is no weight store; set it, or add --save-every 10"
        )
    return StoreReport(
        board.id,
        board.nonvolatile.kind,
        settings.save_every,
        settings.record_bytes,
        settings.images,
        settings.total_bytes,
        settings.endurance_cycles,
        settings.saves_in_life,
        settings.episodes_in_life,
        settings.pause_milliseconds,
    )
