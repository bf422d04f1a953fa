"""Bands of intervals round a line, and intervals of single points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes


def fill_band(
    axes: Axes, x: Sequence[float], intervals: Sequence[Mapping[str, Any]], shade: str
) -> None:
    """Shade the intervals along a line; nothing where they have no bounds.

    Args:
        axes: to draw on.
        x: (N,) places.
        intervals: (N,) each with ``low`` and ``high``, which may be None.
        shade: color of the line.
    """
    low, high = (
        np.array([np.nan if one[key] is None else one[key] for one in intervals], dtype=float)
        for key in ("low", "high")
    )
    if np.isfinite(low).any():
        axes.fill_between(x, low, high, color=shade, alpha=0.18, linewidth=0)


def plot_bounds(
    axes: Axes, x: Sequence[float], intervals: Sequence[Mapping[str, Any]], shade: str
) -> None:
    """Draw the interval of each point as a thin upright line.

    Args:
        axes: to draw on.
        x: (N,) places.
        intervals: (N,) each with ``low`` and ``high``, which may be None.
        shade: color of the points.
    """
    for at, one in zip(x, intervals, strict=True):
        if one["low"] is not None:
            axes.vlines(at, one["low"], one["high"], color=shade, linewidth=1, alpha=0.7)
