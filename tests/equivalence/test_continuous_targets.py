"""Pendulum: reference, native library and desktop firmware end in the same weights, and a record is repeated."""

from __future__ import annotations

from pathlib import Path

from nrl_edge.experiment import entropy_settings, parse_experiment, resolve_agent
from nrl_edge.record import HEADER_BYTES, entry_dtype, read_record
from nrl_edge.replay import replay
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import RunSummary, run_agent, simulate
from nrl_host.device import LinkAgent, configuration_of
from nrl_host.link import Link
from nrl_host.targets.desktop import DesktopTarget

EXPERIMENT = """
[task]
id = "Pendulum-v1"
observation_scale = [1, 1, 0.25]
[network]
hidden = [6]
[learning]
preset = "actor-critic"
critic_features = "cubes"
discount = 0.984375
block_steps = 2
clip = "2^-5"
noise_draws = 4
episodes = 3
"""


def on_the_desktop(text: str) -> RunSummary:
    experiment = parse_experiment(text)
    configuration = resolve_agent(experiment)
    with DesktopTarget(configuration) as target, Link(target.url) as link:
        assert configuration_of(link) == configuration
        return run_agent(LinkAgent(link, configuration, entropy_settings(experiment)), experiment, "desktop")


def test_reference_native_and_desktop_learn_the_same_and_repeat_it(tmp_path: Path) -> None:
    experiment = parse_experiment(EXPERIMENT)
    assert resolve_agent(experiment).description.endswith(" discount=6 block=2 draws=4 policy=gaussian")
    native = simulate(experiment, "native", run=tmp_path / "run")
    reference, desktop = simulate(experiment, "reference"), on_the_desktop(EXPERIMENT)
    assert native.weights_crc32 == reference.weights_crc32 == desktop.weights_crc32
    assert native.mean_return_last_100 == reference.mean_return_last_100 == desktop.mean_return_last_100

    run = RunFolder.open(tmp_path / "run")
    assert replay(run).match
    entries = read_record(run.record_path)
    assert entries["outputs"].shape == (3 * 201, 1)
    # One number of one action, changed by its last bit, is found where it is.
    data = bytearray(run.record_path.read_bytes())
    data[HEADER_BYTES + 10 * entry_dtype(3, 1).itemsize - 2] ^= 1
    run.record_path.write_bytes(data)
    verdict = replay(RunFolder.open(tmp_path / "run"))
    assert verdict.first_difference is not None
    assert (verdict.first_difference.call, verdict.first_difference.what) == (9, "action")
