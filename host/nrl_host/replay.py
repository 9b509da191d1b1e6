"""Repeats a recorded run on any target: reference, native library, or the firmware of a board in its emulator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import ENTROPY_MODES, Agent, EntropySettings
from nrl_edge.codegen.core import initial_draw_bytes, step_draw_bytes, update_draw_bytes
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native import NativeAgent
from nrl_edge.replay import ReplayVerdict, replay
from nrl_edge.runs import RunFolder
from nrl_host.device import LinkAgent
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES
from nrl_host.targets import make_target


class ReplayingAgent(LinkAgent):
    """The agent of a device that draws recorded noise, which it is given as it has room for it.

    Raises ConfigurationError where the device has too little room for what one call of step draws.
    """

    def __init__(self, link: Link, configuration: AgentConfiguration, recording: bytes) -> None:
        super().__init__(link, configuration, EntropySettings(), begin=False)
        self._recording = recording
        self._call_bytes = step_draw_bytes(configuration) + update_draw_bytes(configuration)
        self._taken = 0
        """Bytes of the recording that are past, or on the device."""
        self._offset = 0
        """Where in the recording the device's byte 0 is."""
        try:
            self._room = self._capacity = self.link.request(MESSAGES["NOISE_WRITE"](0, b"")).room
        except RequestRefusedError as error:
            raise ConfigurationError(
                f"{self.hello.board} has no room for the noise that one step of this agent draws, so a run on raw "
                "noise cannot be repeated there; repeat it on the reference, or with --target native or desktop"
            ) from error
        initial = initial_draw_bytes(configuration)
        if initial <= self._capacity:
            self._supply()
            self.link.request(MESSAGES["BEGIN"](ENTROPY_MODES.index("replay"), (0, 0, 0, 0)))
        else:
            # More than there is room for: the device gets the weights that come of it.
            self._offset = self._taken = initial
            self._supply()
            self.restore(reference_agent(configuration, EntropySettings("replay", recording=recording)).snapshot())

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """Take the reward of the last action, learn, and choose the next action; see `Agent.step`."""
        # What the device draws at a call is known only up to a limit, and it says how much room it has when asked.
        if self._capacity - self._room < self._call_bytes:
            self._supply()
        action = super().step(observation, reward, terminated, truncated)
        self._room += self._call_bytes
        return action

    def _supply(self) -> None:
        """Hand over as much of the recording as there is room for, or the rest of it."""
        chunk = self._data_bytes("NOISE_WRITE")
        while True:
            position = self._taken - self._offset
            if position:
                # At first with nothing in hand: the device says how much room there really is.
                self._room = self.link.request(MESSAGES["NOISE_WRITE"](position, b"")).room
            part = self._recording[self._taken : self._taken + min(chunk, self._room)]
            if not part:
                return
            self._room = self.link.request(MESSAGES["NOISE_WRITE"](position, part)).room
            self._taken += len(part)


def replay_on(
    run: RunFolder, target: str = "reference", progress: Callable[[int, int], None] = lambda done, total: None
) -> ReplayVerdict:
    """Repeat a run on a target: "reference", "native", "desktop" or the id of a board that is emulated.

    `progress` is called with (calls done, calls in all). Raises ConfigurationError where the run cannot be repeated, or
    not there, MissingToolError where a compiler or an emulator is not installed.
    """
    with ExitStack() as stack:

        def firmware(configuration: AgentConfiguration, entropy: EntropySettings) -> Agent:
            place = stack.enter_context(make_target(target, configuration, seed=entropy.seed))
            link = stack.enter_context(Link(place.url))
            if entropy.mode == "seeded":
                return LinkAgent(link, configuration, entropy)
            return ReplayingAgent(link, configuration, entropy.recording)

        if target == "reference":
            return replay(run, progress)
        return replay(run, progress, make_agent=NativeAgent if target == "native" else firmware, target=target)
