"""What a run has kept of itself to be repeated with: its agent and its noise."""

from __future__ import annotations

from nrl_edge.agent import EntropySettings
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.runs import RunFolder


def recorded_agent(run: RunFolder) -> AgentConfiguration:
    """The fixed-point agent of a run. Raises ConfigurationError where it has none."""
    configuration = run.agent
    if configuration is None:
        raise ConfigurationError(f"{run.path} is a float64 run: only runs of fixed-point agents can be replayed")
    return configuration


def replay_entropy(run: RunFolder) -> EntropySettings:
    """The noise of a run, to be drawn again: its seed, or its recorded bytes.

    Raises ConfigurationError where it was not recorded, or not all of it.
    """
    if run.info.entropy_mode == "seeded":
        return EntropySettings("seeded", run.info.seed)
    if run.info.entropy_mode in ("raw", "expanded"):
        return EntropySettings("replay", recording=run.noise())
    raise ConfigurationError(
        f"{run.path} drew its noise in mode {run.info.entropy_mode!r}; runs of the modes seeded, raw and expanded can "
        "be replayed"
    )
