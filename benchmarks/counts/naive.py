"""The rule as one usually writes it, in float32 and in int16, generated to be counted beside the core."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined

from benchmarks.counts.networks import Network

NaiveKind = Literal["naive-float32", "naive-int16"]
NAIVE_KINDS: tuple[NaiveKind, ...] = ("naive-float32", "naive-int16")
NAIVE_STEP = "naive_step"
NAIVE_STEPS = 12
"""Steps of the stream that a naive agent is counted on: software floats take long, and its steps hardly differ."""
FLOAT_UNITS = {"m4": "fpv4-sp-d16", "m7": "fpv5-sp-d16", "m33": "fpv5-sp-d16"}
"""Cores that have a float unit in most chips: the naive float32 agent may use it, as its author would."""
RATE = 1.0 / 64.0

_HERE = Path(__file__).parent
_TEMPLATES = ("naive.c.j2", "naive.h.j2", "naive_subject.c.j2")


def naive_sources(network: Network, kind: NaiveKind) -> dict[str, str]:
    """The C files of a naive agent: {file name: text}."""
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined, autoescape=False
    )
    sizes = network.layer_sizes
    variables = {
        "floats": kind == "naive-float32",
        "sizes": sizes,
        "parameters": network.parameters,
        "rate": RATE,
    }
    return {
        name.removesuffix(".j2"): environment.from_string((_HERE / name).read_text(encoding="utf-8")).render(variables)
        for name in _TEMPLATES
    }


def naive_flags(core_id: str, kind: NaiveKind) -> tuple[str, ...]:
    """Flags that a naive agent has beyond the board's: the core asks for -O2 itself where that pays."""
    unit = FLOAT_UNITS.get(core_id)
    return ("-O2",) if unit is None or kind == "naive-int16" else ("-O2", "-mfloat-abi=hard", f"-mfpu={unit}")
