"""What a range analysis came to: every quantity, the format that holds it, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nrl_edge.fixedpoint.configuration import Formats


@dataclass(frozen=True)
class QuantityRange:
    """One line of a report: a quantity, the format that holds it, and why."""

    quantity: str
    format: str
    limit: float
    """The largest magnitude that the format holds."""
    seen: float
    """The largest magnitude that the simulation saw."""
    bound: float | None
    """What no value (or none of a whole run, with a probability of 99%) exceeds; None where nothing can be derived."""
    saturated: float
    """Predicted share of values that saturate."""
    reason: str

    @property
    def margin_bits(self) -> float:
        """Octaves between the largest magnitude that was seen and the limit; inf where nothing was seen."""
        return math.log2(self.limit / self.seen) if self.seen > 0.0 else math.inf


@dataclass(frozen=True)
class RangeReport:
    """What an analysis came to."""

    formats: Formats
    scale_exponents: tuple[int, ...]
    """Exponents of two that the host scales observations by (section 10 of docs/arithmetic.md)."""
    quantities: tuple[QuantityRange, ...]

    def table(self) -> list[tuple[str, ...]]:
        """Rows of text, the heading first: quantity, format, limit, seen, bound, margin, saturated, reason."""
        rows: list[tuple[str, ...]] = [
            ("quantity", "format", "limit", "seen", "bound", "margin [bits]", "saturated", "reason")
        ]
        for each in self.quantities:
            bound = "-" if each.bound is None else f"{each.bound:.3g}"
            margin = "-" if math.isinf(each.margin_bits) else f"{each.margin_bits:.1f}"
            rows.append(
                (
                    each.quantity,
                    each.format,
                    f"{each.limit:.4g}",
                    f"{each.seen:.3g}",
                    bound,
                    margin,
                    f"{each.saturated:.2g}",
                    each.reason,
                )
            )
        return rows
