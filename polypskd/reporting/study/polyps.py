"""What the clinical sections share: what is judged, and which calls are of high confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    Cell,
    count,
    format_confidence,
    format_estimate,
    format_number,
    mark,
    pick,
)
from polypskd.reporting.study.clusters import name_intervals

Json = Mapping[str, Any]

JOINED = {
    "mean_probability": "the mean of its frames' probabilities",
    "majority": "the majority of its frames",
    "max_risk": "its frame of most concern",
}
SPLITS = {"val": "the validation split", "config": "the config"}


def tell_polyps(section: Json) -> str:
    """Say how many frames or lesions were judged, and what counts as one.

    Args:
        section: any clinical section of study.json.

    >>> tell_polyps({"unit": "frames", "n": 1200, "positive": 300, "patients": 80})
    'Judged: 1,200 frames of 80 patients, 300 positive; each frame counts by itself.'
    """
    patients = section.get("patients")
    of = "" if patients is None else f" of {count(patients, 'patient')}"
    unit = section["unit"].removesuffix("s")
    counts = f"{count(section['n'], unit)}{of}"
    joined = section.get("joined")
    if joined is None:
        how = "each frame counts by itself"
    else:
        how = f"each by {JOINED[joined['rule']]} ({format_number(joined['members'])} frames)"
        if joined.get("mixed"):
            how += (
                f"; {format_number(joined['mixed'])} have frames of several classes and count as "
                "the one of highest risk"
            )
    call = f" Positive by call: {section['call']}." if section.get("call") else ""
    return f"Judged: {counts}, {format_number(section['positive'])} positive; {how}.{call}"


def tell_rule(section: Json) -> str:
    """Say which calls are of high confidence, where that was fixed, and what it keeps.

    Args:
        section: one with ``confidence_rule``.

    >>> tell_rule({"confidence_rule": {"kind": "none", "rule": None, "reason": ""}})
    'No rule of confidence was fixed, so every call counts.'
    """
    told = section["confidence_rule"]
    rule = told["rule"]
    if rule is None:
        why = f" ({told['reason']})" if told["reason"] else ""
        return f"No rule of confidence was fixed{why}, so every call counts."
    low, high = (format_number(rule[key]) for key in ("negative_to", "positive_from"))
    kept_of = f" to keep {told['coverage']:.0%} of its {section['unit']}"
    aim = kept_of if told["kind"] == "coverage" else ""
    text = (
        f"Calls are of high confidence where the risk is at most {low} or at least {high}, as "
        f"fixed in {SPLITS[rule['fixed_on']]}{aim}"
    )
    kept = told.get("kept")
    return f"{text}; here that keeps {format_estimate(kept)}." if kept else f"{text}."


def tell_interval(section: Json) -> str:
    """Name the intervals of a table's caption.

    >>> tell_interval({"confidence": 0.95, "patients": 7})
    '95% intervals by patient in brackets'
    """
    confidence = format_confidence(section.get("confidence"))
    return f"{confidence} {name_intervals(section)} in brackets"


def count_share(share: Json) -> Cell:
    """Print a share with its counts.

    Args:
        share: with value, low, high, successes and trials.

    >>> count_share({"value": 0.9, "low": 0.6, "high": 1.0, "successes": 9, "trials": 10}).text
    '0.900 (0.600 to 1.000), 9/10'
    """
    if not pick(share, "trials"):
        return Cell(format_estimate(None))
    counts = f"{format_number(share['successes'])}/{format_number(share['trials'])}"
    return Cell(f"{mark(share)}, {counts}", share)
