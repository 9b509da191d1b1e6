"""The look of figures in files: one style, colours that everybody can tell apart, the same bytes for the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

# Told apart by colour-blind eyes and in grey, together with dashes (Okabe and Ito 2008, without yellow).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d", "#882255")
INK, MUTED, FAINT = "#222222", "#444444", "#b8b8b8"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nrl-edge",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}
"""For `matplotlib.rc_context`."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix (.svg, .png) is its kind. No date and no version of a tool gets into the file."""
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type")) if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata, dpi=150)
