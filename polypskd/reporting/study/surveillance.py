"""Surveillance in the report: agreement by guideline and strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import Table, format_estimate, format_number, make_table
from polypskd.reporting.study.endpoints import name_guideline
from polypskd.reporting.study.polyps import count_share, tell_interval

Json = Mapping[str, Any]

STRATEGIES = {
    "resect_and_discard": "diminutive polyps of high confidence by call, others by histology",
    "every_call": "every polyp by call",
}


def tell_surveillance(section: Json) -> list[str]:
    """Say how often the calls lead to the interval of histology.

    Args:
        section: `surveillance` of study.json.

    >>> tell_surveillance({"not_assessable": "no column tells histology"})
    ['Surveillance intervals are not assessable: no column tells histology.']
    """
    if reason := section.get("not_assessable"):
        return [f"Surveillance intervals are not assessable: {reason}."]
    found = [one for one in section["guidelines"] if one["strategy"] == "resect_and_discard"]
    listed = "; ".join(
        f"{name_guideline(one)} {format_estimate(one['agreement'])}" for one in found
    )
    exams, polyps = (format_number(section[key]) for key in ("exams", "polyps"))
    kind = "exams" if section["exam"] == "exams" else "patients, each taken as one exam"
    told = [
        f"Of {exams} {kind}, with {polyps} polyps ({format_number(section['by_call'])} diminutive "
        f"and called with high confidence), the interval agrees with that of histology in: "
        f"{listed}."
    ]
    if section["note"]:
        told.append(
            f"Caution: {section['note']}, so several frames of one polyp count as several polyps."
        )
    left_out = section["left_out"]
    if any(left_out.values()):
        listed = "; ".join(
            f"{format_number(number)} {key.replace('_', ' ')}" for key, number in left_out.items()
        )
        told.append(f"Left out: {listed}.")
    return told


def tabulate_surveillance(section: Json) -> list[Table]:
    """List agreement, earlier and later recalls by guideline and strategy.

    Args:
        section: `surveillance` of study.json.
    """
    if "not_assessable" in section:
        return []
    rows = [
        (
            f"{name_guideline(one)}: {STRATEGIES[one['strategy']]}",
            one["endpoint"]["by_value"],
            one["endpoint"]["by_lower_bound"],
            count_share(one["agreement"]),
            one["earlier"],
            one["later"],
            one["not_assessable"],
        )
        for one in section["guidelines"]
    ]
    called = ", ".join(f"{name} as {kind}" for name, kind in section["called"].items())
    caption = (
        f"Surveillance intervals by the student's calls against those by histology "
        f"(called: {called}); {section['guidelines'][0]['rule']}; {tell_interval(section)}."
    )
    head = ("Guideline and strategy", "By value", "By lower bound", "Agreement")
    more = ("Called back earlier", "Called back later", "No interval")
    return [make_table("surveillance-by-guideline", caption, (*head, *more), rows)]
