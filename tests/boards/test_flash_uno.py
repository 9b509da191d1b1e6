"""Flashing is real: avrdude writes the Uno's image through Optiboot in an emulated ATmega328P, over a serial port."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board_helpers import cartpole
from flash_helpers import build_optiboot

from nrl_edge.experiment import Experiment, entropy_settings, resolve_agent
from nrl_edge.simulation import RunSummary, run_agent, simulate
from nrl_host.build import build_experiment
from nrl_host.build.platformio import prepare_core_folder
from nrl_host.build.platformio.core_folder import CORE_VARIABLES
from nrl_host.cli import main
from nrl_host.device import LinkAgent
from nrl_host.flash import flash
from nrl_host.link import Link
from nrl_host.targets.simavr import SimavrTarget

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, object]]


@pytest.fixture(scope="module")
def optiboot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_optiboot(tmp_path_factory.mktemp("optiboot"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy computer an emulated second takes many."""
    monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "_VERIFY_SECONDS", 300.0)
    monkeypatch.setattr(sys.modules["nrl_host.uploaders"], "_SECONDS", 1800.0)


@pytest.fixture
def patient_asking(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """For a board that is known to answer; one that has nothing but its boot loader never does."""
    return lambda: monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "_ASK_SECONDS", 300.0)


def fresh_uno(optiboot: Path, *, terminal: bool) -> SimavrTarget:
    return SimavrTarget(resolve_agent(cartpole()), "uno", boot_loader=optiboot, terminal=terminal)


@pytest.fixture
def uno(optiboot: Path) -> Iterator[SimavrTarget]:
    with fresh_uno(optiboot, terminal=True) as target:
        yield target


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`nrl-edge flash`, and its result with its exit code."""

    def call(*arguments: object) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["nrl-edge", "flash", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        result: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return {"code": ended.value.code or 0} | result

    return call


def learns(experiment: Experiment, url: str) -> RunSummary:
    with Link(url, open_timeout=300.0) as link:
        agent = LinkAgent(link, resolve_agent(experiment), entropy_settings(experiment))
        return run_agent(agent, experiment, link.hello.board)


def test_a_flashed_board_learns_and_is_left_alone_until_something_changes(
    uno: SimavrTarget, run: Run, tmp_path: Path, patient_asking: Callable[[], None]
) -> None:
    experiment = cartpole(episodes=3, hidden=32)
    path = tmp_path / "experiment.toml"
    path.write_text(experiment.to_toml(), encoding="utf-8")
    arguments = (path, "--board", "uno", "--port", uno.url)
    first = run(*arguments)
    assert (first["code"], first.get("outcome"), first.get("verified")) == (0, "flashed", True), first
    assert str(first["command"]).startswith("avrdude -p atmega328p -c arduino -b 115200 -D -P ")

    on_board = learns(experiment, uno.url)
    reference = simulate(experiment, "reference")
    assert on_board.target == "uno"
    assert (on_board.weights_crc32, on_board.counters) == (reference.weights_crc32, reference.counters)

    patient_asking()
    assert run(*arguments)["outcome"] == "unchanged"

    changed = experiment.with_overrides(seed=9)
    path.write_text(changed.to_toml(), encoding="utf-8")
    assert run(*arguments, "--dry-run")["outcome"] == "dry run"
    with Link(uno.url, open_timeout=300.0) as link:
        assert link.hello.build_id.hex() == first["build_id"], "a dry run touches no board"
    second = run(*arguments)
    assert (second.get("outcome"), second.get("verified")) == ("flashed", True), second
    assert second["build_id"] != first["build_id"]
    assert learns(changed, uno.url).weights_crc32 == simulate(changed, "reference").weights_crc32


def test_an_image_is_flashed_over_tcp_and_what_does_not_run_it_is_found_out(
    optiboot: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient_asking: Callable[[], None]
) -> None:
    """The second, as with two boards on the desk: one is flashed, and the other asked."""
    built = build_experiment(cartpole(hidden=8), "uno", folder=tmp_path / "firmware", toolchain="direct")
    other = build_experiment(cartpole(hidden=4), "uno", folder=tmp_path / "other", toolchain="direct")
    with fresh_uno(optiboot, terminal=False) as uno:
        result = run(built.image, "--board", "uno", "--port", uno.url)
        assert (result.get("outcome"), result.get("build_id")) == ("flashed", built.build_id), result
        assert result["verified"] is True
        patient_asking()
        monkeypatch.setattr(sys.modules["nrl_host.flash.flash"], "run_upload", lambda *arguments: None)
        result = run(other.image, "--board", "uno", "--port", uno.url)
    assert result["code"] == 3
    assert f"runs build {built.build_id}" in str(result["error"])
    assert "another board is at that port, or the upload did not take" in str(result["error"])


def test_platformio_s_own_upload_flashes_too(
    uno: SimavrTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pio run -t upload`, here with the local platform in the place of the one that PlatformIO would fetch."""
    for name, value in {"PLATFORMIO_CORE_DIR": str(prepare_core_folder()), **CORE_VARIABLES}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "experiment.toml"
    path.write_text(cartpole(hidden=8).to_toml(), encoding="utf-8")
    done = flash(path, "uno", port=uno.url, toolchain="platformio")
    assert (done.outcome, done.verified) == ("flashed", True)
    assert "--target upload --upload-port" in done.command
