"""The committed table of counts and sizes: what the core cost when it was last counted, and why it changed.

Figures may fall as they like; one that grows by more than 2 % is an error until the table says why. Counts of another
compiler are not compared: they say something about the compiler.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.counts.cores import CORES, Core, Unit
from benchmarks.counts.measure import Count, count_agent, count_naive
from benchmarks.counts.naive import NAIVE_KINDS, NAIVE_STEPS, naive_flags, naive_sources
from benchmarks.counts.networks import NETWORKS, SEED, STEPS, Network, configuration_of, find_network
from benchmarks.counts.sizes import FIRMWARE_BOARDS, core_sizes, firmware_sizes, parameter_bytes
from nrl_edge.errors import ConfigurationError, RunError

TABLE = Path(__file__).parent / "table.toml"
GROWTH = 1.02
"""What a figure may grow to, times what it was, without a reason."""
COUNTED: tuple[tuple[str, str], ...] = (
    *((network.name, "int16") for network in NETWORKS),
    ("4-64-2", "tiny"),
    ("4-64-2", "online"),
    ("6-128-3", "online"),
    ("4-64-2", "online-tiny"),
)
"""Networks and kinds in the table, on every core."""
SIZED = NETWORKS[0]
"""The network whose code is measured: other sizes of the same shape hardly change it."""
FIGURES = ("step", "update", "step_mean", "learning_text", "text", "agent")
"""Figures of an agent that must not grow."""


@dataclass(frozen=True)
class Row:
    """One agent on one core."""

    core: str
    network: str
    kind: str
    unit: Unit
    step: int
    """Median cost of a step."""
    step_min: int
    step_max: int
    step_mean: int
    """Of an online agent, with its updates every four steps."""
    update: int
    """Median cost of the call that closes an episode."""
    instructions: int = 0
    """Median instructions of a step; 0 where only cycles are known."""
    critic: int = 0
    """Mean cost of the critic in a step, with what it calls; 0 without one."""
    learning_text: int = 0
    """Bytes of code and constants that init and step need; 0 where SIZED is another network."""
    text: int = 0
    """Bytes of the whole core; likewise."""
    agent: int = 0
    """sizeof(nrl_agent_t)."""
    parameters: int = 0
    """Bytes of weights and traces in it."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is about."""
        return self.core, self.network, self.kind

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.core} {self.network} {self.kind}"


@dataclass(frozen=True)
class Reason:
    """Why the table was written."""

    on: str
    why: str
    changes: tuple[str, ...]
    """The figures that grew by more than GROWTH, as "NAME: FIGURE OLD -> NEW"."""


@dataclass(frozen=True)
class Table:
    """All that was counted."""

    compilers: dict[str, str]
    """Version line by core."""
    rows: tuple[Row, ...]
    firmware_text: dict[str, int]
    """Bytes of a board's 4-64-2 firmware without port."""
    reasons: tuple[Reason, ...]
    """Latest first."""
    steps: int = STEPS
    naive: str = ""
    """What the naive versions' rows are of: see `naive_identity`."""

    def row(self, core: str, network: str, kind: str) -> Row:
        """One row. Raises KeyError where there is none."""
        for row in self.rows:
            if row.key == (core, network, kind):
                return row
        raise KeyError((core, network, kind))


# Counting


def row_of(count: Count, network: Network, kind: str) -> Row:
    """What the table keeps of a count."""
    step, instructions = count.step, count.step_instructions
    row = Row(
        core=count.core.id,
        network=network.name,
        kind=kind,
        unit=count.core.unit,
        step=step.median,
        step_min=step.min,
        step_max=step.max,
        step_mean=round(step.mean),
        update=count.update.median,
        instructions=0 if instructions is None else instructions.median,
    )
    if kind in NAIVE_KINDS:
        return row
    configuration = configuration_of(network, kind)
    row = replace(
        row,
        critic=round(count.critic) if kind.startswith("online") else 0,
        agent=count.image.variables["counted_agent"].bytes,
        parameters=parameter_bytes(configuration),
    )
    if network != SIZED:
        return row
    sizes = core_sizes(count.core, configuration, row.agent)
    return replace(row, learning_text=sizes.learning.text_bytes, text=sizes.whole.text_bytes)


def count_rows(
    cores: Iterable[Core] = CORES,
    counted: Iterable[tuple[str, str]] = COUNTED,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Iterator[Row]:
    """Count agents."""
    for name, kind in counted:
        network = find_network(name)
        for core in cores:
            row = row_of(count_agent(core, network, kind), network, kind)
            on_row(row)
            yield row


def count_naive_rows(on_row: Callable[[Row], None]) -> Iterator[Row]:
    """Count the naive versions of all networks on all cores."""
    for network in NETWORKS:
        for kind in NAIVE_KINDS:
            for core in CORES:
                row = row_of(count_naive(core, network, kind), network, kind)
                on_row(row)
                yield row


def naive_identity() -> str:
    """Changes with all that the counts of the naive versions depend on: their text, flags, compilers and streams."""
    digest = hashlib.sha256(f"{NAIVE_STEPS} {SEED}".encode())
    for network in NETWORKS:
        for kind in NAIVE_KINDS:
            digest.update(json.dumps(naive_sources(network, kind)).encode())
    for core in CORES:
        flags = [(*core.flags, *naive_flags(core.id, kind)) for kind in NAIVE_KINDS]
        digest.update(json.dumps([core.compiler, flags]).encode())
    return digest.hexdigest()[:16]


def count_firmware() -> dict[str, int]:
    """Bytes of text of the boards' firmware without port."""
    configuration = configuration_of(SIZED)
    return {board: firmware_sizes(board, configuration).text_bytes for board in FIRMWARE_BOARDS}


# Comparing


def growth(old: Table, rows: Iterable[Row], firmware: dict[str, int]) -> list[str]:
    """The figures that grew by more than GROWTH; of cores with another compiler than the table's, none."""
    grown = []
    for row in rows:
        try:
            before = old.row(*row.key)
        except KeyError:
            continue
        if row.kind in NAIVE_KINDS or not is_comparable(old, row.core):
            continue
        for figure in FIGURES:
            was, now = getattr(before, figure), getattr(row, figure)
            # A figure that was not kept is 0.
            if was and now > GROWTH * was:
                grown.append(f"{row.name}: {figure} {was} -> {now}")
    for board, now in firmware.items():
        was = old.firmware_text.get(board, now)
        if now > GROWTH * was and all(is_comparable(old, core.id) for core in CORES):
            grown.append(f"firmware of {board}: text {was} -> {now}")
    return grown


def gains(old: Table, rows: Iterable[Row]) -> list[str]:
    """Steps and updates that became cheaper by as much: nothing wrong, but the table does not know."""
    found = []
    for row in rows:
        if not is_comparable(old, row.core) or row.kind in NAIVE_KINDS:
            continue
        try:
            before = old.row(*row.key)
        except KeyError:
            continue
        found += [
            f"{row.name}: {figure} {getattr(before, figure)} -> {getattr(row, figure)}"
            for figure in ("step", "update", "step_mean")
            if getattr(row, figure) * GROWTH < getattr(before, figure)
        ]
    return found


def is_comparable(table: Table, core_id: str) -> bool:
    """Whether the compiler here is the one that the table's counts of a core are of."""
    core = next(core for core in CORES if core.id == core_id)
    return table.compilers.get(core_id) == core.compiler


def renewed(old: Table | None, why: str, on_row: Callable[[Row], None]) -> Table:
    """A table of all that is counted now, with one more reason. Raises ConfigurationError for an empty one.

    The naive versions are counted again only where something that they depend on has changed.
    """
    if not why.strip():
        raise ConfigurationError('say why the table is written anew: --update --why "..."')
    rows = tuple(count_rows(on_row=on_row))
    naive = naive_identity()
    if old is not None and old.naive == naive:
        rows += tuple(row for row in old.rows if row.kind in NAIVE_KINDS)
    else:
        rows += tuple(count_naive_rows(on_row))
    firmware = count_firmware()
    grown = tuple(growth(old, rows, firmware)) if old is not None else ()
    reasons = (Reason(date.today().isoformat(), why.strip(), grown), *(old.reasons if old is not None else ()))
    return Table({core.id: core.compiler for core in CORES}, rows, firmware, reasons, naive=naive)


# The file


def read_table(path: Path = TABLE) -> Table:
    """The committed table. Raises RunError where there is none or it cannot be read."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Table(
            data["compilers"],
            tuple(_row(line) for line in data["rows"]),
            data["firmware_text"],
            tuple(Reason(each["on"], each["why"], tuple(each["changes"])) for each in data["reasons"]),
            data["steps"],
            data["naive"],
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path.name} cannot be read ({error}); write it with: python -m benchmarks.counts --update"
        ) from error


_COLUMNS = list(Row.__dataclass_fields__)


def _row(line: str) -> Row:
    values: dict[str, Any] = dict(zip(_COLUMNS, line.split(), strict=True))
    return Row(**{name: value if name in _COLUMNS[:4] else int(value) for name, value in values.items()})


def table_text(table: Table) -> str:
    """The table as TOML, one line a row so that a difference can be read."""
    lines = [
        "# Counts and sizes of the generated core. Written by: python -m benchmarks.counts --update --why REASON",
        "# Compared by `python -m benchmarks.counts --check` and by the tests; see docs/performance.md.",
        "",
        f"steps = {table.steps}",
        f'naive = "{table.naive}"',
        "",
    ]
    widths = [max(len(str(getattr(row, name))) for row in table.rows) for name in _COLUMNS]
    lines.append("# " + " ".join(name for name in _COLUMNS))
    lines.append("rows = [")
    for row in table.rows:
        cells = [str(value) for value in asdict(row).values()]
        padded = [
            cell.ljust(width) if place < 4 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(f'    "{" ".join(padded)}",')
    lines += ["]", "", "[compilers]"]
    lines += [f"{core} = {json.dumps(version)}" for core, version in table.compilers.items()]
    lines += ["", "# Bytes of text of the 4-64-2 firmware, without port and start-up.", "[firmware_text]"]
    lines += [f"{board} = {size}" for board, size in table.firmware_text.items()]
    for reason in table.reasons:
        lines += ["", "[[reasons]]", f"on = {json.dumps(reason.on)}", f"why = {json.dumps(reason.why)}"]
        changes = "".join(f"\n    {json.dumps(change)}," for change in reason.changes)
        lines.append(f"changes = [{changes}{chr(10) if changes else ''}]")
    return "\n".join(lines) + "\n"


def write_table(table: Table, path: Path = TABLE) -> None:
    """Write the table, whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.write_text(table_text(table), encoding="utf-8")
    temporary.replace(path)
