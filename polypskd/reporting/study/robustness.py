"""Robustness in the report: what corrupted frames cost, by kind and strength."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypskd.reporting.cells import (
    DASH,
    Cell,
    Table,
    count,
    format_change,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
)
from polypskd.reporting.figures import FAINT, STUDENT, Picture, make_picture, tint
from polypskd.reporting.study.clusters import name_intervals

Json = Mapping[str, Any]

NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
LOOKS = {  # color, line, marker, shift along the axis
    "sensitivity": (STUDENT, "-", "o", -0.07),
    "specificity": (tint(STUDENT, 0.45), "--", "s", 0.07),
}
COLUMNS = 3


def tell_robustness(section: Json) -> list[str]:
    """Say which corruption costs most; the largest of many changes is large by chance, too.

    Args:
        section: `robustness` of study.json.

    >>> tell_robustness({"not_assessable": "study.corruptions.frames is 0"})
    ['Robustness is not assessable: study.corruptions.frames is 0.']
    """
    if reason := section.get("not_assessable"):
        return [f"Robustness is not assessable: {reason}."]
    told = [f"{_name_size(section)}, corrupted at the size that the network sees."]
    for name in ("sensitivity", "specificity"):
        changes = [
            (change["value"], kind, one["strength"], change)
            for kind, found in section["kinds"].items()
            for one in found["strengths"]
            if (change := one["metrics"][name]["change"])["value"] is not None
        ]
        if not changes:
            continue
        least, kind, strength, change = min(changes, key=lambda row: row[:3])
        if least >= 0:
            told.append(f"No corruption took {name}.")
            continue
        told.append(
            f"The largest loss of {name} among {count(len(changes), 'change')} is that of {kind} "
            f"at strength {strength}: {format_estimate(change)}, from "
            f"{format_number(section['clean'][name]['value'])}; its interval is not adjusted for "
            "being the largest."
        )
    return told


def _name_size(section: Json) -> str:
    patients = section["n_patients"]
    told = count(section["n_frames"], "test frame")
    return told if patients is None else f"{told} of {count(patients, 'patient')}"


def tabulate_robustness(section: Json) -> list[Table]:
    """List each kind and strength with the metrics' change.

    Args:
        section: `robustness` of study.json.
    """
    if "not_assessable" in section:
        return []
    clean = [section["clean"][name] for name in NAMES]
    rows: list[tuple[Any, ...]] = [("Frames as they are", DASH, DASH, *clean)]
    for kind, found in section["kinds"].items():
        for place, one in enumerate(found["strengths"]):
            changes = (pick(one, "metrics", name, "change") for name in NAMES)
            rows.append(
                (
                    kind.capitalize() + ("" if place else f" ({found['means']})"),
                    one["strength"],
                    Cell(f"{one['number']:g}".replace("-", "−"), one["number"]),
                    *(Cell(format_change(change), change) for change in changes),
                )
            )
    confidence = format_confidence(section["confidence"])
    return [
        make_table(
            "corruptions",
            f"Change against the same {_name_size(section)} as they are (first row: values); "
            f"{confidence} {name_intervals(section)} in brackets, not adjusted for the "
            "number of changes.",
            ("Corruption", "Strength", "Number", *NAMES.values()),
            rows,
            fold="Every corruption and strength, with the change of four measures",
        )
    ]


def draw_robustness(section: Json) -> list[Picture]:
    """Draw the change of sensitivity and specificity against strength, one small plot a kind.

    Args:
        section: `robustness` of study.json.
    """
    if "not_assessable" in section or not section["kinds"]:
        return []
    kinds = list(section["kinds"])
    lines, columns = math.ceil(len(kinds) / COLUMNS), min(COLUMNS, len(kinds))
    figure = Figure(figsize=(0.9 + 2.1 * columns, 1.8 * lines + 0.8), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(kinds):
            axes.set_visible(False)
            continue
        _plot_kind(axes, section["kinds"][kinds[place]]["strengths"])
        axes.set_title(kinds[place], fontsize=9)
        if place + columns >= len(kinds):
            axes.tick_params(labelbottom=True)
    figure.supxlabel("strength, 1 to 5", fontsize=9)
    figure.supylabel("change", fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    listed = "; ".join(
        f"{kind} {one['strength']}: "
        + ", ".join(f"{name} {format_change(one['metrics'][name]['change'])}" for name in LOOKS)
        for kind, found in section["kinds"].items()
        for one in found["strengths"]
    )
    return [
        make_picture(
            "corruptions",
            figure,
            f"Change of sensitivity and specificity by corruption and strength. {listed}.",
            "Change against the same frames uncorrupted, with intervals; below the gray line is a "
            "loss. A loss of one with a gain of the other is a shift of all calls to one side. "
            "Strengths are this tool's own, from hardly visible to the edge of what a clinician "
            "would still read.",
            wide=True,
        )
    ]


def _plot_kind(axes: Axes, strengths: list[Json]) -> None:
    axes.axhline(0, color=FAINT, linewidth=0.8)
    for name, (shade, line, marker, shift) in LOOKS.items():
        found = [(one["strength"], one["metrics"][name]["change"]) for one in strengths]
        known = [(at + shift, change) for at, change in found if change["value"] is not None]
        axes.plot(
            [at for at, _ in known],
            [change["value"] for _, change in known],
            color=shade,
            linestyle=line,
            marker=marker,
            markersize=3.5,
            linewidth=1.2,
            label=name,
        )
        for at, change in known:
            if change["low"] is not None:
                axes.vlines(at, change["low"], change["high"], color=shade, linewidth=0.9)
    axes.set_xlim(0.6, 5.4)
    axes.set_xticks(range(1, 6))
