"""The study file: a base experiment, axes of what is varied, and seeds. Read strictly; see docs/studies.md.

    [study]     seeds, and a name
    [base.*]    sections of an experiment file that all variants share
    [grid]      lists of rules, arithmetics, networks and task ids: all combinations of them
    [[task]], [[network]], [[variant]]   a label and sections that override the base: further axes of the grid

Whatever is said later in this order wins: base, task, network, grid, variant.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nrl_edge import __version__
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_edge.experiment.schema import ARITHMETIC_KINDS
from nrl_edge.experiment.values import MAX_SEED
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.learning.settings import RULES
from nrl_edge.strict_toml import Table, format_value, parse_toml, plain_value, read_text, show_key

SECTIONS = ("task", "network", "learning", "arithmetic")
"""Sections of an experiment file that a study may set; seeds are its own, and board and run have no part in it."""

Overrides = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Variant:
    """One cell of the grid: an experiment that is run with every seed."""

    task: str
    """Label of the task."""
    network: str
    """Label of the network."""
    label: str
    """What it is called in tables and plots: the variant's own label, or rule and arithmetic."""
    experiment: Experiment
    configuration: AgentConfiguration | None
    """The fixed-point agent; None for float64."""

    @property
    def name(self) -> str:
        """Task, network and label, for people."""
        return f"{self.task} / {self.network} / {self.label}"

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that change with whatever changes the results: experiment, formats, nrl-edge."""
        agent = self.configuration.description if self.configuration is not None else "float64"
        return hashlib.sha256(f"{__version__}\n{agent}\n{self.experiment.to_toml()}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Study:
    """A study file."""

    name: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    left_out: tuple[str, ...]
    """Names of combinations of [grid] that do not exist: baselines in fixed point."""
    text: str
    """The file itself."""

    def select(self, *, seeds: Sequence[int] | None = None, only: Sequence[str] = ()) -> Study:
        """The same study with other seeds, or only the variants whose names contain or match one of `only`.

        Raises ConfigurationError where nothing is left.
        """
        chosen = self.variants
        if only:
            chosen = tuple(v for v in chosen if any(_matches(v.name, pattern) for pattern in only))
            if not chosen:
                names = "\n  ".join(variant.name for variant in self.variants)
                raise ConfigurationError(f"no variant matches {', '.join(only)}; there are\n  {names}")
        return replace(self, variants=chosen, seeds=self.seeds if seeds is None else tuple(seeds))


def _matches(name: str, pattern: str) -> bool:
    return pattern.lower() in name.lower() or fnmatch.fnmatchcase(name.lower(), pattern.lower())


def load_study(path: str | Path) -> Study:
    """Read a study file. Raises ConfigurationError."""
    path = Path(path)
    return parse_study(read_text(path, "study file"), str(path))


def parse_study(text: str, name: str = "study.toml") -> Study:
    """The study of a TOML text; `name` stands for the file in messages. Every variant is checked, its task made.

    Raises ConfigurationError.
    """
    root = Table(parse_toml(text, name), name, "", ["study", "base", "grid", "task", "network", "variant"])
    head = root.table("study", ["name", "seeds"])
    title, seeds = head.text("name", Path(name).stem), _seeds(head)
    base = _overrides(root.table("base", SECTIONS), SECTIONS)
    grid = root.table("grid", ["rule", "arithmetic", "network", "task"])
    tasks = _axis(root, "task", grid, "id")
    networks = _axis(root, "network", grid, "hidden")
    rules = _grid_list(grid, "rule", RULES)
    arithmetics = _grid_list(grid, "arithmetic", ARITHMETIC_KINDS)
    blocks = [_Block(table, [*SECTIONS, "tasks", "networks"]) for table in root.tables("variant", _variant_keys())]
    for block in blocks:
        block.check_only("tasks", [task.label for task in tasks])
        block.check_only("networks", [network.label for network in networks])

    variants: list[Variant] = []
    left_out: list[str] = []
    for task, network, rule, arithmetic, block in itertools.product(
        tasks, networks, rules, arithmetics, blocks or [_Block.nothing()]
    ):
        if not block.applies(task.label, network.label):
            continue
        chosen: dict[str, dict[str, Any]] = {}
        if rule is not None:
            chosen["learning"] = {"rule": rule}
        if arithmetic is not None:
            chosen["arithmetic"] = {"kind": arithmetic}
        sections = _merge(base, task.sections, network.sections, chosen, block.sections)
        label = " ".join(part for part in (rule, arithmetic, block.label) if part)
        if not label:
            learning = sections.get("learning", {})
            label = f"{learning.get('rule', 'nrl')} {sections.get('arithmetic', {}).get('kind', 'int16')}"
        where = f"{task.label or sections.get('task', {}).get('id', 'task')} / "
        where += f"{network.label or _network_label(sections)} / {label}"
        # A rule that only float64 has, met in fixed point by a product of two lists, is nobody's mistake.
        if rule not in (None, "nrl") and arithmetic not in (None, "float64"):
            left_out.append(where)
            continue
        experiment = parse_experiment(_toml(sections), f"{name}, variant {where}")
        variants.append(
            Variant(
                task.label or experiment.task.id,
                network.label or "-".join(str(units) for units in experiment.network.hidden),
                label,
                experiment,
                None if experiment.arithmetic.kind == "float64" else resolve_agent(experiment),
            )
        )
    names = [variant.name for variant in variants]
    for each in names:
        if names.count(each) > 1:
            raise ConfigurationError(
                f'{name}: there are {names.count(each)} variants "{each}": give each a label of its own'
            )
    if not variants:
        raise ConfigurationError(f"{name}: no variant is left: every combination was excluded")
    return Study(title, seeds, tuple(variants), tuple(left_out), text)


class _Block:
    """One [[task]], [[network]] or [[variant]]: a label and what it overrides."""

    def __init__(self, table: Table | None, keys: Sequence[str]) -> None:
        self.table = table
        self.label = "" if table is None else table.text("label")
        self.sections = {} if table is None else _overrides(table, [key for key in keys if key in SECTIONS])
        self.only = {
            key: () if table is None or key not in keys else table.strings(key) for key in ("tasks", "networks")
        }

    @classmethod
    def nothing(cls) -> _Block:
        """An axis that the file does not have."""
        return cls(None, [])

    @classmethod
    def of(cls, label: str, section: str, key: str, value: object) -> _Block:
        """An entry of [grid] as a block."""
        block = cls(None, [])
        block.label, block.sections = label, {section: {key: value}}
        return block

    def check_only(self, key: str, labels: Sequence[str]) -> None:
        for label in self.only[key]:
            if label not in labels and self.table is not None:
                known = ", ".join(each for each in labels if each) or f"none, as no [[{key[:-1]}]] has one"
                self.table.fail(key, f"labels of [[{key[:-1]}]] are needed; there are {known}")

    def applies(self, task: str, network: str) -> bool:
        return all(
            not self.only[key] or label in self.only[key] for key, label in (("tasks", task), ("networks", network))
        )


def _variant_keys() -> list[str]:
    return ["label", "tasks", "networks", *SECTIONS]


def _axis(root: Table, section: str, grid: Table, key: str) -> list[_Block]:
    blocks = [_Block(table, SECTIONS) for table in root.tables(section, ["label", *SECTIONS])]
    labels = [block.label for block in blocks]
    for label in labels:
        if labels.count(label) > 1:
            root.fail(section, f'the label "{label}" stands twice')
    if not grid.has(section):
        return blocks or [_Block.nothing()]
    if blocks:
        grid.fail(section, f"[[{section}]] blocks are there as well: one of the two is needed, not both")
    values = grid.value(section)
    if not isinstance(values, list) or not values or not plain_value(values):
        example = '["CartPole-v1"]' if section == "task" else "[[64], [8, 8]]"
        grid.fail(section, f"a list such as {example} is needed")
    return [
        _Block.of(
            "-".join(str(units) for units in value) if isinstance(value, list) else str(value), section, key, value
        )
        for value in values
    ]


def _grid_list(grid: Table, key: str, allowed: Sequence[str]) -> list[str | None]:
    if not grid.has(key):
        return [None]
    values = grid.strings(key)
    if not values or len(set(values)) != len(values) or any(value not in allowed for value in values):
        grid.fail(key, f"a list of different ones of {', '.join(allowed)} is needed")
    return list(values)


def _overrides(table: Table, sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for section in sections:
        if table.has(section):
            value = table.value(section)
            if not isinstance(value, dict):
                table.fail(section, "a table of keys of an experiment file's section is needed")
            found[section] = value
    return found


def _merge(*layers: Overrides) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            target = merged.setdefault(section, {})
            for key, value in values.items():
                # Tables such as [learning.float64] are merged key by key; constructor arguments belong together.
                if isinstance(value, dict) and isinstance(target.get(key), dict) and key != "kwargs":
                    target[key] = {**target[key], **value}
                else:
                    target[key] = value
    return merged


def _toml(sections: Overrides) -> str:
    return "\n".join(
        f"[{section}]\n" + "".join(f"{show_key(key)} = {format_value(value)}\n" for key, value in values.items())
        for section, values in sections.items()
    )


def _network_label(sections: Overrides) -> str:
    hidden = sections.get("network", {}).get("hidden", [64])
    return "-".join(str(units) for units in hidden) if isinstance(hidden, list) else str(hidden)


def _seeds(head: Table) -> tuple[int, ...]:
    allowed = (
        'seeds such as "3000:3040" (40 of them), [42, 101, 300] or [42, 101, "3000:3040"], all different, are needed'
    )
    if not head.has("seeds"):
        head.fail("seeds", allowed)
    value = head.value("seeds")
    seeds = expand_seeds(value if isinstance(value, list) else [value])
    if seeds is None:
        head.fail("seeds", allowed)
    return seeds


def expand_seeds(parts: Sequence[object]) -> tuple[int, ...] | None:
    """Seeds of whole numbers and texts "FROM:TO" (TO left out), in order; None where they are not all different."""
    seeds: list[int] = []
    for part in parts:
        if isinstance(part, str):
            first, colon, last = part.strip().partition(":")
            if not first.isascii() or not first.isdigit() or (colon and not (last.isascii() and last.isdigit())):
                return None
            if len(first) > 20 or len(last) > 20 or int(last or 0) - int(first) > 1_000_000:
                return None
            seeds.extend(range(int(first), int(last)) if colon else [int(first)])
        elif isinstance(part, int) and not isinstance(part, bool):
            seeds.append(part)
        else:
            return None
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) > MAX_SEED:
        return None
    return tuple(seeds)
