"""An agent on a device that may restart at any moment: what it learned since its last snapshot is done over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EPISODE_ENDED, Counters, EntropySettings
from nrl_edge.errors import DeviceError
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_host.device import LinkAgent
from nrl_host.link import Link, SessionLostError

JOURNAL_CALLS = 20_000
"""Calls of step after which a snapshot is taken at the end of an episode, so that the journal stays small."""
MAX_RESTARTS = 20
"""Restarts in a row, none of them with a call of step done since, after which a device is given up."""

_Result = TypeVar("_Result")
_Call = tuple[NDArray[np.int16], int, bool, bool, int, list[int]]


class RecoveringAgent(LinkAgent):
    """A LinkAgent that survives restarts of its device; see there.

    It keeps a journal: a snapshot, and every call of step since with what it answered. After a restart the device is
    given the snapshot (or begins anew where there was none yet) and the calls of the journal; as the agent is
    deterministic, it then is where it was, in the middle of an episode too, and each answer is compared with the one
    before. The call that was on its way is then sent as if nothing had happened.

    That takes seeded entropy: over raw noise the same calls would be answered otherwise, so a restart is passed on as
    SessionLostError, and whoever runs the episodes goes back to a checkpoint.
    """

    def __init__(
        self, link: Link, configuration: AgentConfiguration, entropy: EntropySettings, *, begin: bool = True
    ) -> None:
        self.restarts = 0
        """How often the device restarted and was brought back to where it was."""
        self._journal: list[_Call] = []
        self._snapshot: bytes | None = None
        self._recoverable = entropy.mode == "seeded"
        self._begun = False
        self._episode_open = False
        super().__init__(link, configuration, entropy, begin=begin)

    def begin(self) -> None:
        """Let the device draw fresh weights; what it had learned is lost."""
        self._begun = False
        self._steadily(super().begin)
        self._start_journal(None)

    def restore(self, snapshot: bytes) -> None:
        """Take a snapshot back; see `Agent.restore`."""
        self._steadily(lambda: super(RecoveringAgent, self).restore(snapshot))
        self._start_journal(snapshot)

    def snapshot(self) -> bytes:
        """The state between episodes; see `Agent.snapshot`."""
        snapshot = self._steadily(super().snapshot)
        self._start_journal(snapshot)
        return snapshot

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """Take the reward of the last action, learn, and choose the next action; see `Agent.step`."""
        try:
            action = super().step(observation, reward, terminated, truncated)
        except SessionLostError as error:
            self._recover(error)
            action = self._steadily(
                lambda: super(RecoveringAgent, self).step(observation, reward, terminated, truncated)
            )
        if self._recoverable:
            self._episode_open = action != EPISODE_ENDED
            # A copy: the caller may use its array again.
            numbers = self.action_outputs.tolist()
            self._journal.append((observation.copy(), reward, terminated, truncated, action, numbers))
            if not self._episode_open and len(self._journal) >= JOURNAL_CALLS:
                self.snapshot()
        return action

    def status(self) -> Any:
        """The device's STATUS_REPLY."""
        return self._steadily(super().status)

    def counters(self) -> Counters:
        """Saturation and failure counters."""
        return self._steadily(super().counters)

    def link_counters(self) -> dict[str, dict[str, int]]:
        """The link counters of both sides: `host` since the link was opened, `device` since it last started."""
        return self._steadily(super().link_counters)

    def _start_journal(self, snapshot: bytes | None) -> None:
        self._journal.clear()
        self._snapshot = snapshot
        self._episode_open = False
        self._begun = True

    def _steadily(self, request: Callable[[], _Result]) -> _Result:
        """Make a request, again after each recovery, until the device answers it without having restarted."""
        for _ in range(MAX_RESTARTS):
            try:
                return request()
            except SessionLostError as error:
                self._recover(error)
        raise DeviceError(
            f"{self.link.url}: the device restarted {MAX_RESTARTS} times in a row. Does its supply hold, and does a "
            "watchdog reset it?"
        )

    def _recover(self, error: SessionLostError) -> None:
        """Bring the device back to where it was. Raises SessionLostError where that cannot be."""
        if not self._recoverable:
            raise error
        for _ in range(MAX_RESTARTS):
            self.restarts += 1
            try:
                self.link.greet()
                if self._begun:
                    self._repeat_journal()
                return
            except SessionLostError:
                continue
        raise DeviceError(
            f"{self.link.url}: the device restarted {MAX_RESTARTS} times in a row. Does its supply hold, and does a "
            "watchdog reset it?"
        )

    def _repeat_journal(self) -> None:
        if self._snapshot is None:
            super().begin()
        else:
            super().restore(self._snapshot)
        for number, call in enumerate(self._journal):
            observation, reward, terminated, truncated, answered, numbers = call
            action = super().step(observation, reward, terminated, truncated)
            if action != answered or self.action_outputs.tolist() != numbers:
                raise DeviceError(
                    f"{self.link.url}: the device restarted, and call {number} since the last snapshot, done over, was "
                    f"answered {action} {self.action_outputs.tolist() or ''} instead of {answered} {numbers or ''}: it "
                    "does not compute what it computed before. Run "
                    "`nrl-edge validate` with this board"
                )
