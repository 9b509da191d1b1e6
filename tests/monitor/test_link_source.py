"""What the monitor says of a device that no run has open, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.runs import snapshot_info
from nrl_host.monitor import LinkSource
from nrl_host.targets.desktop import DesktopTarget

CONFIGURATION = AgentConfiguration(2, (4,), 2)
ONE = 1 << CONFIGURATION.formats.reward_frac_bits


@pytest.fixture
def target() -> Iterator[DesktopTarget]:
    with DesktopTarget(CONFIGURATION, seed=1) as running:
        yield running


def episode(source: LinkSource, length: int, end: bool = True) -> None:
    """Steps that each earn 1, on the link of the monitor: a device has but one."""
    agent = source._agent
    agent.step(np.zeros(2, np.int16), 0, False, False)
    for step in range(1, length + 1):
        agent.step(np.full(2, 100 * step, np.int16), ONE, end and step == length, False)


def test_a_device_is_followed_by_its_telemetry(target: DesktopTarget) -> None:
    source = LinkSource(target.url)
    try:
        before = source.read()
        assert before.state.state == "running" and before.state.last_return is None and not before.state.can_pause
        assert before.state.facts["Board"] == "desktop" and before.state.facts["Agent"] == CONFIGURATION.description
        assert before.network is not None and len(before.network["layers"]) == 2
        episode(source, 5)
        episode(source, 8)
        source._link.listen(2.0)
        view = source.read()
        state = view.state
        assert (state.episodes, state.steps, state.last_return, state.last_length) == (2, 13, 8.0, 8)
        assert state.mean_return_100 == 6.5 and view.curves["return"] == [5.0, 8.0]
        # R = 8 against Rbar = 5, as a share of R.
        assert state.reward_prediction_error == pytest.approx(3 / 8, abs=0.01)
        assert view.curves_number == before.curves_number + 2
        assert state.noise.mode == "seeded" and state.noise.healthy is None
        host, device = state.link["frames_in"]
        assert host is not None and device is not None and host > 10 and device > 10
    finally:
        source.close()


def test_a_snapshot_is_kept_between_episodes(target: DesktopTarget, tmp_path: Path) -> None:
    source = LinkSource(target.url, snapshots=tmp_path / "kept" / "here")
    try:
        episode(source, 3)
        told = source.command("snapshot")
        (file,) = (tmp_path / "kept" / "here").iterdir()
        assert file.name == "desktop_episode_000001.nrls" and str(file) in told == source.read().state.remark
        assert snapshot_info(file.read_bytes()).episodes == 1
        episode(source, 3, end=False)
        with pytest.raises(RunError, match="an episode is open"):
            source.command("snapshot")
        with pytest.raises(ConfigurationError, match="what can be paused is a run"):
            source.command("pause")
    finally:
        source.close()


def test_a_folder_that_takes_no_snapshot_is_told(target: DesktopTarget, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    source = LinkSource(target.url, snapshots=tmp_path / "file" / "snapshots")
    try:
        with pytest.raises(RunError, match="--snapshots"):
            source.command("snapshot")
    finally:
        source.close()


def test_a_device_that_went_away_is_told(target: DesktopTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nrl_host.monitor.link_source.RECONNECT_SECONDS", 0.0)
    source = LinkSource(target.url)
    try:
        target.stop()
        with pytest.raises(DeviceError, match="the port failed"):
            source.read()
    finally:
        source.close()
