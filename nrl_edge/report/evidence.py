"""What else is known of a run: its noise, its budget against the board's limits, its profile, its replay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrl_edge.boards import find_board
from nrl_edge.codegen.budget import agent_budget
from nrl_edge.codegen.options import firmware_options
from nrl_edge.errors import ConfigurationError
from nrl_edge.noise.analysis import MIN_BITS, analyse
from nrl_edge.noise.budget import noise_budget
from nrl_edge.report.comparison import Grid
from nrl_edge.runs import RunFolder

NOISE_BYTES = 1 << 19
"""Of a run's noise, how much is looked at: four million bits say enough, and take two seconds."""
_WITHOUT_BOARD = ("float64", "reference", "native")


def noise_grid(run: RunFolder) -> Grid | None:
    """Health tests and estimates of the noise that a run drew; None where it kept none, or too little of it."""
    if run.info.entropy_mode not in ("raw", "expanded") or run.info.agent is None:
        return None
    try:
        noise = run.noise()
    except ConfigurationError:
        return None
    if 8 * len(noise) < MIN_BITS:
        return None
    looked_at = noise[:NOISE_BYTES]
    report = analyse(np.unpackbits(np.frombuffer(looked_at, np.uint8), bitorder="little"))
    rows = [(check.claim, "✓ holds" if check.holds else "✗ fails", check.figure) for check in report.checks]
    rows.append(("share of ones", "", f"{report.ones:.4f}"))
    part = "" if len(looked_at) == len(noise) else f" Its first {len(looked_at):,} bytes were looked at."
    kind = "raw" if run.info.entropy_mode == "raw" else "expanded by a generator, so that it says little of the source"
    note = f"{len(noise):,} bytes that the agent drew, {kind}.{part}"
    return Grid("Noise", note, ("claim", "verdict", "figure"), tuple(rows))


def budget_grid(run: RunFolder) -> Grid | None:
    """What the agent takes of its board, against what the board has; None for a run without a board."""
    agent = run.agent
    if agent is None or run.info.target in _WITHOUT_BOARD:
        return None
    try:
        board = find_board(run.info.target)
    except ConfigurationError:
        return None  # of a catalogue that has changed since
    rows = []

    def add(name: str, takes: float, has: float | None, unit: str, form: str = ",.0f") -> None:
        share = f"{takes / has:.1%}" if has else "–"
        # A figure and its unit stay on one line.
        limit = f"{has:{form}}\u00a0{unit}" if has else "no limit"
        rows.append((name, f"{takes:{form}}\u00a0{unit}", limit, share))

    memory = board.memory
    try:
        firmware = agent_budget(
            agent,
            board,
            seed=run.experiment.entropy.seed,
            entropy_mode=run.experiment.entropy.mode,
            options=firmware_options(run.experiment),
        )
    except ConfigurationError:
        firmware = None  # a process has no limits, and some boards are built by others
    if firmware is not None:
        add("variables of the whole firmware in RAM", firmware.ram_bytes, firmware.ram_limit_bytes, "B")
        if firmware.flash_bytes is not None:
            name = f"code and constants in flash, estimated within {firmware.error:.0%}"
            add(name, firmware.flash_bytes, firmware.flash_limit_bytes, "B")
    add("weights and traces in RAM", 2 * agent.weight_bytes, memory.ram_bytes if memory else None, "B")
    if board.nonvolatile is not None and board.nonvolatile.store_bytes:
        add("one image of the agent in the weight store", agent.snapshot_bytes, board.nonvolatile.store_bytes, "B")
    source, result = board.entropy_source, run.result() or {}
    steps = result.get("steps_per_second")
    is_faster = False
    if firmware is not None and isinstance(steps, int | float):
        add("steps a second of this run, against the line's", steps, firmware.link_rate_hz, "Hz", ",.1f")
        add("steps a second of this run, against the core's", steps, firmware.max_control_rate_hz, "Hz", ",.1f")
        limits = [each for each in (firmware.link_rate_hz, firmware.max_control_rate_hz) if each]
        is_faster = any(steps > each for each in limits)
    if run.info.entropy_mode == "raw" and isinstance(steps, int | float):
        budget = noise_budget(agent)
        rate = source.bits_per_second if source is not None else None
        add("random bits a second, at this run's steps a second", budget.bits_per_step * steps, rate, "bit/s")
    note = (
        f"Against the limits of {board.name}. What nrl-edge budget says beforehand; nrl-edge build measures an image."
    )
    if is_faster:
        note += " The run was faster than the board can be: an emulator waits neither for the line nor for the core."
    return Grid("Budget", note, ("what", "takes", "the board has", "share"), tuple(rows))


def read_profile(path: Path) -> Mapping[str, Any]:
    """The last line of a file of JSON lines: the result of a profile. Raises ConfigurationError."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        values = json.loads(lines[-1])
    except (OSError, UnicodeDecodeError, ValueError, IndexError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} holds no profile ({error}); it has to be what profiling with --json printed"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no profile: its last line is no JSON object")
    return values


def profile_grid(profile: Mapping[str, Any]) -> Grid:
    """Counts of a profile: a row for each of its distributions (min, median, max), others as they are."""
    unit = str(profile.get("unit", "counts"))
    rows: list[tuple[str, ...]] = []

    def add(name: str, value: object) -> None:
        if isinstance(value, Mapping) and {"min", "median", "max"} <= set(value):
            rows.append((name, *(_count(value[key]) for key in ("min", "median", "max"))))

    for name, value in profile.items():
        add(name.replace("_", " "), value)
    phases = profile.get("phases")
    if isinstance(phases, Mapping):
        for name, value in phases.items():
            add(f"phase {name}", value)
    facts = [
        f"{name.replace('_', ' ')} {_count(profile[name])}"
        for name in ("target", "calls", "stack_high_water_bytes", "clock_hz")
        if profile.get(name) is not None
    ]
    return Grid("Profile", f"In {unit}. {', '.join(facts)}.", ("what", "least", "median", "largest"), tuple(rows))


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def link_rows(result: Mapping[str, Any]) -> dict[str, str]:
    """Link counters of a run's result: one row a counter, the host's and the device's beside each other."""
    link = result.get("link")
    if not isinstance(link, Mapping):
        return {}
    host, device = link.get("host") or {}, link.get("device") or {}
    names: Sequence[str] = [*host, *(name for name in device if name not in host)]

    def cell(counts: Mapping[str, int], name: str) -> str:
        return f"{counts[name]:,}" if name in counts else "–"

    return {f"{name} (host / device)": f"{cell(host, name)} / {cell(device, name)}" for name in names}
