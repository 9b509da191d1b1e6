"""Listens to a board that simulates its task itself: it learns with no host in the loop, and tells of each episode.

Where it draws raw noise, that is read while it learns, and the board waits for its reader: such a run can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Unpack

from nrl_edge.agent import Counters
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import Experiment, entropy_settings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import (
    EpisodeOptions,
    OnEpisode,
    ReturnStatistics,
    RunOptions,
    RunSummary,
    keep_summary,
    open_run,
    split_options,
)
from nrl_edge.tasks.fixed_cartpole import TIME_LIMIT
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.noise_reader import NoiseReader

_SILENCE_SECONDS = 2.0
"""A device that says nothing for so long is asked whether it is still there, and how far it is."""
_LISTEN_SECONDS = 0.2
_NOISE_LISTEN_SECONDS = 0.005
"""The same where noise is to be read: the board draws more meanwhile, and waits once its log is full."""


class OnChipListener:
    """Takes the TELEMETRY of a board, one message an episode, in the order of the episodes."""

    def __init__(
        self,
        experiment: Experiment,
        configuration: AgentConfiguration,
        on_episode: OnEpisode,
        folder: RunFolder | None = None,
    ) -> None:
        self.statistics = ReturnStatistics(experiment.task.threshold)
        self.heard = 0
        """Number of the last episode that was heard of."""
        self.missed = 0
        """Episodes that were not heard of: their TELEMETRY was dropped or lost."""
        self.steps = 0
        self._one = 1 << configuration.formats.reward_frac_bits
        self._on_episode = on_episode
        self._folder = folder

    def take(self, telemetry: Any) -> None:
        """Take one message. One that comes out of order is no news. Raises RunError where a run folder misses some."""
        if telemetry.episode <= self.heard:
            return
        if self._folder is not None and telemetry.episode != self.heard + 1:
            raise RunError(
                f"episodes {self.heard + 1} to {telemetry.episode - 1} were not heard of, so that the run folder "
                f"{self._folder.path} ends there. Run again: `nrl-edge hil` begins anew, and so does a board that is "
                "reset; without --run the rest can be listened to all the same"
            )
        self.missed += telemetry.episode - self.heard - 1
        self.heard = telemetry.episode
        self.steps += telemetry.episode_steps
        episode_return = telemetry.episode_return / self._one
        self.statistics.add(episode_return)
        if self._folder is not None:
            self._folder.log_episode(episode_return, telemetry.episode_steps)
        outcome = EpisodeOutcome(
            telemetry.episode - 1, episode_return, telemetry.episode_steps, telemetry.episode_steps < TIME_LIMIT
        )
        self._on_episode(outcome, self.statistics)


class NoiseRecorder:
    """Reads the noise of a board that begins anew, and keeps it in the folder of the run, if there is one."""

    def __init__(self, link: Link, folder: RunFolder | None, on_warning: Callable[[str], None]) -> None:
        self._reader = NoiseReader(link)
        self._folder = folder
        self._on_warning = on_warning
        self._board = link.hello.board

    def record(self) -> bool:
        """Read once; returns whether there was anything, so that there may be more."""
        if not self._reader.is_complete:
            return False
        noise = self._reader.read()
        if not self._reader.is_complete:
            self._lose()
        elif noise and self._folder is not None:
            self._folder.log_noise(noise)
        return bool(noise)

    def record_until(self, drawn: int) -> None:
        """Read what is still lacking of the first `drawn` bytes, a count modulo 2^32."""
        while self._reader.lacks(drawn):
            if not self.record():
                break

    def _lose(self) -> None:
        if self._folder is not None:
            self._folder.log_noise(None)
            self._on_warning(
                f"some of the noise of {self._board} was overwritten before it was read: its log is too small for this "
                "agent, or this computer or the line was busy for longer than the board waits. The run goes on, and "
                "cannot be repeated from its record"
            )


def listen_on_chip(
    experiment: Experiment,
    link: Link,
    configuration: AgentConfiguration,
    *,
    begin: bool,
    on_warning: Callable[[str], None] = lambda sentence: None,
    **options: Unpack[RunOptions],
) -> RunSummary:
    """Listen until the board has done the experiment's episodes; returns what came of them.

    With `begin` the board's agent begins anew first, and its raw noise is read; otherwise it goes on with what it does.
    `options` are RunOptions; the folder of a run keeps progress, noise and final weights. Where the listening ends
    before the board does, it goes on, and the folder has what was heard and the CRC of the weights of that moment.
    Raises DeviceError where the board carries another agent, restarts or falls silent, RunError where nothing was heard
    of any episode, ConfigurationError where a run is to be resumed.
    """
    run, resume, episode_options = split_options(options)
    if resume:
        raise ConfigurationError(
            "--resume: a board with its task on the chip goes on by itself, also after a loss of power where it has a "
            "weight store ([store] save_every); there is nothing for the host to resume"
        )
    agent = LinkAgent(link, configuration, entropy_settings(experiment), begin=False, keep_noise=False)
    target = f"{link.hello.board}, on chip"
    with open_run(run, experiment, target, configuration) as (folder, _):
        recorder = None
        if begin:
            agent.begin()
            _forget_earlier_life(link)
            if experiment.entropy.mode != "seeded":
                recorder = NoiseRecorder(link, folder, on_warning)
        on_episode = episode_options.get("on_episode", lambda outcome, statistics: None)
        listener = OnChipListener(experiment, configuration, on_episode, folder)
        summary = _listen(experiment, agent, listener, recorder, target, on_warning, episode_options)
        if folder is not None:
            if summary.episodes >= experiment.learning.episodes:
                keep_summary(folder, agent, summary)
            else:
                # A board that goes on has no snapshot that stands still, and there is nothing to resume.
                folder.finish(summary.as_dict())
        return summary


def _forget_earlier_life(link: Link) -> None:
    """Drop what the board told of the agent that it had before BEGIN, some of which came while BEGIN was on its way."""
    for _ in range(len(link.telemetry) - (link.counters.telemetry - link.telemetry_before_reply)):
        link.telemetry.popleft()


def _listen(
    experiment: Experiment,
    agent: LinkAgent,
    listener: OnChipListener,
    recorder: NoiseRecorder | None,
    target: str,
    on_warning: Callable[[str], None],
    options: EpisodeOptions,
) -> RunSummary:
    stop, until_solved = options.get("stop", lambda: False), options.get("until_solved", False)
    link = agent.link
    # What came before anybody asked belongs to the run as well.
    for earlier in tuple(link.telemetry):
        listener.take(earlier)
    link.on_telemetry = listener.take
    episodes = experiment.learning.episodes
    started = last_news = time.monotonic()
    heard, interrupted = listener.heard, False
    while listener.heard < episodes:
        if recorder is None:
            link.listen(_LISTEN_SECONDS)
        elif not recorder.record():
            link.listen(_NOISE_LISTEN_SECONDS)
        now = time.monotonic()
        if listener.heard != heard:
            heard, last_news = listener.heard, now
        elif now - last_news > _SILENCE_SECONDS:
            # It answers between two steps; one that has restarted says so, and one that is gone does not answer.
            last_news = now
            if agent.status().episodes >= episodes:
                break
        if until_solved and listener.statistics.episodes_to_threshold is not None:
            break
        if stop():
            interrupted = True
            break
    elapsed = time.monotonic() - started
    # What it told before it answers is heard as well: the curve ends where the counts do.
    status = agent.status()
    link.on_telemetry = None
    if recorder is not None:
        recorder.record_until(status.bytes_drawn)
    if not listener.statistics.returns:
        raise RunError(
            f"{link.url}: the board has done {status.episodes} episodes and told of none of them. Its serial line is "
            "too slow or lost what it said; `nrl-edge hil` begins the run anew"
        )
    missed = max(0, status.episodes - listener.heard) + listener.missed
    if missed:
        on_warning(
            f"{link.url}: {missed} of {status.episodes} episodes were not heard of: the line was busy or lost them. "
            "The weights are those of all episodes, means and curve those of the ones that were heard of"
        )
    return RunSummary(
        target=target,
        task=experiment.task.id,
        seed=experiment.entropy.seed,
        episodes=status.episodes,
        steps=status.steps,
        mean_return_last_100=listener.statistics.mean,
        episodes_to_threshold=listener.statistics.episodes_to_threshold if not listener.missed else None,
        weights_crc32=f"{status.weights_crc32:08x}",
        steps_per_second=round(listener.steps / elapsed, 1) if elapsed > 0.0 else 0.0,
        # A board that was done by the time it was asked has nothing left to interrupt.
        interrupted=interrupted and status.episodes < episodes,
        agent=agent.configuration.description,
        counters=Counters(*status.counters).as_dict(),
        saturated_observations=0,
        link=agent.link_counters(),
        retries=link.counters.retries,
        restarts=0,
        noise=agent.noise_report() if experiment.entropy.mode != "seeded" else None,
    )
