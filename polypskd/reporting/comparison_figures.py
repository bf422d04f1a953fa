"""The comparison's figures: differences with their intervals, and every run as a dot.

Names and numbers stand above each row, so that the axis keeps the whole width of a phone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypskd.reporting.cells import DASH, pick
from polypskd.reporting.comparison_prose import format_difference, format_spread, is_shown
from polypskd.reporting.figures import (
    FAINT,
    INK,
    STUDENT,
    Picture,
    encode,
    new_axes,
    shorten,
)

Json = dict[str, Any]
ROW = 0.42  # inches
WIDTH = 3.8
LONGEST = 30  # characters of a name above its row


def draw_forest(record: Json, reference: str) -> Picture | None:
    """Draw the difference in macro-F1 of each method to one reference.

    Args:
        record: the comparison.
        reference: name of the method that the others are compared with.

    Returns:
        None where no difference is defined.
    """
    found = {
        name: pick(method, "differences", reference, "macro_f1")
        for name, method in record["methods"].items()
        if name != reference
    }
    if all(pick(one, "value") is None for one in found.values()):
        return None
    figure, axes = _new_rows(len(found))
    axes.axvline(0, color=INK, linewidth=0.9)
    for row, (name, one) in enumerate(found.items()):
        text = format_difference(one)
        _label_row(axes, row, name, "not defined" if text == DASH else text)
        if pick(one, "value") is None:
            continue
        if pick(one, "low") is not None and pick(one, "high") is not None:
            axes.hlines(row, one["low"], one["high"], color=STUDENT)
            axes.plot([one["low"], one["high"]], [row, row], "|", color=STUDENT, markersize=5)
        face = STUDENT if is_shown(one) else "white"
        axes.plot(one["value"], row, "s", color=STUDENT, markerfacecolor=face, markersize=5.5)
    low, high = axes.get_xlim()
    reach = max(-low, high, 1e-3)  # both sides, so that the eye compares lengths about 0
    axes.set_xlim(min(low, -0.35 * reach), max(high, 0.35 * reach))
    axes.set(xlabel=f"macro-F1 minus that of {shorten(reference)}")
    axes.set_title(f"Against {shorten(reference, LONGEST)}", loc="left")
    listed = "; ".join(f"{name} {format_difference(one)}" for name, one in found.items())
    return Picture(
        encode(figure),
        f"Differences in macro-F1 to {reference}: {listed}.",
        f"Right of the line is better than {reference}. A filled square: the interval leaves "
        "out 0 and p (Holm) is below 0.05; an open one: no difference shown.",
    )


def draw_runs(record: Json) -> Picture | None:
    """Draw the macro-F1 of every run, a row for each method, with the mean.

    Returns:
        None where no run has one.
    """
    seeds = {seed: index for index, seed in enumerate(record["seeds"])}
    rows = {
        name: [
            (run["seed"], run["macro_f1"])
            for run in method.get("runs") or ()
            if run.get("macro_f1") is not None
        ]
        for name, method in record["methods"].items()
    }
    if not any(rows.values()):
        return None
    figure, axes = _new_rows(len(rows))
    for row, (name, runs) in enumerate(rows.items()):
        spread = format_spread(record["methods"][name].get("macro_f1"))
        _label_row(axes, row, name, spread if runs else "no run")
        if not runs:
            continue
        order = [seeds.get(seed, 0) for seed, _ in runs]
        y = row + 0.16 * (np.array(order) / max(1, len(seeds) - 1) - 0.5)
        values = [value for _, value in runs]
        axes.plot(values, y, "o", color=STUDENT, alpha=0.75, markersize=4.5, markeredgewidth=0)
        axes.vlines(float(np.mean(values)), row - 0.17, row + 0.17, color=INK, linewidth=1.6)
    axes.set(xlabel="macro-F1 on the test split")
    axes.set_title("Every run", loc="left")
    return Picture(
        encode(figure),
        "Macro-F1 of every run by method. "
        + "; ".join(
            f"{name}: {', '.join(f'{value:.3f}' for _, value in runs) or 'no run'}"
            for name, runs in rows.items()
        )
        + ".",
        "Each dot is one seed, the first seed on top; the bar is the mean. Numbers: mean ± SD.",
    )


def _new_rows(count: int) -> tuple[Figure, Axes]:
    figure, axes = new_axes(WIDTH, 0.75 + ROW * count)
    axes.set_ylim(count - 0.6, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.locator_params(axis="x", nbins=6)
    for row in range(1, count):
        axes.axhline(row - 0.68, color=FAINT, linewidth=0.5)
    return figure, axes


def _label_row(axes: Axes, row: int, name: str, text: str) -> None:
    # On white, or the zero line would run through the letters.
    look: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "va": "bottom",
        "fontsize": 8,
        "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    }
    axes.text(0, row - 0.27, shorten(name, LONGEST), **look)
    axes.text(1, row - 0.27, text, ha="right", **look)
