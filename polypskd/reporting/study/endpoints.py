"""Endpoints in the report: met, not met or not assessable, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from polypskd.reporting.cells import DASH, Table, make_table
from polypskd.reporting.study.clusters import knows_patients
from polypskd.reporting.study.polyps import (
    count_share,
    tell_interval,
    tell_polyps,
    tell_rule,
)

Json = Mapping[str, Any]

NAMES = {
    "npv_rectosigmoid_diminutive": "NPV of diminutive rectosigmoid polyps",
    "surveillance_agreement": "Agreement of surveillance intervals",
    "leave_in_situ": "Leave in situ",
    "resect_and_discard": "Resect and discard",
}
MEASURES = {
    "npv": "NPV",
    "ppv": "PPV",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "agreement": "agreement",
}
GUIDELINES = {"esge": "ESGE", "usmstf": "USMSTF"}
FAULTS = {  # of the unknown
    "contradictory": "of these, frames of one lesion contradict each other",
    "unreadable": "of these, not readable",
}
SUPPRESSED = "suppressed"  # for so few patients
NOT_ASSESSABLE = "not assessable"
LACKING, ASKED = "no column tells ", "set "  # how reasons begin


def list_endpoints(section: Json, surveillance: Json | None = None) -> list[dict[str, Any]]:
    """Give the judged endpoints of both sections, each with a ``title`` for the page.

    That of surveillance stands once a guideline, by the strategy that the threshold speaks of.

    Args:
        section: `endpoints` of study.json.
        surveillance: `surveillance` of it.

    >>> list_endpoints({"not_assessable": "no frames"}, {"not_assessable": "no histology"})[0]
    {'name': 'surveillance_agreement', 'title': 'Agreement of surveillance intervals', \
'by_value': 'not assessable', 'by_lower_bound': 'not assessable', 'reason': 'no histology', \
'reached': []}
    """
    found = [
        dict(one, title=NAMES.get(one["name"], one["name"]), reason=_print_reason(one["reason"]))
        for one in section.get("endpoints", ())
    ]
    if surveillance is None:
        return found
    name = "surveillance_agreement"
    if "not_assessable" in surveillance:
        verdict = dict.fromkeys(("by_value", "by_lower_bound"), NOT_ASSESSABLE)
        reason = {"reason": surveillance["not_assessable"], "reached": []}
        return [*found, {"name": name, "title": NAMES[name]} | verdict | reason]
    return found + [
        dict(one["endpoint"], title=f"{NAMES[name]}, {name_guideline(one)}")
        for one in surveillance["guidelines"]
        if one["strategy"] == "resect_and_discard"
    ]


def _print_reason(reason: str) -> str:
    """Print the names of measures as clinicians do.

    >>> _print_reason("the npv has no calls")
    'the NPV has no calls'
    """
    return re.sub(r"\b[np]pv\b", lambda found: found[0].upper(), reason or "")


def name_guideline(one: Json) -> str:
    """Name a guideline and its edition.

    >>> name_guideline({"guideline": "esge", "version": "2020"})
    'ESGE 2020'
    """
    return f"{GUIDELINES.get(one['guideline'], one['guideline'])} {one['version']}"


def tell_none(found: Sequence[Json]) -> list[str]:
    """Say in one sentence that no endpoint is assessable, and what to set; nothing if some are.

    Args:
        found: as `list_endpoints` gives them.

    >>> missing = "no column tells sizes; set study.polyps.size_mm"
    >>> one = {"title": "Leave in situ", "by_value": "not assessable", "reason": missing}
    >>> tell_none([one])
    ['Not assessable: leave in situ. No column tells sizes; set study.polyps.size_mm.']
    >>> tell_none([one | {"by_value": "met"}]), tell_none([])
    ([], [])
    """
    if not found or any(one["by_value"] != NOT_ASSESSABLE for one in found):
        return []
    titles = (_lower_first(one["title"]) for one in found)
    reasons = dict.fromkeys(part for one in found for part in (one["reason"] or "").split("; "))
    lacking = [part.removeprefix(LACKING) for part in reasons if part.startswith(LACKING)]
    asked = [part.removeprefix(ASKED) for part in reasons if part.startswith(ASKED)]
    others = [part for part in reasons if part and not part.startswith((LACKING, ASKED))]
    told = [*others, *([f"{LACKING}{_join(lacking, 'or')}"] if lacking else [])]
    told += [f"{ASKED}{_join(asked, 'and')}"] if asked else []
    why = "; ".join(told)
    why = f" {why[0].upper()}{why[1:]}." if why else ""
    return [f"Not assessable: {', '.join(titles)}.{why}"]


def _lower_first(title: str) -> str:
    """Begin a title in lower case, but no abbreviation.

    >>> _lower_first("Leave in situ"), _lower_first("NPV of polyps")
    ('leave in situ', 'NPV of polyps')
    """
    return title if title[:2].isupper() else f"{title[:1].lower()}{title[1:]}"


def _join(words: Sequence[str], last: str) -> str:
    """Join words, with one before the last.

    >>> _join(["a", "b", "c"], "or"), _join(["a"], "or")
    ('a, b or c', 'a')
    """
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def tell_endpoints(section: Json, surveillance: Json | None = None) -> list[str]:
    """Say what was judged, and by which rule of confidence; the table holds the verdicts.

    Args:
        section: `endpoints` of study.json.
        surveillance: `surveillance` of it.

    >>> tell_endpoints({"not_assessable": "the test split has no frames"})
    ['Endpoints are not assessable: the test split has no frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Endpoints are not assessable: {reason}."]
    found = list_endpoints(section, surveillance)
    told = [tell_polyps(section), tell_rule(section)]
    if any(not one["checked"] for each in found for one in each["reached"]):
        told.append(
            "Thresholds marked unchecked were not read in the society's own paper: check them, or "
            "set your own in study.thresholds, before publishing."
        )
    return told


def tabulate_endpoints(section: Json, surveillance: Json | None = None) -> list[Table]:
    """List every threshold beside what was measured, and what is known of sizes and segments.

    Args:
        section: `endpoints` of study.json.
        surveillance: `surveillance` of it.
    """
    if "not_assessable" in section:
        return []
    found = list_endpoints(section, surveillance)
    head = ["Endpoint", "By value", "By lower bound", "Required", "Measured", "Remark"]
    rows = [row for one in found for row in _list_thresholds(one)]
    bounds = "bound by patient" if knows_patients(section) else "bootstrap bound"
    told = (
        f"{tell_interval(section)}. An endpoint is met if all of its thresholds are; by lower "
        f"bound: the lower of the {bounds} and Wilson's."
    )
    if tell_none(found):  # verdicts and measurements would all be the same
        told = "none is assessable."
        head = ["Endpoint", "Required", "Not assessable because"]
        rows = [(row[0], row[3], row[5]) for row in rows]
    elif not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    endpoints = make_table(
        "endpoint-thresholds",
        f"Endpoints of the societies; {told}",
        head,
        rows,
        layout="words",
    )
    return [endpoints, *_tabulate_sources(found), *_tabulate_known(section)]


def _list_thresholds(one: Json) -> list[tuple[Any, ...]]:
    """Give a row a threshold; the verdict is that of the endpoint, on each of its rows."""
    verdict, reason = (one["by_value"], one["by_lower_bound"]), one["reason"] or None
    if not one["reached"]:
        return [(one["title"], *verdict, DASH, DASH, reason)]
    return [
        (
            f"{one['title']}: {MEASURES[reached['measure']]}",
            *verdict,
            f"≥ {reached['least']:g}{'' if reached['checked'] else ' (unchecked)'}",
            count_share(reached),
            reason,
        )
        for reached in one["reached"]
    ]


def _tabulate_sources(found: Sequence[Json]) -> list[Table]:
    """Name the source of every threshold once, and whether its figure was read there."""
    rows: dict[tuple[str, ...], None] = {
        (
            NAMES[one["name"]],
            f"{MEASURES[reached['measure']]} ≥ {reached['least']:g}",
            reached["source"],
            "yes" if reached["checked"] else "no",
        ): None
        for one in found
        for reached in one["reached"]
    }
    head = ("Endpoint", "Threshold", "Source", "Checked")
    caption = "Who asks for the thresholds, and whether the figure was read there."
    fold = "Who asks for the thresholds"
    look = {"layout": "words", "fold": fold}
    return [make_table("threshold-sources", caption, head, rows, **look)] if rows else []


def _tabulate_known(section: Json) -> list[Table]:
    """Count the polyps by size band and segment, unknown ones too."""
    rows: list[tuple[str, str, Any]] = []
    for what, key, groups in (("Size", "sizes", "bands"), ("Segment", "segments", "segments")):
        known = section[key]
        if groups not in known:
            continue
        counts = known[groups] | {"unknown": known["unknown"]}
        rows += [(what, name, SUPPRESSED if n is None else n) for name, n in counts.items()]
        rows += [(what, label, known[key]) for key, label in FAULTS.items() if known.get(key)]
    if not rows:
        return []
    caption = f"The {section['unit']} by size and segment (diminutive: up to 5 mm, small: < 10 mm)."
    unit = section["unit"].capitalize()
    return [
        make_table(
            "sizes-and-segments",
            caption,
            ("Column", "Value", unit),
            rows,
            layout="pairs",
            fold=f"{unit} by size and segment",
        )
    ]
