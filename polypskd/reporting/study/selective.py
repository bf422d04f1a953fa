"""Unsure calls in the report: what is gained by leaving them to histology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import Table, format_estimate, format_number, make_table, pick
from polypskd.reporting.figures import (
    STUDENT,
    Picture,
    make_picture,
    new_axes,
    place_legend,
    tint,
)
from polypskd.reporting.study.bands import plot_bounds
from polypskd.reporting.study.polyps import tell_interval

Json = Mapping[str, Any]

WAYS = {
    "excluded": "unsure calls excluded",
    "sent": "unsure calls sent to histology",
    "counted_wrong": "unsure calls counted wrong",
}
DRAWN = (("excluded", "-", "o", 0.0), ("sent", "--", "s", 0.4))
SHIFT = 0.007
MEASURES = {"sensitivity": "Sensitivity", "specificity": "Specificity", "npv": "NPV"}


def tell_selective(section: Json) -> list[str]:
    """Say what leaving the least sure calls to histology changes.

    Args:
        section: `selective` of study.json.

    >>> tell_selective({"not_assessable": "no validation frames"})
    ['Selective prediction is not assessable: no validation frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Selective prediction is not assessable: {reason}."]
    points = section["points"]
    told = []
    first, last = points[0], points[-1]
    changes = [
        f"{name} from {_value(first, key)} to {_value(last, key)}"
        for key, name in (("sensitivity", "sensitivity"), ("npv", "NPV"))
    ]
    if len(points) > 1:
        told.append(
            f"Keeping the surest calls, from {_coverage(first)} of them down to {_coverage(last)}, "
            f"changes {' and '.join(changes)} among those kept."
        )
    told.append(
        f"Area under the risk-coverage curve (smaller is better): "
        f"{format_estimate(section['aurc'])}."
    )
    return told


def _value(point: Json, key: str) -> str:
    value = pick(point, "excluded", key, "value")
    return "undefined" if value is None else format_number(value)


def _coverage(point: Json) -> str:
    value = pick(point, "coverage", "value")
    return "none" if value is None else f"{value:.0%}"


def tabulate_selective(section: Json) -> list[Table]:
    """List sensitivity, specificity and NPV at each coverage, once a way of counting.

    Args:
        section: `selective` of study.json.
    """
    if "not_assessable" in section:
        return []
    head = ("Coverage aimed at", "Cut-off of confidence", "Coverage", *MEASURES.values())
    return [
        make_table(
            f"calls-{way.replace('_', '-')}",
            f"Calls kept by confidence, the distance of the risk from {section['cutoff']:g}, with "
            f"{words}; {tell_interval(section)}.",
            head,
            [
                (
                    f"{point['wanted']:.0%}",
                    point["cutoff"],
                    point["coverage"],
                    *(point[way][key] for key in MEASURES),
                )
                for point in section["points"]
            ],
            fold=f"Each coverage, {words}",
        )
        for way, words in WAYS.items()
    ]


def draw_selective(section: Json) -> list[Picture]:
    """Draw sensitivity, specificity and NPV against coverage, under both policies.

    Args:
        section: `selective` of study.json.
    """
    if "not_assessable" in section or len(section["points"]) < 2:
        return []
    drawn = (_draw(section, key, name) for key, name in MEASURES.items())
    return [picture for picture in drawn if picture is not None]


def _draw(section: Json, key: str, name: str) -> Picture | None:
    figure, axes = new_axes(3.6, 2.9)
    # Sent to histology, what is unsure is never called negative: the NPV is that of the others.
    ways = DRAWN[:1] if key == "npv" else DRAWN
    values, listed = [], []
    for way, dash, marker, lightness in ways:
        rows = [one for one in section["points"] if pick(one, way, key, "value") is not None]
        rows = [one for one in rows if pick(one, "coverage", "value") is not None]
        if not rows:
            continue
        shade = tint(STUDENT, lightness)
        x = [one["coverage"]["value"] for one in rows]
        y = [one[way][key]["value"] for one in rows]
        label = WAYS[way] if len(ways) > 1 else "excluded or sent: the same"
        # A little to the side, so that the intervals of both can be seen.
        beside = [at - (SHIFT if way == "sent" else 0) for at in x]
        axes.plot(beside, y, dash, marker=marker, color=shade, markersize=5, label=label)
        plot_bounds(axes, beside, [one[way][key] for one in rows], shade)
        lows = (one[way][key]["low"] for one in rows)
        values += [at if low is None else low for at, low in zip(y, lows, strict=True)]
        told = ", ".join(f"{at:.0%} {format_number(value)}" for at, value in zip(x, y, strict=True))
        listed.append(f"{label}: {told}")
    if not values:
        return None
    axes.set(
        xlabel="coverage (share of calls kept)",
        ylabel=name if name.isupper() else name.lower(),
        title=name,
        xlim=(1.03, min(one["wanted"] for one in section["points"]) - 0.06),
        ylim=(max(0.0, int(10 * min(values)) / 10) - 0.005, 1.01),
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    place_legend(figure, axes)
    return make_picture(
        f"selective-{key}",
        figure,
        f"{name} against coverage. {'. '.join(listed)}.",
        f"{name} when only the surest calls are kept; the cut-offs are fixed on validation. Sent "
        f"to histology, an unsure {section['unit'].removesuffix('s')} counts as called positive: "
        "never missed, never spared.",
    )
