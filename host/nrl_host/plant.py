"""NRL/Serial-v0: a plant on a board as a gymnasium environment (docs/plant.md).

gymnasium.make("nrl_host.plant:NRL/Serial-v0", port="/dev/ttyACM0")      a board on the desk
gymnasium.make("nrl_host.plant:NRL/Serial-v0", board="microbit")         the example plant, in the board's emulator
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nrl_edge.boards import find_board
from nrl_edge.errors import ConfigurationError, DeviceError
from nrl_edge.export import PLANT_SHAPE, render_plant
from nrl_host.build.toolchain import build_sources
from nrl_host.link import DEFAULT_BAUD, Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES
from nrl_host.targets import Target, make_target

ENVIRONMENT_ID = "NRL/Serial-v0"
TERMINATED, TRUNCATED, STOPPED = 1, 2, 4
"""Flags of PLANT_STATE."""
NO_SAFE_ACTION = 255
DEFAULT_TIMEOUT_MS = 500
"""In real time, the plant stops where no action comes for so long."""
LARGEST_MS = 65535


def make_plant_target(board_id: str) -> Target:
    """The example plant, built for a board and running in its emulator (or, for "desktop", as a process).

    Raises ConfigurationError for a board without an emulator, MissingToolError where a tool is not installed.
    """
    board = find_board(board_id)
    return make_target(board_id, PLANT_SHAPE, program=build_sources(render_plant(board), board))


class SerialPlant(gymnasium.Env[NDArray[np.float64], np.int64]):
    """A plant behind a serial link. Observations are float64 in the plant's units, actions Discrete.

    Either `port` (anything pyserial opens) or `board` (the example plant in that board's emulator) is given.
    `period_ms` 0 is lock step: the plant's time goes on by one step with each action and stands still between.
    Otherwise the plant takes a step each period, on its own clock: `step` comes back when the one with its action is
    done, and where an action comes too late, the one before is held and the deadline counted as missed. `timeout_ms`
    is how long the plant goes on without an action until it stops for safety (0: for ever); None is 500 in real time,
    or ten periods where that is longer, and 0 in lock step.

    `info` of reset and step: `step` (of the episode, on the plant), `missed_deadlines` (in the episode),
    `missed_since_last`, `safety_stop`; in real time besides `plant_ms` (from the state before to this one, by the
    plant's clock, in ms), `jitter_ms` (its difference from the periods that went by) and `round_trip_ms` (here, with
    what the plant waited for). In lock step they would be the only thing that differs from run to run; the last round
    trip is in `round_trip_ms` of the environment. A safety stop truncates the episode.

    Raises DeviceError where no plant answers, and RunError or DeviceError from the link.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  as gymnasium has it

    def __init__(
        self,
        port: str | None = None,
        *,
        board: str | None = None,
        period_ms: int = 0,
        timeout_ms: int | None = None,
        baud: int = DEFAULT_BAUD,
        reset_on_open: bool = True,
    ) -> None:
        if (port is None) == (board is None):
            raise ConfigurationError(
                "NRL/Serial-v0 needs the port of a plant, or the board to emulate one of, not both"
            )
        if timeout_ms is None:
            timeout_ms = max(DEFAULT_TIMEOUT_MS, 10 * period_ms) if period_ms else 0
        for name, value in (("period_ms", period_ms), ("timeout_ms", timeout_ms)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_MS:
                raise ConfigurationError(
                    f"NRL/Serial-v0: {name} = {value!r}: allowed are 0 to {LARGEST_MS} milliseconds"
                )
        if timeout_ms and timeout_ms <= period_ms:
            raise ConfigurationError(
                f"NRL/Serial-v0: timeout_ms = {timeout_ms} is no longer than a period of {period_ms} ms: the plant "
                "would stop before the first action is due"
            )
        self.period_ms, self.timeout_ms = period_ms, timeout_ms
        self._target: Target | None = None
        self._link: Link | None = None
        try:
            if board is not None:
                self._target = make_plant_target(board)
                self._target.start()
                port = self._target.url
            assert port is not None
            # A reply may come a whole period after its request.
            self._link = Link(port, baud=baud, reset_on_open=reset_on_open, timeout=0.5 + 2 * period_ms / 1000)
            self._meet(self._link)
        except BaseException:
            self.close()
            raise
        self._last: Any = None
        self._is_over = True
        self.round_trip_ms = 0.0
        """How long the last reset or step took here."""

    def _meet(self, link: Link) -> None:
        """Ask the plant what it is."""
        try:
            hello = link.request(MESSAGES["PLANT_HELLO"]())
        except RequestRefusedError as error:
            if error.code_name == "UNKNOWN_REQUEST":
                raise DeviceError(
                    f"{link.url}: the firmware there has an agent and is no plant. "
                    "`nrl-edge export plant --board BOARD` writes the firmware of one"
                ) from None
            raise
        self.plant_name: str = hello.name
        """What the plant calls itself."""
        self.time_limit: int | None = hello.time_limit or None
        """Steps after which the plant truncates an episode."""
        self.safe_action: int | None = None if hello.safe_action == NO_SAFE_ACTION else hello.safe_action
        """What the plant does when it stops for safety, where that is an action."""
        self._inputs = int(hello.inputs)
        self._one = 2.0**hello.observation_frac_bits
        self._reward_one = 2.0**hello.reward_frac_bits
        if (
            not 1 <= self._inputs <= 8
            or hello.actions < 1
            or max(hello.observation_frac_bits, hello.reward_frac_bits) > 31
        ):
            raise DeviceError(
                f"{link.url}: the plant says that it has {self._inputs} inputs and {hello.actions} actions in Q"
                f"{hello.observation_frac_bits} and Q{hello.reward_frac_bits}; 1 to 8 inputs and Q0 to Q31 are possible"
            )
        bounds = [link.request(MESSAGES["PLANT_BOUNDS"](number)) for number in range(self._inputs)]
        low, high = (np.array([getattr(each, side) for each in bounds]) / self._one for side in ("low", "high"))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float64)
        self.action_space = gymnasium.spaces.Discrete(int(hello.actions))

    @property
    def link(self) -> Link:
        """The link to the plant. Raises DeviceError when the environment is closed."""
        if self._link is None:
            raise DeviceError("this environment is closed: make a new one")
        return self._link

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Begin an episode; what is left to chance comes from `seed`, or else from this environment's generator."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(1 << 31)) if seed is None else seed & 0x7FFFFFFF
        started = time.perf_counter()
        self._last = None
        state = self.link.request(MESSAGES["PLANT_RESET"](drawn, self.period_ms, self.timeout_ms))
        self._is_over = False
        return self._observation(state), self._information(state, started)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Act, and come back when the plant has taken the step."""
        if self._is_over:
            raise gymnasium.error.ResetNeeded("the plant's episode is over, or has not begun: call reset first")
        started = time.perf_counter()
        state = self.link.request(MESSAGES["PLANT_STEP"](int(action)))
        information = self._information(state, started)
        terminated = bool(state.flags & TERMINATED)
        truncated = bool(state.flags & (TRUNCATED | STOPPED))
        self._is_over = terminated or truncated
        return self._observation(state), state.reward / self._reward_one, terminated, truncated, information

    def close(self) -> None:
        """Close the link, and end the emulator where there is one. Closing twice is fine."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._target is not None:
            self._target.stop()
            self._target = None

    def _observation(self, state: Any) -> NDArray[np.float64]:
        observation: NDArray[np.float64] = np.array(state.observation[: self._inputs], dtype=np.float64) / self._one
        return observation

    def _information(self, state: Any, started: float) -> dict[str, Any]:
        self.round_trip_ms = 1000.0 * (time.perf_counter() - started)
        last, self._last = self._last, state
        information = {
            "step": state.step,
            "missed_deadlines": state.missed,
            "missed_since_last": state.missed - (0 if last is None else last.missed),
            "safety_stop": bool(state.flags & STOPPED),
        }
        if self.period_ms:
            plant_ms = 0 if last is None else (state.time_ms - last.time_ms) & 0xFFFFFFFF
            periods = 0 if last is None else state.step - last.step
            information["plant_ms"] = plant_ms
            information["jitter_ms"] = plant_ms - periods * self.period_ms
            information["round_trip_ms"] = self.round_trip_ms
        return information


if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT_ID, entry_point="nrl_host.plant:SerialPlant")
