"""Runs an experiment with a fixed-point agent, wherever that agent is, and keeps the run in a folder.

`run_agent` is the one way a run goes, for the reference, the native library and firmware behind a link: episodes in
lock step, checkpoints, an orderly stop, and an exact resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

from nrl_edge.agent import Agent
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, entropy_settings, make_experiment_task, resolve_agent
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.lockstep import MEAN_WINDOW, EpisodeOutcome, Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.runs import Checkpoint, RunFolder, snapshot_weights
from nrl_edge.runs.control import RunControl

LocalTarget = Literal["reference", "native"]


@dataclass(frozen=True)
class RunSummary:
    """What a run came to: the last line of `sim` and `hil`, and result.json of a run folder."""

    target: str
    task: str
    seed: int
    episodes: int
    """Episodes finished, those before a resume included."""
    steps: int
    """Actions taken in them."""
    mean_return_last_100: float
    """Mean return of the last 100 episodes, or of all where there are fewer."""
    episodes_to_threshold: int | None
    """Episodes after which the mean of the last 100 first reached the threshold; None: it did not."""
    weights_crc32: str
    """CRC-32 of the weight bytes, eight hexadecimal digits."""
    steps_per_second: float
    """Environment and agent together, in this process."""
    interrupted: bool
    """True where the run was stopped before its last episode."""
    agent: str
    """Description of the agent."""
    counters: dict[str, int]
    """Saturation and failure counters of the agent."""
    saturated_observations: int
    """Observation values that did not fit their format on the host."""
    link: dict[str, dict[str, int]] | None = None
    """Counters of both ends of the link, where the agent is behind one."""
    line_faults: dict[str, int] | None = None
    """Faults that were put on the line, by kind; None where none were asked for."""
    retries: int | None = None
    """Requests that were sent again; None without a link."""
    restarts: int | None = None
    """How often the device restarted and the run went on; None without a link."""
    noise: dict[str, str | int] | None = None
    """Of a device's raw noise: `health` in words, `soft_alarms`, and `failed_draws`, calls that learned nothing."""

    def as_dict(self) -> dict[str, Any]:
        """The summary by field name."""
        return asdict(self)


def local_agent(experiment: Experiment, configuration: AgentConfiguration, target: LocalTarget) -> Agent:
    """An agent of the experiment in this process: the NumPy `reference`, or the generated C as a `native` library."""
    entropy = entropy_settings(experiment)
    if target == "reference":
        return reference_agent(configuration, entropy)
    return NativeAgent(configuration, entropy, recording=entropy.mode == "raw")


class ReturnStatistics:
    """Running mean of the last 100 returns, and when it first reached a threshold."""

    def __init__(self, threshold: float | None) -> None:
        self.returns: list[float] = []
        self.episodes_to_threshold: int | None = None
        self._threshold = threshold

    def add(self, episode_return: float) -> None:
        """Count one more episode."""
        self.returns.append(episode_return)
        if self._threshold is None or self.episodes_to_threshold is not None or len(self.returns) < MEAN_WINDOW:
            return
        if sum(self.returns[-MEAN_WINDOW:]) >= self._threshold * MEAN_WINDOW:
            self.episodes_to_threshold = len(self.returns)

    @property
    def mean(self) -> float:
        """Mean of the last 100 returns, or of all where there are fewer."""
        window = self.returns[-MEAN_WINDOW:]
        return sum(window) / len(window) if window else 0.0


OnEpisode = Callable[[EpisodeOutcome, ReturnStatistics], None]
"""Is called after every episode."""


def _no_matter(outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
    """For runs of which nobody wants to hear."""


class EpisodeOptions(TypedDict, total=False):
    """Keywords of everything that runs episodes, wherever the agent is."""

    stop: Callable[[], bool]
    """Is asked after every episode whether the run shall end there; a stopped run leaves a folder that can be resumed
    exactly."""
    on_episode: OnEpisode
    until_solved: bool
    """End the run where the mean return of 100 episodes reaches the threshold."""


class RunOptions(EpisodeOptions, total=False):
    """Keywords of everything that runs an experiment and may keep it."""

    run: Path | None
    """The folder in which the run is kept; None (the default) keeps nothing."""
    resume: bool
    """Go on from the last checkpoint of that folder."""


def split_options(options: RunOptions) -> tuple[Path | None, bool, EpisodeOptions]:
    """The folder, whether to resume, and what is left for `run_agent`."""
    names = EpisodeOptions.__optional_keys__
    rest = cast(EpisodeOptions, {name: value for name, value in options.items() if name in names})
    return options.get("run"), options.get("resume", False), rest


@contextmanager
def open_run(
    path: Path | None,
    experiment: Experiment,
    target: str,
    configuration: AgentConfiguration,
    *,
    resume: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[tuple[RunFolder | None, Checkpoint]]:
    """The folder of a run, begun or resumed, and where the run goes on from; (None, the beginning) without a path.

    Closes the folder; a run that was not finished by then can be resumed. Raises ConfigurationError.
    """
    beginning = Checkpoint(0, None)
    if path is None:
        if resume:
            raise ConfigurationError("--resume needs the folder of the run: name it with --run DIR")
        yield None, beginning
        return
    if resume:
        folder, checkpoint = RunFolder.resume(path, experiment, target, agent=configuration)
    else:
        folder, checkpoint = RunFolder.create(path, experiment, target, agent=configuration, extra=extra), beginning
    with folder:
        yield folder, checkpoint


def run_agent(
    agent: Agent,
    experiment: Experiment,
    target: str,
    *,
    folder: RunFolder | None = None,
    checkpoint: Checkpoint = Checkpoint(0, None),  # noqa: B008  a NamedTuple never changes
    link_counters: Callable[[], dict[str, dict[str, int]]] | None = None,
    line_faults: Callable[[], dict[str, int] | None] = lambda: None,
    restarts: Callable[[], int] | None = None,
    noise_report: Callable[[], dict[str, str | int]] | None = None,
    **options: Unpack[EpisodeOptions],
) -> RunSummary:
    """Run the experiment's episodes with `agent` and return what came of it; `options` are EpisodeOptions.

    With a folder (from `open_run`) the run is kept there. `checkpoint` is where it goes on from. In its folder the run
    can be watched, and asked to wait or to keep a snapshot between two episodes (`nrl_edge.runs.control`). Raises
    ConfigurationError where the agent does not fit the task.
    """
    stop = options.get("stop", lambda: False)
    on_episode = options.get("on_episode", _no_matter)
    until_solved = options.get("until_solved", False)
    stack = ExitStack()
    try:
        task = make_experiment_task(experiment)
        stack.callback(task.close)
        configuration = agent.configuration
        if (task.inputs, task.actions) != (configuration.inputs, configuration.actions):
            raise ConfigurationError(
                f"{experiment.name}: the agent has {configuration.inputs} inputs and {configuration.actions} actions, "
                f"but {experiment.task.id} has {task.inputs} and {task.actions}; generate the agent again"
            )
        if checkpoint.snapshot is not None:
            agent.restore(checkpoint.snapshot)
        statistics = ReturnStatistics(experiment.task.threshold)
        steps_before = 0
        if folder is not None and checkpoint.episode:
            earlier = folder.progress()
            steps_before = int(earlier.length.sum())
            for episode_return in earlier.episode_return.tolist():
                statistics.add(episode_return)
        observer = folder.open_record() if folder is not None else None
        lockstep = Lockstep(agent, task, experiment.episode_seed, observer)
        take_noise = getattr(agent, "take_noise", None) if experiment.entropy.mode in ("raw", "expanded") else None
        if take_noise is not None:
            noise = take_noise()
            # A resumed run has its first noise; what drew weights that the checkpoint has replaced is no part of it.
            if folder is not None and checkpoint.snapshot is None:
                folder.log_noise(noise)
        steps, episodes, interrupted = steps_before, experiment.learning.episodes, False

        def describe() -> dict[str, Any]:
            # Over a line with faults whatever is sent takes its time.
            tells_link = link_counters is not None and line_faults() is None
            return {
                "counters": agent.counters().as_dict(),
                "link": link_counters() if link_counters is not None and tells_link else None,
                "noise": noise_report() if noise_report is not None else None,
            }

        control = None
        if folder is not None:
            control = stack.enter_context(RunControl(folder, snapshot=agent.snapshot, describe=describe))
        started = time.perf_counter()
        for episode in range(checkpoint.episode, episodes):
            outcome = lockstep.run_episode(episode)
            statistics.add(outcome.episode_return)
            steps += outcome.length
            if folder is not None:
                folder.log_episode(outcome.episode_return, outcome.length)
                if take_noise is not None:
                    folder.log_noise(take_noise())
                if (episode + 1) % experiment.run.checkpoint_every == 0:
                    folder.save_checkpoint(agent.snapshot())
            on_episode(outcome, statistics)
            if until_solved and statistics.episodes_to_threshold is not None:
                break
            if control is not None and episode + 1 < episodes:
                control.attend(stop)
            if stop() and episode + 1 < episodes:
                interrupted = True
                break
        held = control.paused_seconds if control is not None else 0.0
        elapsed = time.perf_counter() - started - held
        link = link_counters() if link_counters is not None else None
        summary = RunSummary(
            target=target,
            task=experiment.task.id,
            seed=experiment.entropy.seed,
            episodes=len(statistics.returns),
            steps=steps,
            mean_return_last_100=statistics.mean,
            episodes_to_threshold=statistics.episodes_to_threshold,
            weights_crc32=f"{agent.weights_crc32():08x}",
            # A run that was killed at its very end goes on with no episode left.
            steps_per_second=round((steps - steps_before) / elapsed, 1) if elapsed > 0.0 else 0.0,
            interrupted=interrupted,
            agent=configuration.description,
            counters=agent.counters().as_dict(),
            saturated_observations=lockstep.saturated_observations,
            link=link,
            line_faults=line_faults(),
            retries=None if link is None else link["host"]["retries"],
            restarts=None if restarts is None else restarts(),
            noise=noise_report() if noise_report is not None else None,
        )
        if folder is not None:
            keep_summary(folder, agent, summary)
        return summary
    finally:
        stack.close()


def keep_summary(folder: RunFolder, agent: Agent, summary: RunSummary) -> None:
    """Write a run's weights and what came of it; a finished run is closed, an interrupted one can be resumed."""
    snapshot = agent.snapshot()
    folder.save_weights(snapshot_weights(snapshot, agent.configuration))
    if summary.interrupted:
        folder.save_checkpoint(snapshot)
    else:
        folder.save_final(snapshot)
        folder.finish(summary.as_dict())


def simulate(
    experiment: Experiment,
    target: LocalTarget = "native",
    **options: Unpack[RunOptions],
) -> RunSummary:
    """Run an experiment in this process, with the NumPy `reference` or the generated C as a `native` library.

    `options` are RunOptions. Raises ConfigurationError where the experiment is not one of a fixed-point agent, or
    cannot run here.
    """
    configuration = resolve_agent(experiment)
    agent = local_agent(experiment, configuration, target)
    run, resume, episode_options = split_options(options)
    with open_run(run, experiment, target, configuration, resume=resume) as (folder, checkpoint):
        return run_agent(agent, experiment, target, folder=folder, checkpoint=checkpoint, **episode_options)
