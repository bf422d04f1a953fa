"""The decision curve in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import Cell, Table, format_number, make_table
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    Picture,
    make_picture,
    new_axes,
    place_legend,
)
from polypskd.reporting.study.bands import fill_band
from polypskd.reporting.study.polyps import tell_interval

Json = Mapping[str, Any]

STEP = 10  # every tenth threshold stands in the table
GRAY = "#666666"


def tell_decisions(section: Json) -> list[str]:
    """Say at which thresholds acting on the student's risk is worth more than all or none.

    Args:
        section: `decisions` of study.json.

    >>> tell_decisions({"not_assessable": "the test split has no positive frames"})
    ['The decision curve is not assessable: the test split has no positive frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"The decision curve is not assessable: {reason}."]
    unit = section["unit"]
    ranges = ", ".join(
        f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in section["useful"]
    )
    found = (
        f"Acting on the student's risk has more net benefit than acting on all {unit} or on none, "
        f"by the lower bound of the gain at each (pointwise, not adjusted for their number), at "
        f"thresholds {ranges}."
        if ranges
        else "At no threshold does acting on the student's risk have more net benefit than acting "
        f"on all {unit} or on none, by the lower bound of the gain at each (pointwise, not "
        "adjusted for their number)."
    )
    return [found]


def tabulate_decisions(section: Json) -> list[Table]:
    """List the net benefit at every tenth threshold.

    Args:
        section: `decisions` of study.json.
    """
    if "not_assessable" in section:
        return []
    rows = [
        (
            Cell(format_number(float(row["threshold"]), 2), row["threshold"]),
            *(row[key] for key in ("model", "everyone", "gain")),
        )
        for row in section["curve"][STEP - 1 :: STEP]
    ]
    unit = section["unit"].removesuffix("s")
    caption = (
        f"Net benefit, in true positives per {unit}; "
        f"prevalence {section['prevalence']:.0%}; "
        f"{tell_interval(section)}, pointwise. Acting on none has a net benefit of 0."
    )
    head = ("Threshold", "Student", "Acting on all", "Gain over the better of all and none")
    fold = "Net benefit at every tenth threshold"
    return [make_table("net-benefit", caption, head, rows, fold=fold)]


def draw_decisions(section: Json) -> list[Picture]:
    """Draw net benefit against the threshold, beside acting on all and on none.

    Args:
        section: `decisions` of study.json.
    """
    if "not_assessable" in section:
        return []
    curve, prevalence = section["curve"], section["prevalence"]
    x = [row["threshold"] for row in curve]
    tops = [row["model"]["high"] or row["model"]["value"] for row in curve] + [prevalence]
    figure, axes = new_axes(3.6, 3.0)
    axes.axhline(0, color=FAINT, linewidth=1.2, label="act on none")
    everyone = [row["everyone"]["value"] for row in curve]
    axes.plot(x, everyone, "--", color=GRAY, linewidth=1.2, label="act on all")
    axes.plot(x, [row["model"]["value"] for row in curve], color=STUDENT, label="student")
    fill_band(axes, x, [row["model"] for row in curve], STUDENT)
    axes.set(
        xlabel="threshold of risk",
        ylabel="net benefit",
        title="Decision curve",
        xlim=(0, 1),
        ylim=(-0.25 * prevalence, 1.05 * max(tops)),
    )
    place_legend(figure, axes)
    listed = "; ".join(
        f"at {row['threshold']:g} {format_number(row['model']['value'])} against "
        f"{format_number(max(row['everyone']['value'], 0.0))}"
        for row in curve[STEP - 1 :: STEP]
    )
    return [
        make_picture(
            "decision-curve",
            figure,
            f"Decision curve: net benefit of the student against the better of all and none, "
            f"{listed}.",
            "Net benefit of acting where the student's calibrated risk reaches the threshold; the "
            "threshold is what a false alarm costs against a miss. Higher is better; the band is "
            "pointwise: not adjusted for the many thresholds.",
        )
    ]
