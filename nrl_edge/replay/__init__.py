"""Repeats a run, through the reference or elsewhere, and says whether it agrees."""

from __future__ import annotations

from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.replay.calls import replay_calls
from nrl_edge.replay.episodes import replay_episodes
from nrl_edge.replay.recording import replay_entropy
from nrl_edge.replay.verdict import Difference, MakeAgent, Progress, ReplayVerdict
from nrl_edge.runs import RunFolder

__all__ = ["Difference", "ReplayVerdict", "replay", "replay_entropy"]


def replay(
    run: RunFolder,
    progress: Progress = lambda done, total: None,
    *,
    make_agent: MakeAgent = reference_agent,
    target: str = "reference",
) -> ReplayVerdict:
    """Repeat a run, with its seed or its recorded noise, through the reference or another target's agent.

    One that was stopped or killed, or still goes on, is repeated up to the newest checkpoint that all is there for. A
    run of a chip that simulates its task has no record of its calls: its episodes are run again, up to where it was
    listened to. `progress` is called with (calls done, calls in all). `make_agent` makes the agent of `target`, ready
    to step.

    Raises ConfigurationError where the run has no record, neither final weights nor a checkpoint, or not all its noise.
    """
    by_episodes = run.experiment.task.on_chip and not run.record_path.exists()
    return (replay_episodes if by_episodes else replay_calls)(run, progress, make_agent, target)
