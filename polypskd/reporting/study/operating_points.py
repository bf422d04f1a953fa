"""Operating points in the report: thresholds of validation, and what they give on test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import Table, format_estimate, format_number, make_table
from polypskd.reporting.study.polyps import tell_interval

Json = Mapping[str, Any]

SHARES = ("sensitivity", "specificity", "ppv", "npv")


def tell_operating_points(section: Json) -> list[str]:
    """Say what each threshold was to reach, and what it reaches here.

    Args:
        section: `operating_points` of study.json.

    >>> tell_operating_points({"not_assessable": "no validation frames"})
    ['Operating points are not assessable: no validation frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Operating points are not assessable: {reason}."]
    return [_tell_point(point) for point in section["points"]]


def _tell_point(point: Json) -> str:
    chosen = point["chosen"]
    aim = f"{chosen['target']} ≥ {chosen['least']:g}"
    if point["reason"]:
        return f"For {aim} there is no threshold: {point['reason']}."
    reached = format_estimate(point["applied"][chosen["target"]])
    return (
        f"The threshold chosen on validation for {aim} is a risk of "
        f"{format_number(chosen['threshold'])}; on the test split its {chosen['target']} is "
        f"{reached}."
    )


def tabulate_operating_points(section: Json) -> list[Table]:
    """List thresholds, what they gave on validation and what they give on the test split.

    Args:
        section: `operating_points` of study.json.
    """
    if "not_assessable" in section or not section["points"]:
        return []
    rows = []
    for point in section["points"]:
        chosen = point["chosen"]
        there = " / ".join(format_number(chosen[key]) for key in SHARES[:2])
        rows.append(
            (
                f"{chosen['target']} ≥ {chosen['least']:g}",
                chosen["threshold"],
                there,
                *(point["applied"][key] for key in SHARES),
            )
        )
    caption = (
        "Thresholds of risk chosen on validation and applied as they are to the test split; "
        f"predictive values at this sample's prevalence; {tell_interval(section)}."
    )
    head = ("Target", "Threshold", "Sensitivity / specificity on validation")
    more = ("Sensitivity", "Specificity", "PPV", "NPV")
    return [make_table("operating-points-on-test", caption, (*head, *more), rows)]
