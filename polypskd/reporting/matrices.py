"""Figures of counts and levels: confusion matrix, results by agreement level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polypskd.reporting.cells import format_estimate, format_number, point
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    TEACHER,
    Picture,
    make_picture,
    name_ticks,
    new_axes,
    place_legend,
)
from polypskd.reporting.levels import LEVELS

Json = dict[str, Any]


def draw_confusion(confusion: Sequence[Sequence[int]] | None, classes: Sequence[str]) -> Picture:
    """Draw the confusion matrix with counts and row shares.

    Args:
        confusion: (K, K) counts; rows are the reference standard.
        classes: K names.
    """
    K = len(classes)
    counts = np.array(confusion if confusion is not None else np.zeros((K, K)), dtype=int)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros((K, K)), where=totals > 0)
    side = max(3.2, 0.6 * K + 1.2)
    figure, axes = new_axes(side + 0.4, side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(K, K):
        percent = f"\n{share[row, column]:.0%}" if totals[row, 0] else ""
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}{percent}",
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.55 else "black",
            fontsize=9,
        )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    name_ticks(axes, classes)
    name_ticks(axes, classes, vertical=True)
    axes.set(xlabel="predicted", ylabel="reference standard", title="Confusion matrix")
    listed = "; ".join(
        f"{classes[row]} predicted as {classes[column]}: {counts[row, column]}"
        for row, column in np.ndindex(K, K)
        if counts[row, column]
    )
    return make_picture(
        "confusion",
        figure,
        f"Confusion matrix. {listed}.",
        "Rows are the reference standard; each cell gives the frames and their share of the row, "
        "so the diagonal holds the sensitivities.",
        wide=K > 6,
    )


def draw_levels(
    student: Mapping[str, Any] | None, teacher: Mapping[str, Any] | None, level: str
) -> Picture:
    """Draw macro-F1 by level, or accuracy where a level holds one class alone.

    Args:
        student: level → scores.
        teacher: the same of the teacher, if there is one.
        level: what a level is, for the axis.
    """
    names = list(student or {})
    every = [(student or {})[name].get("macro_f1") for name in names]
    mixed = all(point(value) is not None for value in every)
    key, measure = ("macro_f1", "macro-F1") if mixed else ("accuracy", "accuracy")
    figure, axes = new_axes(height=1.3 + 0.42 * len(names))
    rows = [("student", student or {}, STUDENT, "o"), ("teacher", teacher or {}, TEACHER, "s")]
    shown = [row for row in rows if row[1]]
    for index, (who, levels, shade, marker) in enumerate(shown):
        y = np.arange(len(names)) + 0.22 * (index - (len(shown) - 1) / 2)
        values = [(levels.get(name) or {}).get(key) for name in names]
        middle = [np.nan if point(value) is None else point(value) for value in values]
        axes.plot(middle, y, marker, color=shade, label=who, markersize=5)
        for at, value in zip(y, values, strict=True):
            if isinstance(value, Mapping) and value.get("low") is not None:
                axes.hlines(at, value["low"], value["high"], color=shade, linewidth=1.2)
    sizes = [(student or {})[name].get("n_frames") for name in names]
    name_ticks(
        axes,
        [f"{name}\n(n={format_number(size)})" for name, size in zip(names, sizes, strict=True)],
        vertical=True,
    )
    axes.set(xlabel=measure, xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6))
    axes.set_title(f"By {level}")
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    place_legend(figure, axes)
    listed = "; ".join(f"{name} {format_estimate(one)}" for name, one in _pair(names, student, key))
    order = (
        "Subclasses stand in the order of the scheme"
        if level == LEVELS["known"]
        else "Levels run from the easiest to the hardest within each class"
    )
    return make_picture(
        "levels",
        figure,
        f"{measure[0].upper()}{measure[1:]} of the student by {level}: {listed}.",
        f"Each line is an interval. {order}; n is the number of frames, and small n makes a point "
        "uncertain.",
    )


def _pair(
    names: Sequence[str], levels: Mapping[str, Any] | None, key: str
) -> list[tuple[str, Any]]:
    return [(name, (levels or {})[name].get(key)) for name in names]
