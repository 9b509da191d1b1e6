"""What the firmware costs on the target itself: counts of each call of step by phase, and the depth of the stack.

The firmware is built with marks (firmware_templates/profile) that read the port's counter, and tells after each call
what it counted. In an emulator that is done twice with the very same calls: first with nothing marked but whole steps
and updates, so that these are what they are without marks, then with every phase marked. See docs/profile.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EPISODE_ENDED, EntropySettings
from nrl_edge.boards import Board, find_board
from nrl_edge.codegen.options import PROFILE_DETAILS, PROFILE_PHASES, ProfileDetail, firmware_options
from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_edge.experiment import Experiment, entropy_settings, resolve_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.simulation import ReturnStatistics, run_agent
from nrl_host.build.board_build import build_for_board
from nrl_host.device import LinkAgent
from nrl_host.link import DEFAULT_BAUD, Link, RequestRefusedError
from nrl_host.targets import make_target
from nrl_host.targets.emulated import CountingUnit, EmulatedTarget

DEFAULT_EPISODES = 10
_LINK, _UPDATE = PROFILE_PHASES.index("link"), PROFILE_PHASES.index("update")
_MARKS_LIMIT = 255
"""Where the firmware's count of marks stops."""

OnEpisode = Callable[[int, str], None]
"""Is called after each episode with how many there were so far, both passes together, and which pass it is."""


@dataclass(frozen=True)
class Distribution:
    """Counts of many calls."""

    min: int
    median: int
    """Of an even number of calls the lower one of the two in the middle: a count that was really there."""
    max: int


@dataclass(frozen=True)
class WorstCall:
    """The call of step that cost most, the link not included."""

    call: int
    """Its number, from 0."""
    count: int
    """What it cost without marks in its phases."""
    phases: dict[str, int] | None
    """What it cost by phase, where phases were marked."""


@dataclass(frozen=True)
class Profile:
    """What the firmware of one agent costs on one target."""

    target: str
    """Id of the board."""
    unit: CountingUnit
    calls: int
    """Calls of step that were counted."""
    step: Distribution
    """Calls that chose an action, without link and without updates that fell into them."""
    update: Distribution | None
    """Updates of the weights; None where there was none in the episodes."""
    call: Distribution
    """Whole calls, updates included and the link not: the longest is what a control loop has to have time for."""
    phases: dict[str, Distribution] | None
    """Of the calls that have the phase; None where the firmware marks none."""
    worst_call: WorstCall
    stack_high_water_bytes: int
    """The most that was in use at once, found by painting the memory."""
    mark_cost: int
    """Counts of one mark, which were taken off all figures."""
    detail_calls: Distribution | None
    """Calls that chose an action, in firmware whose phases are marked, less what the marks cost: how far this is from
    `step` and its updates is what the marks do to the code around them."""
    clock_hz: int | None
    """The clock of the board's core, cycles a second."""
    weights_crc32: str
    """Of the weights at the end: counting changes nothing that is learned."""

    def as_dict(self) -> dict[str, Any]:
        """The profile as one JSON object."""
        return asdict(self)


class MeasuringAgent(LinkAgent):
    """The agent of a device that was built with marks. After each call it reads what the call cost."""

    def __init__(self, link: Link, configuration: AgentConfiguration, entropy: EntropySettings) -> None:
        super().__init__(link, configuration, entropy)
        self.actions: list[int] = []
        self.counts: list[tuple[int, ...]] = []
        """Of each call the counts of each phase, as the device gives them."""
        self.marks: list[tuple[int, ...]] = []
        self._read_codec = link.codec_of("PROFILE_READ")
        self._profile_codec = link.codec_of("PROFILE_REPLY")
        self.detail, self.mark_cost, self.counts_per_second, self.stack_bytes = self._read()[3:7]

    def _read(self) -> tuple[Any, ...]:
        try:
            return self.link.request_flat(self._read_codec, self._profile_codec, ())
        except RequestRefusedError as error:
            if error.code_name != "UNKNOWN_REQUEST":
                raise
            board = self.hello.board
            raise DeviceError(
                f"{self.link.url}: the firmware of {board} was not built to measure itself; build it with "
                f"`nrl-edge build EXPERIMENT --board {board} --profile phases --output DIR` and flash that"
            ) from None

    def step(self, observation: NDArray[np.int16], reward: int, terminated: bool, truncated: bool) -> int:
        """As every agent's, and then reads what it cost."""
        action = super().step(observation, reward, terminated, truncated)
        values = self._read()
        phases = len(PROFILE_PHASES)
        self.actions.append(action)
        self.stack_bytes = values[6]
        self.counts.append(values[7 : 7 + phases])
        # Fields of bytes come as bytes, other arrays as numbers.
        self.marks.append(tuple(values[7 + phases]))
        return action


@dataclass(frozen=True)
class _Pass:
    """Corrected counts of one run: an array (calls, phases), and which calls have which phase."""

    counts: NDArray[np.int64]
    marked: NDArray[np.bool_]
    chose_action: NDArray[np.bool_]
    detail: ProfileDetail
    mark_cost: int
    stack_bytes: int
    counts_per_second: int
    weights_crc32: str

    @property
    def calls(self) -> NDArray[np.int64]:
        """Whole calls, without the link."""
        return np.asarray(self.counts.sum(axis=1) - self.counts[:, _LINK], dtype=np.int64)


def _distribution(values: NDArray[np.int64]) -> Distribution | None:
    if not values.size:
        return None
    ordered = np.sort(values)
    return Distribution(int(ordered[0]), int(ordered[(ordered.size - 1) // 2]), int(ordered[-1]))


def corrected_counts(
    counts: Sequence[Sequence[int]], marks: Sequence[Sequence[int]], mark_cost: int, counts_per_unit: float
) -> NDArray[np.int64]:
    """Counts in the emulator's unit, without what the marks cost; both arrays have shape (calls, phases).

    A count of the device's counter may be less than one instruction: sums are rounded to whole ones. Raises RunError
    where a phase has more marks than the device can count.
    """
    times = np.asarray(marks, dtype=np.int64)
    if (times == _MARKS_LIMIT).any():
        raise RunError("a phase of the firmware has too many marks for their cost to be known")
    whole = np.rint(np.asarray(counts, dtype=np.float64) / counts_per_unit).astype(np.int64)
    corrected: NDArray[np.int64] = np.maximum(whole - times * round(mark_cost / counts_per_unit), 0)
    return corrected


def _measure(
    experiment: Experiment,
    configuration: AgentConfiguration,
    link: Link,
    counts_per_unit: float,
    on_episode: Callable[[], None],
) -> _Pass:
    agent = MeasuringAgent(link, configuration, entropy_settings(experiment))

    def advance(outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
        on_episode()

    summary = run_agent(agent, experiment, link.hello.board, on_episode=advance)
    marks = np.array(agent.marks)
    if not 0 < agent.detail < len(PROFILE_DETAILS):
        raise DeviceError(f"{link.url}: the device counts in a way {agent.detail} that this version does not know")
    return _Pass(
        counts=corrected_counts(agent.counts, agent.marks, agent.mark_cost, counts_per_unit),
        marked=marks > 0,
        chose_action=np.array(agent.actions) != EPISODE_ENDED,
        detail=PROFILE_DETAILS[agent.detail],
        mark_cost=round(agent.mark_cost / counts_per_unit),
        stack_bytes=agent.stack_bytes,
        counts_per_second=agent.counts_per_second,
        weights_crc32=summary.weights_crc32,
    )


def _profile(target: str, unit: CountingUnit, light: _Pass, detailed: _Pass | None, clock_hz: int | None) -> Profile:
    calls = light.calls
    step = _distribution((calls - light.counts[:, _UPDATE])[light.chose_action])
    whole = _distribution(calls)
    if step is None or whole is None:
        raise RunError("no call of step was counted: the experiment has no episodes")
    worst = int(calls.argmax())
    phases = worst_phases = None
    if detailed is not None:
        phases = {
            name: found
            for index, name in enumerate(PROFILE_PHASES)
            if (found := _distribution(detailed.counts[detailed.marked[:, index], index])) is not None
        }
        if len(detailed.counts) == len(calls):
            worst_phases = {
                name: int(detailed.counts[worst, index])
                for index, name in enumerate(PROFILE_PHASES)
                if detailed.marked[worst, index]
            }
    return Profile(
        target=target,
        unit=unit,
        calls=len(calls),
        step=step,
        update=_distribution(light.counts[light.marked[:, _UPDATE], _UPDATE]),
        call=whole,
        phases=phases,
        worst_call=WorstCall(worst, int(calls[worst]), worst_phases),
        stack_high_water_bytes=light.stack_bytes,
        mark_cost=light.mark_cost,
        detail_calls=None if detailed is None else _distribution(detailed.calls[detailed.chose_action]),
        clock_hz=clock_hz,
        weights_crc32=light.weights_crc32,
    )


def profile(
    experiment: Experiment,
    target: str,
    *,
    episodes: int = DEFAULT_EPISODES,
    on_episode: OnEpisode = lambda finished, stage: None,
) -> Profile:
    """What the experiment's firmware costs on a board, in the board's emulator, over its first episodes.

    Equal experiments give equal profiles with seeded entropy: emulators count instructions (QEMU, unicorn) or clock
    cycles (simavr). Raises ConfigurationError for a board without an emulator, and for the desktop; MissingToolError
    where compiler or emulator is not installed; DoesNotFitError where the board cannot hold the firmware with its
    marks; RunError where the two passes do not learn the same.
    """
    board = find_board(target)
    if board.toolchain is None:
        raise ConfigurationError(
            f"target {target!r} is a process of this computer: it has no counter that would say what a microcontroller "
            "needs. Name a board with an emulator (`nrl-edge boards` lists them), such as --target microbit"
        )
    experiment = experiment.with_overrides(episodes=episodes)
    finished = 0

    def run(detail: ProfileDetail) -> tuple[_Pass, CountingUnit]:
        options = replace(firmware_options(experiment), profile=detail)
        configuration = resolve_agent(experiment)
        seed, mode = experiment.entropy.seed, experiment.entropy.mode
        # Where it does not fit, this says what would.
        built = build_for_board(configuration, board, seed=seed, entropy_mode=mode, options=options)
        place = make_target(board.id, configuration, mode, seed=seed, options=options, program=built.image)
        if not isinstance(place, EmulatedTarget):
            raise ConfigurationError(f"board {board.id!r} runs in no emulator that counts")

        def advance() -> None:
            nonlocal finished
            finished += 1
            on_episode(finished, detail)

        with place, Link(place.url, key=options.link_key) as link:
            return _measure(experiment, configuration, link, place.counts_per_instruction, advance), place.counting_unit

    light, unit = run("steps")
    detailed, _ = run("phases")
    if experiment.entropy.mode == "seeded" and light.weights_crc32 != detailed.weights_crc32:
        raise RunError(
            f"with every phase marked the firmware learned other weights ({detailed.weights_crc32}) than without "
            f"({light.weights_crc32}): it does not compute the same"
        )
    return _profile(board.id, unit, light, detailed, _clock(board))


def profile_device(
    experiment: Experiment,
    port: str,
    *,
    baud: int = DEFAULT_BAUD,
    reset_on_open: bool = True,
    episodes: int = DEFAULT_EPISODES,
    on_episode: OnEpisode = lambda finished, stage: None,
) -> Profile:
    """The same of a device at `port`, in clock cycles: it has firmware built with `nrl-edge build --profile`.

    Firmware that marks every phase gives all figures; one that marks whole steps gives `phases` None. The device
    begins a new agent. Raises DeviceError where no device answers, or one that does not count.
    """
    experiment = experiment.with_overrides(episodes=episodes)
    finished = 0

    def advance() -> None:
        nonlocal finished
        finished += 1
        on_episode(finished, port)

    key = firmware_options(experiment).link_key
    with Link(port, baud=baud, reset_on_open=reset_on_open, key=key) as link:
        measured = _measure(experiment, resolve_agent(experiment), link, 1.0, advance)
        target = str(link.hello.board)
    detailed = measured if measured.detail == "phases" else None
    return _profile(target, "cycles", measured, detailed, measured.counts_per_second)


def _clock(board: Board) -> int | None:
    return None if board.clock is None else board.clock.hz
