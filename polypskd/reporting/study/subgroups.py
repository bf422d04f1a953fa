"""Subgroups in the report: forest plots, a table a column, and what stands out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypskd.reporting.cells import (
    DASH,
    Cell,
    Table,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
    tell_p,
)
from polypskd.reporting.figures import INK, STUDENT, Picture, make_picture, shorten, tint, wrap
from polypskd.reporting.study.clusters import knows_patients, name_intervals, name_least

Json = Mapping[str, Any]

NAMES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "ece": "ECE",
    "ece_uncalibrated": "ECE before temperature scaling",
}
FOREST = ("sensitivity", "specificity")
TABLED = (*FOREST, "macro_f1", "ece")
HEAD = (
    *("Sensitivity", "Sensitivity less that of the rest"),
    *("Specificity", "Specificity less that of the rest"),
    *(NAMES[metric] for metric in TABLED[2:]),
)
ROW = 0.21  # inches


def tell_subgroups(section: Json) -> list[str]:
    """Say which levels stand out, and what is kept back.

    Args:
        section: `subgroups` of study.json.

    >>> tell_subgroups({"not_assessable": "the test split has no frames"})
    ['Subgroups are not assessable: the test split has no frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Subgroups are not assessable: {reason}."]
    judged = [column for column in section["columns"].values() if "levels" in column]
    levels = [level for column in judged for level in column["levels"]]
    missing = [
        f"{name[0].upper()}{name[1:]} is not judged here: {reason}."
        for name, column in section["columns"].items()
        if (reason := column.get("not_assessable"))
    ]
    if not levels:
        return [*missing, "No column tells subgroups apart; name some under study.subgroups."]
    alpha = 1 - section["rules"]["confidence"]
    found = [
        f"{metric} {_tell_way(value)} for {name}: {level}"
        for metric in FOREST
        for name, level, value in _list_values(section, metric)
        if (value.get("p_adjusted") if value.get("p_adjusted") is not None else 1) < alpha
    ]
    words = " and ".join(FOREST)
    told = [
        f"After adjustment for the number of levels, for each of {words} by itself, "
        f"{'; '.join(found)}."
        if found
        else f"No level differs from the rest of its column in {words} by more than chance "
        "explains, after adjustment for their number; that is no proof that they are equal."
    ]
    few = sum(level["status"] == "too few" for level in levels)
    hidden = sum(level["status"] == "suppressed" for level in levels)
    if few or hidden:
        rules = section["rules"]
        why = [f"{few} for fewer than {name_least(rules, section)}"] if few else []
        if hidden:
            why.append(
                f"{hidden} suppressed with their counts, because so few patients might be "
                "recognized, or the total less the others would give such a level away"
            )
        told.append(f"Levels without numbers, of {len(levels)} in all: {'; '.join(why)}.")
    return told + missing


def _tell_way(value: Json) -> str:
    difference = pick(value, "difference", "value") or 0.0
    return f"is {'lower' if difference < 0 else 'higher'} than elsewhere"


def _list_values(section: Json, metric: str) -> Iterator[tuple[str, str, Json]]:
    """Give (column, level, value) of the levels with numbers."""
    for name, column in section["columns"].items():
        for level in column.get("levels", ()):
            value = pick(level, "metrics", metric)
            if value is not None:
                yield name, level["name"], value


def tabulate_subgroups(section: Json) -> list[Table]:
    """List each column's levels with their numbers, and the tests.

    Args:
        section: `subgroups` of study.json.
    """
    if "not_assessable" in section:
        return []
    made = []
    for at, (name, column) in enumerate(section["columns"].items(), 1):
        if "levels" not in column:
            continue
        known = knows_patients(section)
        rows = [_list_level(level, known=known) for level in column["levels"]]
        overall = [section["overall"][metric] for metric in TABLED]
        rows.append(("All test frames", DASH, DASH, *_interleave(overall, [DASH, DASH])))
        p = [pick(column, "heterogeneity", metric, "p") for metric in TABLED]
        rows.append(("Heterogeneity, p", DASH, DASH, *_interleave(p, [DASH, DASH])))
        confidence = format_confidence(section["rules"]["confidence"])
        made.append(
            make_table(
                f"subgroups-{at}-{_slug(name)}",
                f"The student by {name}; {confidence} {name_intervals(section)} in "
                "brackets. p of a difference is adjusted for all levels of all columns, each "
                "measure as a family of its own; p of heterogeneity is not adjusted.",
                ("Level", "Frames", "Patients", *HEAD),
                rows,
                sortable=len(column["levels"]) > 2,
                fixed=2,
                fold=f"By {name}: {len(column['levels'])} levels",
            )
        )
    return made


def _slug(name: str) -> str:
    """Take a column's name into a key.

    >>> _slug("Imaging mode (1)")
    'imaging-mode-1'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _list_level(level: Json, *, known: bool) -> tuple[Any, ...]:
    if level["status"] == "suppressed":
        return (level["name"], "suppressed", *[DASH] * (1 + len(HEAD)))
    counts = [level["n_frames"], level["n_patients"] if known else None]
    if level["status"] == "too few":
        return (level["name"], *counts, "too few", *[DASH] * (len(HEAD) - 1))
    found = [pick(level, "metrics", metric) for metric in TABLED]
    values = [pick(one, "value") for one in found]
    return (level["name"], *counts, *_interleave(values, [_tell_rest(one) for one in found[:2]]))


def _interleave(values: list[Any], rest: list[Any]) -> list[Any]:
    """Put what is told of the rest behind each of the first two values."""
    return [values[0], rest[0], values[1], rest[1], *values[2:]]


def _tell_rest(value: Json) -> Cell:
    difference, p = pick(value, "difference"), pick(value, "p_adjusted")
    told = format_number(pick(difference, "value"))
    if told == DASH or p is None:
        return Cell(told, difference)
    sign = "+" if difference["value"] > 0 else ""
    return Cell(f"{sign}{told}, {tell_p(p)}", dict(difference, p_adjusted=p))


# --- forest plot --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """A line of the plot: a column's heading, or a level."""

    label: str
    value: Json | None = None
    note: str = ""
    heading: bool = False


def draw_subgroups(section: Json) -> list[Picture]:
    """Draw a forest plot of sensitivity, and one of specificity.

    Args:
        section: `subgroups` of study.json.
    """
    if "not_assessable" in section:
        return []
    return [picture for metric in FOREST if (picture := draw_forest(section, metric)) is not None]


def draw_forest(section: Json, metric: str) -> Picture | None:
    """Draw a metric of each level; None where no level has a value.

    Args:
        section: `subgroups` of study.json.
        metric: a name among its metrics.
    """
    rows = list(_list_rows(section, metric))
    shown = [row for row in rows[1:] if row.value is not None]
    if not shown:
        return None
    overall = section["overall"][metric]
    tall = ROW * (1.5 if any("\n" in row.label for row in rows) else 1)
    figure = Figure(figsize=(4.4, tall * (len(rows) + 1) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    if overall["value"] is not None:
        axes.axvline(overall["value"], color=STUDENT, linewidth=0.8, linestyle="--", zorder=1)
    if overall["low"] is not None:
        axes.axvspan(overall["low"], overall["high"], color=tint(STUDENT, 0.88), zorder=0, lw=0)
    axes.set_xlim(_start([overall, *(row.value for row in shown if row.value)]), 1.005)
    for place, row in enumerate(rows):
        _plot_row(axes, place, row)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.heading else "normal")
        label.set_color(INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel=NAMES[metric].lower(), title=f"{NAMES[metric]} by subgroup")
    listed = "; ".join(
        f"{name}, {level}: {format_estimate(value['value'])}"
        for name, level, value in _list_values(section, metric)
    )
    return make_picture(
        f"forest-{metric}",
        figure,
        f"Forest plot of {NAMES[metric].lower()}. All test frames: {format_estimate(overall)}; "
        f"{listed}.",
        f"{NAMES[metric]} of each level with its interval; n: frames. The dashed line and its band "
        "are all test frames. A level is judged by its difference to the rest, not by whether its "
        "interval crosses the line; p: heterogeneity over the levels, not adjusted.",
    )


def _list_rows(section: Json, metric: str) -> Iterator[_Row]:
    yield _Row("All test frames", section["overall"][metric])
    for name, column in section["columns"].items():
        if "levels" not in column:
            continue
        p = pick(column, "heterogeneity", metric, "p")
        yield _Row(shorten(name) + ("" if p is None else f"  ({tell_p(p)})"), heading=True)
        for level in column["levels"]:
            count = level["n_frames"]
            size = "" if count is None else f"  (n = {format_number(count)})"
            value = pick(level, "metrics", metric, "value")
            known = value is not None and value["value"] is not None
            note = "" if known else {"shown": "not defined"}.get(level["status"], level["status"])
            yield _Row(wrap(level["name"]) + size, value if known else None, note)


def _plot_row(axes: Axes, place: int, row: _Row) -> None:
    if row.note:
        left = axes.get_xlim()[0]
        axes.text(left, place, f" {row.note}", va="center", fontsize=8, color="#666666")
    if row.value is None:
        return
    if row.value["low"] is not None:
        axes.hlines(place, row.value["low"], row.value["high"], color=STUDENT, linewidth=1.4)
    marker = "D" if place == 0 else "o"
    axes.plot(row.value["value"], place, marker, color=STUDENT, markersize=5)


def _start(values: list[Json]) -> float:
    """Begin the axis at a round tenth below everything, so that differences can be seen."""
    least = min(
        value["value"] if value["low"] is None else value["low"]
        for value in values
        if value["value"] is not None
    )
    return max(-0.005, int(least * 10) / 10 - 0.005)
