"""Figures of the votes and of what they became: agreement, patterns, curriculum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from polypskd.labels.examples import Examples
from polypskd.reporting.figures import (
    STUDENT,
    Picture,
    color,
    hatch,
    make_picture,
    new_axes,
    place_legend,
    shorten,
    tint,
)

MAX_PATTERNS = 14
MAX_LEGEND = 12


def draw_agreement(examples: Examples, classes: Sequence[str]) -> Picture:
    """Draw the histogram of agreement, stacked by class of the consensus."""
    figure, axes = new_axes()
    edges = np.linspace(0, 1, 21)
    groups = [examples.agreement[examples.consensus == name] for name in classes]
    axes.hist(
        groups,
        bins=list(edges),
        stacked=True,
        color=[color(index) for index in range(len(classes))],
        hatch=[hatch(index) for index in range(len(classes))],
        label=[shorten(name, 34) for name in classes],
        edgecolor="white",
        linewidth=0.4,
    )
    axes.set(xlabel="agreement (share of votes for the consensus)", ylabel="frames", xlim=(0, 1.0))
    axes.set_title("Agreement")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    place_legend(figure, axes)
    full = int(np.sum(examples.agreement >= 1))
    return make_picture(
        "agreement",
        figure,
        f"Histogram of agreement of {len(examples)} frames, by class of the consensus.",
        f"Bars further left are frames on which the annotators disagreed more; on {full:,} of "
        f"{len(examples):,} frames all votes were the same.",
    )


def draw_patterns(patterns: Mapping[str, int]) -> Picture:
    """Draw how often each pattern of votes occurs, most frequent first."""
    ranked = sorted(patterns.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked[:MAX_PATTERNS]
    figure, axes = new_axes(height=max(2.0, 0.24 * len(shown) + 0.8))
    counts = [count for _, count in shown]
    bars = axes.barh(range(len(shown)), counts, color=STUDENT, height=0.7)
    axes.bar_label(bars, fmt="%d", padding=2, fontsize=8)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="frames", ylabel="votes for each class, sorted", title="Patterns of votes")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    rest = sum(count for _, count in ranked[MAX_PATTERNS:])
    more = f" Rarer patterns ({rest:,} frames) are not drawn." if rest else ""
    return make_picture(
        "patterns",
        figure,
        "Bar chart of vote patterns: "
        + "; ".join(f"{name} on {count} frames" for name, count in shown),
        "Each bar counts the frames whose votes fell in that pattern; 5-2 means five votes for "
        f"the consensus and two against it.{more}",
    )


def draw_stages(
    examples: Examples, subclasses: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> Picture:
    """Draw how many training examples are active at each stage, stacked by subclass."""
    train = examples.split == "train"
    last = int(examples.stage[train].max(initial=0))
    stages = np.arange(last + 1)
    figure, axes = new_axes(width=4.0, height=2.9)
    brief = len(subclasses) > MAX_LEGEND  # then the legend names classes only
    bottom = np.zeros(last + 1)
    deepest = max((int(row.get("level") or 0) for row in subclasses), default=0)
    for row in subclasses:
        name = str(row["name"])
        joined = examples.stage[train & (examples.subclass == name)]
        active = np.array([np.sum(joined <= stage) for stage in stages])
        index = list(classes).index(row["class"]) if row["class"] in classes else 0
        shade = tint(color(index), 0.75 * int(row.get("level") or 0) / max(deepest, 1))
        axes.bar(
            stages,
            active,
            bottom=bottom,
            color=shade,
            hatch=hatch(index),
            label=_label(row, brief),
            width=0.8 if last < 30 else 1.0,
            edgecolor="white",
            linewidth=0.4 if last < 30 else 0,
        )
        bottom += active
    axes.set(xlabel="stage", ylabel="training examples in use", title="Curriculum")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    if last:
        axes.set_xlim(-0.6, last + 0.6)
    else:
        axes.set(xlim=(-1.5, 1.5), xticks=[0])
    place_legend(figure, axes)
    totals = ", ".join(f"{int(np.sum(examples.stage[train] <= stage)):,}" for stage in stages[:12])
    more = ", …" if last >= 12 else ""
    return make_picture(
        "stages",
        figure,
        f"Stacked bars: training examples in use at each of {last + 1} stages: {totals}{more}.",
        "The height of a bar is the number of training examples in use from that stage on; "
        "paler shades of a color are harder levels of the same class.",
    )


def _label(row: Mapping[str, Any], brief: bool) -> str:
    """Name a subclass in the legend; an underscore hides it there."""
    if not brief:
        return shorten(str(row["name"]), 30)
    return "_" if row.get("level") else shorten(str(row["class"]), 30)
