"""Pictures of a capture: its bytes, its autocorrelation, its bits."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nrl_edge.figures import COLOURS, MUTED, STYLE, save_figure
from nrl_edge.noise.analysis import LAG_ALARM, NoiseReport

IMAGE_SIDE = 256
"""Bits a side of the picture of bits."""


def write_plot(path: Path, title: str, bits: NDArray[np.uint8], report: NoiseReport) -> None:
    """Draw the three pictures side by side into one file; the suffix (.svg, .png) is its kind."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.5, 3.9), layout="constrained")
        FigureCanvasAgg(figure)
        histogram, correlation, image = figure.subplots(1, 3, width_ratios=[1.2, 1.2, 1.0])

        values = np.packbits(bits[: len(bits) // 8 * 8], bitorder="little")
        counts = np.bincount(values, minlength=256)
        expected = len(values) / 256.0
        histogram.bar(np.arange(256), counts, width=1.0, color=COLOURS[0])
        histogram.axhline(expected, color=MUTED, linewidth=1.0)
        for side in (-1.0, 1.0):
            histogram.axhline(expected + side * 3.0 * math.sqrt(expected), color=MUTED, linewidth=0.8, linestyle=":")
        histogram.set_title("bytes (dotted: 3 deviations)")
        histogram.set_xlabel("value")
        histogram.set_ylabel("count")

        lags = np.arange(1, len(report.autocorrelation) + 1)
        correlation.vlines(lags, 0.0, report.autocorrelation, color=COLOURS[0], linewidth=1.6)
        correlation.axhline(0.0, color=MUTED, linewidth=1.0)
        for side in (-1.0, 1.0):
            limit = side * LAG_ALARM / math.sqrt(report.bits)
            correlation.axhline(limit, color=COLOURS[1], linewidth=0.9, linestyle=":")
        correlation.set_title(f"autocorrelation (dotted: {LAG_ALARM:g} deviations)")
        correlation.set_xlabel("lag, bits")

        side = min(IMAGE_SIDE, math.isqrt(len(bits)))
        image.imshow(bits[: side * side].reshape(side, side), cmap="gray", interpolation="nearest")
        image.set_xticks([])
        image.set_yticks([])
        image.set_title(f"the first {side * side:,} bits")
        figure.suptitle(f"{title}: {report.bits:,} bits, {report.ones:.2%} ones", x=0.01, ha="left", fontsize=12)
        save_figure(figure, path)
