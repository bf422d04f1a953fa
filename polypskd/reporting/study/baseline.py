"""Who was studied, in the report: the baseline table and the flow of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypskd.reporting.cells import DASH, Table, format_number
from polypskd.reporting.figures import INK, STUDENT, Picture, encode, shorten, tint

Json = Mapping[str, Any]

SPLITS = {"train": "training", "val": "validation", "test": "test"}
REASONS = 6  # listed in the diagram; the others are added up
LINE = 0.17  # inches, of text
WIDTH = 5.4


def tell_baseline(section: Json) -> list[str]:
    """Say how many frames and patients there were, and how many are judged.

    Args:
        section: `baseline` of study.json.

    >>> tell_baseline({"not_assessable": "the examples of all splits are not at hand"})
    ['The baseline is not assessable: the examples of all splits are not at hand.']
    """
    if reason := section.get("not_assessable"):
        return [f"The baseline is not assessable: {reason}."]
    flow, test = section["flow"], section["splits"]["test"]
    out = flow["given"] - flow["frames"]
    kept = "all were kept" if not out else f"{format_number(out)} were left out"
    return [
        f"{format_number(flow['given'])} frames were given; {kept}. The student is judged on "
        f"{_tell_size(test)} that it was not trained on."
    ]


def _tell_size(one: Json) -> str:
    """Tell frames, and patients where they are known.

    >>> _tell_size({"frames": 1, "patients": 1}), _tell_size({"frames": 20, "patients": None})
    ('1 frame of 1 patient', '20 frames')
    """
    told = f"{format_number(one['frames'])} frame{'' if one['frames'] == 1 else 's'}"
    count = one["patients"]
    if count is None:
        return told
    return f"{told} of {format_number(count)} patient{'' if count == 1 else 's'}"


def tabulate_baseline(section: Json) -> list[Table]:
    """Set the splits side by side: sizes, classes, levels, votes and the columns asked for.

    Args:
        section: `baseline` of study.json.
    """
    if "not_assessable" in section:
        return []
    splits = [section["splits"][name] for name in SPLITS]
    rows: list[tuple[str, ...]] = [
        ("Frames", *(format_number(one["frames"]) for one in splits)),
        ("Patients", *(format_number(one["patients"]) for one in splits)),
        ("Frames a patient, median (range)", *(_span(one["frames_per_patient"]) for one in splits)),
        ("Votes a frame, median (range)", *(_span(one["votes_per_frame"]) for one in splits)),
    ]
    for what, key in (("Class", "classes"), ("Difficulty level", "levels")):
        rows += [
            (f"{what}: {name}", *(_share(one[key][name], one["frames"]) for one in splits))
            for name in splits[-1][key]
        ]
    for name, column in section["columns"].items():
        for level in column.get("levels", ()):
            told = (_tell_level(level[split], section["splits"][split]) for split in SPLITS)
            rows.append((f"{name}: {level['name']}", *told))
    return [
        Table(
            "Baseline: frames (share of the split); for levels of columns, patients too. Levels of "
            "so few patients that they might be recognized are suppressed.",
            ("", *(word.capitalize() for word in SPLITS.values())),
            tuple(rows),
        )
    ]


def _span(values: list[float] | None) -> str:
    """Tell the median and the range.

    >>> _span([1.0, 2.5, 4.0]), _span(None)
    ('2.5 (1 to 4)', '–')
    """
    return f"{values[1]:g} ({values[0]:g} to {values[2]:g})" if values else DASH


def _share(count: int, total: int) -> str:
    return f"{format_number(count)} ({count / total:.0%})" if total else format_number(count)


def _tell_level(cell: Json | None, split: Json) -> str:
    if cell is None:
        return "suppressed"
    told = _share(cell["frames"], split["frames"])
    return told if cell["patients"] is None else f"{told}, {format_number(cell['patients'])} pat."


# --- flow diagram -------------------------------------------------------------------------------


def draw_flow(section: Json) -> list[Picture]:
    """Draw the flow of frames: given, left out by reason, and the splits.

    Args:
        section: `baseline` of study.json.
    """
    if "not_assessable" in section:
        return []
    flow, splits = section["flow"], section["splits"]
    reasons = list(flow["left_out"].items())
    out = [f"{format_number(count)}  {shorten(why, 34)}" for why, count in reasons[:REASONS]]
    if rest := sum(count for _, count in reasons[REASONS:]):
        out.append(f"{format_number(rest)}  other reasons")
    given = [f"{format_number(flow['given'])} frames given"]
    cohort = ["Cohort", *_list_size(flow)]
    aside = [f"{format_number(sum(flow['left_out'].values()))} left out", *out] if out else []
    heights = [_height(given), max(0.3, _height(aside) + 0.2), _height(cohort), 0.35]
    below = [[word.capitalize(), *_list_size(splits[name])] for name, word in SPLITS.items()]
    total = sum(heights) + _height(below[0]) + 0.1
    figure = Figure(figsize=(WIDTH, total))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(total, 0))
    axes.axis("off")
    middle = 1.4 if aside else WIDTH / 2
    top = 0.05
    _box(axes, (middle, top), 2.2, given)
    start, end = top + heights[0], top + heights[0] + heights[1]
    _arrow(axes, (middle, start), (middle, end))
    if aside:
        _arrow(axes, (middle, (start + end) / 2), (2.75, (start + end) / 2))
        _box(axes, (4.05, (start + end - _height(aside)) / 2), 2.6, aside, left=True)
    _box(axes, (middle, end), 2.2, cohort)
    foot = end + heights[2]
    last = foot + heights[3]
    rail = foot + heights[3] / 2
    centers = [WIDTH * (place + 0.5) / 3 for place in range(3)]
    axes.plot([middle, middle], [foot, rail], color=INK, linewidth=0.9)
    axes.plot([centers[0], centers[-1]], [rail, rail], color=INK, linewidth=0.9)
    for place, (center, lines) in enumerate(zip(centers, below, strict=True)):
        _arrow(axes, (center, rail), (center, last))
        _box(axes, (center, last), 1.65, lines, strong=place == 2)
    told = "; ".join(f"{count} {why}" for why, count in reasons)
    listed = "; ".join(f"{word} {_tell_size(splits[name])}" for name, word in SPLITS.items())
    return [
        Picture(
            encode(figure),
            f"Flow of frames: {flow['given']} given; left out: {told or 'none'}; cohort "
            f"{_tell_size(flow)}; {listed}.",
            "How frames came into the splits. No patient stands in two splits."
            if flow["patients"] is not None
            else "How frames came into the splits. Patients are unknown: a patient may stand in "
            "several.",
            wide=True,
        )
    ]


def _list_size(one: Json) -> list[str]:
    told = _tell_size(one).split(" of ")
    return [told[0], *told[1:]]


def _height(lines: list[str]) -> float:
    return LINE * len(lines) + 0.16 if lines else 0.0


def _box(
    axes: Axes,
    at: tuple[float, float],
    width: float,
    lines: list[str],
    *,
    left: bool = False,
    strong: bool = False,
) -> None:
    """Draw lines of text in a box whose top center is given; the first line is its heading."""
    from matplotlib.patches import Rectangle

    x, top = at
    face = tint(STUDENT, 0.82) if strong else "white"
    edge = STUDENT if strong else "#888888"
    height = _height(lines)
    axes.add_patch(
        Rectangle((x - width / 2, top), width, height, facecolor=face, edgecolor=edge, lw=0.9)
    )
    for place, line in enumerate(lines):
        axes.text(
            x - width / 2 + 0.1 if left else x,
            top + 0.08 + LINE * (place + 0.5),
            line,
            ha="left" if left else "center",
            va="center",
            fontsize=8.5,
            fontweight="bold" if place == 0 else "normal",
            color=INK,
        )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=look)
