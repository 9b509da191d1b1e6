"""An online agent on CartPole: the reference, the native library and the desktop firmware end in the same weights."""

from __future__ import annotations

import pytest

from nrl_edge.experiment import entropy_settings, parse_experiment, resolve_agent
from nrl_edge.simulation import RunSummary, run_agent, simulate
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets.desktop import DesktopTarget

EXPERIMENT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [16]
[learning]
preset = "actor-critic"
critic_features = "{features}"
episodes = 12
[arithmetic]
kind = "{kind}"
"""


@pytest.mark.parametrize(("kind", "features"), [("int16", "products"), ("tiny", "products"), ("int16", "squares")])
def test_reference_native_and_desktop_learn_the_same(kind: str, features: str) -> None:
    experiment = parse_experiment(EXPERIMENT.format(kind=kind, features=features))
    configuration = resolve_agent(experiment)
    with DesktopTarget(configuration) as target, Link(target.url) as link:
        agent = LinkAgent(link, configuration, entropy_settings(experiment))
        desktop = run_agent(agent, experiment, "desktop")

    def outcome(summary: RunSummary) -> tuple[object, ...]:
        return summary.weights_crc32, summary.counters, summary.mean_return_last_100, summary.steps

    native = simulate(experiment, "native")
    assert outcome(native) == outcome(simulate(experiment, "reference")) == outcome(desktop)
    assert native.steps > 12
