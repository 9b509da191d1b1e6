"""`nrl-edge snapshot`: off a device, onto another one, compared, and kept over a loss of power."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_helpers import Finished, call, run_target, write_experiment

from nrl_edge.codegen.options import FirmwareOptions, read_link_key
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats
from nrl_edge.runs import RunFolder, snapshot_info
from nrl_edge.runs.difference import compare_snapshots
from nrl_host.device import configuration_of
from nrl_host.hil import run_hil
from nrl_host.link import Link
from nrl_host.targets.desktop import DesktopTarget


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    def run(*arguments: object) -> Finished:
        return call(capsys, monkeypatch, *arguments)

    return run


def experiment_in(folder: Path, save_every: int = 0) -> Experiment:
    path = write_experiment(folder, episodes=9, checkpoint_every=4)
    path.write_text(path.read_text(encoding="utf-8") + f"[store]\nsave_every = {save_every}\n", encoding="utf-8")
    return load_experiment(path)


def test_a_snapshot_travels_from_one_device_to_the_next(tmp_path: Path, command: Callable[..., Finished]) -> None:
    experiment = experiment_in(tmp_path)
    configuration = resolve_agent(experiment)
    file = tmp_path / "agent.nrls"
    with DesktopTarget(configuration, seed=1) as target:
        summary = run_hil(experiment, target.url)
        saved = command("snapshot", "save", file, "--port", target.url, "--json")
        assert (saved.code, saved.result["weights_crc32"]) == (0, summary.weights_crc32)
        again = command("snapshot", "save", file, "--port", target.url)
        assert again.code == 2 and "--force" in again.err
        assert command("snapshot", "save", file, "--port", target.url, "--force").code == 0
    with DesktopTarget(configuration, seed=2) as target:
        given = command("snapshot", "restore", file, "--port", target.url, "--json")
        assert (given.code, given.result["episodes"]) == (0, 9)
        assert command("snapshot", "save", tmp_path / "b.nrls", "--port", target.url).code == 0
        refused = command("snapshot", "restore", file, "--port", target.url, "--store")
        assert refused.code == 3 and "no weight store" in refused.err
    assert (tmp_path / "b.nrls").read_bytes() == file.read_bytes()
    assert command("snapshot", "diff", file, tmp_path / "b.nrls").code == 0


def test_a_store_keeps_what_is_saved_and_says_so(tmp_path: Path, command: Callable[..., Finished]) -> None:
    experiment = experiment_in(tmp_path, save_every=4)
    with DesktopTarget(resolve_agent(experiment), options=FirmwareOptions(save_every=4)) as target:
        run_hil(experiment, target.url)
        status = command("snapshot", "status", "--port", target.url, "--json").result
        assert (status["holds_image"], status["saves"], status["episodes"]) == (1, 2, 8)
        assert command("snapshot", "save", tmp_path / "a.nrls", "--port", target.url, "--store").code == 0
        target.restart()
        text = command("snapshot", "status", "--port", target.url).out
        assert "holds image 3 of 9 episodes" in text
        assert command("snapshot", "save", tmp_path / "b.nrls", "--port", target.url).code == 0
        assert command("snapshot", "status", "--port", target.url, "--clear", "--json").result["holds_image"] == 0
    assert (tmp_path / "a.nrls").read_bytes() == (tmp_path / "b.nrls").read_bytes()


def test_a_device_with_a_key_takes_a_snapshot_from_whoever_has_its_file(
    tmp_path: Path, command: Callable[..., Finished]
) -> None:
    experiment = experiment_in(tmp_path, save_every=4)
    run_target(experiment, "native", run=tmp_path / "run")
    key, other = tmp_path / "board.key", tmp_path / "other.key"
    for file in (key, other):
        assert command("key", file).code == 0
    options = FirmwareOptions(save_every=4, link_key=read_link_key(key))
    with DesktopTarget(resolve_agent(experiment), options=options) as target:
        port = ("--port", target.url)
        restore, save = ("snapshot", "restore", tmp_path / "run", "--store"), ("snapshot", "save", tmp_path / "a.nrls")
        for changes in (restore, (*save, "--store"), ("snapshot", "status", "--clear")):
            refused = command(*changes, *port)
            assert refused.code == 3 and "--key-file" in refused.err
            assert command(*changes, *port, "--key-file", other).code == 3
            missing = command(*changes, *port, "--key-file", tmp_path / "no.key")
            assert missing.code == 2 and "holds no key" in missing.err
        assert command(*restore, *port, "--key-file", key).code == 0
        assert command("snapshot", "status", *port, "--json").result["holds_image"] == 1
        assert command(*save, *port, "--store", "--key-file", key).code == 0
        cleared = command("snapshot", "status", "--clear", *port, "--key-file", key, "--json")
        assert cleared.result["holds_image"] == 0
    assert (tmp_path / "a.nrls").read_bytes() == (tmp_path / "run" / "final.nrls").read_bytes()


def test_diff_tells_fields_layers_and_weights(tmp_path: Path, command: Callable[..., Finished]) -> None:
    experiment = experiment_in(tmp_path)
    run_target(experiment, "native", run=tmp_path / "run")
    run_target(experiment.with_overrides(episodes=8), "native", run=tmp_path / "shorter")
    same = command("snapshot", "diff", tmp_path / "run", tmp_path / "run", "--json")
    assert (same.code, same.result["equal"], same.result["fields"]) == (0, True, {})
    ended = command(
        *("snapshot", "diff", tmp_path / "run", tmp_path / "shorter", "--json"),
        *("--experiment", tmp_path / "experiment.toml"),
    )
    assert ended.code == 1
    assert ended.result["fields"]["episodes"] == [9, 8]
    assert [layer["weights"] for layer in ended.result["layers"]] == [32, 16]
    assert sum(layer["different"] for layer in ended.result["layers"]) > 0
    plain = command("snapshot", "diff", tmp_path / "run", tmp_path / "shorter").out
    assert "episodes: 9 and 8" in plain and "bytes of weights differ" in plain


def test_one_changed_weight_is_named() -> None:
    import zlib

    from nrl_edge.agent import EntropySettings
    from nrl_edge.fixedpoint.agents import reference_agent

    configuration = AgentConfiguration(3, (4,), 2)
    snapshot = reference_agent(configuration, EntropySettings(seed=1)).snapshot()
    changed = bytearray(snapshot[:-4])
    changed[72 + 2 * (3 * 2 + 1)] ^= 0x10  # unit 2, input 1 of the first layer, 16 units of 2^-12
    other = bytes(changed) + zlib.crc32(changed).to_bytes(4, "little")
    difference = compare_snapshots(snapshot, other, configuration)
    assert not difference.equal and difference.fields == {} and difference.layers is not None
    first = difference.layers[0]
    assert (first.different, first.row, first.column, first.largest) == (1, 2, 1, 16 / 4096)
    assert difference.layers[1].different == 0


@pytest.mark.parametrize("what", ["missing", "damaged", "another agent", "not a port"])
def test_what_cannot_be_restored_is_refused_with_its_reason(
    tmp_path: Path, command: Callable[..., Finished], what: str
) -> None:
    experiment = experiment_in(tmp_path)
    run_target(experiment, "native", run=tmp_path / "run")
    file = tmp_path / "run" / "final.nrls"
    with DesktopTarget(AgentConfiguration(4, (5,), 2)) as target:
        url = "/dev/is-not-there" if what == "not a port" else target.url
        if what == "missing":
            file = tmp_path / "nothing.nrls"
        elif what == "damaged":
            data = bytearray(file.read_bytes())
            data[80] ^= 1
            file.write_bytes(data)
        ended = command("snapshot", "restore", file, "--port", url)
    expected = {
        "missing": (2, "cannot be read"),
        "damaged": (2, "is damaged"),
        "another agent": (2, "is of another agent"),
        "not a port": (3, "cannot open /dev/is-not-there"),
    }[what]
    assert ended.code == expected[0] and expected[1] in ended.err


def test_wear_is_told_before_anything_is_flashed(tmp_path: Path, command: Callable[..., Finished]) -> None:
    experiment_in(tmp_path, save_every=10)
    ended = command("snapshot", "wear", tmp_path / "experiment.toml", "--board", "microbit", "--json")
    assert ended.code == 0
    # A page of 1 KiB takes five images of 192 bytes; two pages, 20,000 erases each.
    assert (ended.result["record_bytes"], ended.result["images"]) == (192, 5)
    assert ended.result["saves_in_life"] == 2 * 5 * 20_000
    assert "2,000,000 episodes" in command("snapshot", "wear", tmp_path / "experiment.toml", "--board", "microbit").out
    experiment_in(tmp_path, save_every=0)
    refused = command("snapshot", "wear", tmp_path / "experiment.toml")
    assert refused.code == 2 and "save_every = 0" in refused.err


@pytest.mark.parametrize(
    "configuration",
    [
        AgentConfiguration(4, (8,), 2),
        AgentConfiguration(2, (3, 5, 7), 4, Formats(8, 7, 5, 3, 8), 4, None, True),
        AgentConfiguration(
            3, (6,), 2, Formats(16, 10, 12, 8, 8), 1, 3, preset="actor-critic", critic_features="squares"
        ),
        AgentConfiguration(4, (8,), 2, noise_draws=4),
    ],
    ids=lambda configuration: configuration.description,
)
def test_a_device_tells_which_agent_it_carries(configuration: AgentConfiguration) -> None:
    with DesktopTarget(configuration) as target, Link(target.url) as link:
        assert configuration_of(link) == configuration


def test_the_last_snapshot_of_an_unfinished_run_is_its_newest_checkpoint(tmp_path: Path) -> None:
    from nrl_host.snapshots import snapshot_of

    experiment = experiment_in(tmp_path)
    run_target(experiment, "native", run=tmp_path / "run")
    for name in ("final.nrls", "checkpoints/episode_000009.nrls"):
        (tmp_path / "run" / name).unlink()
    info: Any = snapshot_info(snapshot_of(tmp_path / "run"))
    assert info.episodes == 8
    assert RunFolder.open(tmp_path / "run").episodes == 0
