"""The flow of frames and patients: given, left out, in the cohort, in each split."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from polypskd.labels.examples import Examples
from polypskd.reporting.cells import SPLITS, format_number
from polypskd.reporting.figures import INK, Picture, make_picture, new_axes

MAX_REASONS = 6
LINE = 0.19  # height of a line of text, inches
GAP = 0.42  # between boxes, inches
PAD = 0.09  # of a box around its text, inches
WIDTH = 4.4
WRAP = 30  # letters of a line in the side box
STEM, SIDE = 1.1, 2.1  # where the middle of the boxes and the left of the side box stand
COLUMNS = (0.65, 2.2, 3.75)  # of the splits


def draw_flow(
    examples: Examples, exclusions: Mapping[str, int], excluded: int, *, known: bool
) -> Picture:
    """Draw the flow diagram that reporting guidelines ask for.

    Args:
        examples: the examples table.
        exclusions: frames left out, by reason.
        excluded: frames left out, for all reasons.
        known: whether patients are known.
    """
    count = len(examples)
    given = f"{format_number(count + excluded)} frames given"
    left = _list_reasons(exclusions, excluded)
    kept = "\n".join(["In the cohort", *_count(examples, np.ones(count, dtype=bool), known)])
    splits = [
        "\n".join([told.capitalize(), *_count(examples, examples.split == name, known)])
        for name, told in SPLITS.items()
    ]
    heights = [_height(text) for text in (given, left, kept, splits[0])]
    middle = max(heights[1], 0.1)
    total = heights[0] + GAP / 2 + middle + GAP / 2 + heights[2] + GAP + heights[3] + 0.1
    figure, axes = new_axes(WIDTH, total)
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH), ylim=(-total, 0))
    y = [-heights[0] / 2]
    y.append(-heights[0] - GAP / 2 - middle / 2)
    y.append(y[1] - middle / 2 - GAP / 2 - heights[2] / 2)
    y.append(y[2] - heights[2] / 2 - GAP - heights[3] / 2)
    _write(axes, (STEM, y[0]), given)
    _write(axes, (SIDE, y[1]), left, "left")
    _write(axes, (STEM, y[2]), kept)
    _point(axes, (STEM, y[0] - heights[0] / 2), (STEM, y[2] + heights[2] / 2))
    _point(axes, (STEM, y[1]), (SIDE - PAD, y[1]))
    turn = y[2] - heights[2] / 2 - GAP / 2
    axes.plot([STEM, STEM], [y[2] - heights[2] / 2, turn], color=INK, linewidth=0.9)
    axes.plot([COLUMNS[0], COLUMNS[-1]], [turn, turn], color=INK, linewidth=0.9)
    for x, text in zip(COLUMNS, splits, strict=True):
        _point(axes, (x, turn), (x, y[3] + heights[3] / 2))
        _write(axes, (x, y[3]), text)
    told = "; ".join(text.replace("\n", ", ") for text in (given, left, kept, *splits))
    return make_picture(
        "flow",
        figure,
        f"Flow diagram. {told}.",
        ("Flow of frames and patients." if known else "Flow of frames.")
        + " No frame stands in two splits"
        + (", and no patient does." if known and _is_disjoint(examples) else "."),
    )


def _is_disjoint(examples: Examples) -> bool:
    people = [np.unique(examples.patient_id[examples.split == name]) for name in SPLITS]
    return sum(len(one) for one in people) == len(np.unique(np.concatenate(people)))


def _count(examples: Examples, member: np.ndarray, known: bool) -> list[str]:
    lines = [f"{format_number(int(member.sum()))} frames"]
    if known:
        lines.append(f"{format_number(len(np.unique(examples.patient_id[member])))} patients")
    return lines


def _list_reasons(exclusions: Mapping[str, int], excluded: int) -> str:
    lines = [f"{format_number(excluded)} left out"]
    listed = list(exclusions.items())
    rest = sum(count for _, count in listed[MAX_REASONS:])
    shown = [*listed[:MAX_REASONS], *([("other reasons", rest)] if rest else [])]
    for reason, count in shown:
        lines += textwrap.wrap(
            f"{format_number(count)}: {reason}", WRAP, max_lines=3, placeholder=" …"
        )
    return "\n".join(lines)


def _height(text: str) -> float:
    return LINE * (text.count("\n") + 1) + 0.2


def _write(axes: Axes, at: tuple[float, float], text: str, ha: str = "center") -> None:
    pad = 72 * PAD / 9  # in sizes of the font
    box = {
        "boxstyle": f"round,pad={pad:g},rounding_size=0.3",
        "facecolor": "none",
        "edgecolor": INK,
    }
    axes.text(*at, text, ha=ha, va="center", linespacing=1.35, bbox=box)


def _point(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=look)
