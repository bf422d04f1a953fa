"""How the numbers of a study were made, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polypskd.reporting.cells import format_confidence, format_number, pick
from polypskd.reporting.study.polyps import JOINED

Json = Mapping[str, Any]

PAIR = 2  # classes, of which both ways to call choose the same


def describe_study(study: Json) -> list[str]:
    """Say what was positive, what was counted, how intervals were made, what validation fixed.

    Args:
        study: study.json; what is not assessable in it is not described.

    >>> describe_study({"positive": ["adenoma"], "accuracy": {"not_assessable": "no frames"}})
    ['The positive class is adenoma; its probability is the risk.']
    """
    known = {
        name: section
        for name, section in study.items()
        if isinstance(section, Mapping) and not section.get("not_assessable")
    }
    return [
        *_tell_positives(study.get("positive") or ()),
        *_tell_unit(known),
        *_tell_calls(known),
        *_tell_intervals(known),
        *_tell_fixed(known),
        *_tell_comparisons(known),
    ]


def _tell_positives(positive: Any) -> Iterator[str]:
    if len(positive) == 1:
        yield f"The positive class is {positive[0]}; its probability is the risk."
    elif positive:
        yield (
            f"The positive classes are {', '.join(positive)}; the sum of their probabilities is "
            "the risk."
        )


def _tell_unit(known: Json) -> Iterator[str]:
    """Say what is judged, by the first clinical section that can be assessed."""
    names = ("endpoints", "predictive_values", "operating_points", "decisions", "conformal")
    section = next((known[name] for name in names if name in known), None)
    if section is None:
        return
    joined = section.get("joined")
    if joined is None:
        yield "Clinical questions count each frame by itself."
    else:
        yield f"Clinical questions count {section['unit']}, each by {JOINED[joined['rule']]}."


def _tell_calls(known: Json) -> Iterator[str]:
    """Say which sections call by the most probable class, and which by the risk."""
    by_risk = {"endpoints", "predictive_values", "selective"} & set(known)
    classes = pick(known, "accuracy", "frames", "classes") or ()
    if by_risk and len(classes) > PAIR:
        yield (
            "In Results, Subgroups and Robustness a frame's call is its most probable class; "
            "Clinical questions call positive what has a risk of at least 0.5. The two may differ, "
            "so each has a sensitivity of its own."
        )


def _tell_intervals(known: Json) -> Iterator[str]:
    if "accuracy" not in known:
        return
    section = known["accuracy"]
    if section["patients_known"]:
        yield (
            f"{format_confidence(section['confidence'])} intervals of the study are by "
            "patient: Wilson's with the effective number of frames for shares, "
            "DeLong's for the AUROC, bootstrap intervals over patients for the rest."
        )
    else:
        yield (
            "Under Diagnostic accuracy, intervals are Wilson's for shares and DeLong's for the "
            "AUROC; these, too, take frames as independent."
        )


def _tell_fixed(known: Json) -> Iterator[str]:
    """Say what was chosen on validation, and that nothing was on test."""
    rule = (known.get("endpoints") or {}).get("confidence_rule") or {}
    fixed = [
        word
        for word, here in (
            ("the thresholds of operating points", "operating_points" in known),
            ("the rule of confident calls", (rule.get("rule") or {}).get("fixed_on") == "val"),
            ("the cut-offs of unsure calls", "selective" in known),
            ("the quantiles of conformal sets", "conformal" in known),
        )
        if here
    ]
    if fixed:
        *first, last = fixed
        listed = f"{', '.join(first)} and {last}" if first else last
        yield (
            f"{listed[0].upper()}{listed[1:]} were chosen on the validation split and applied as "
            "they are to the test split."
        )
    if "conformal" in known:
        yield (
            f"Conformal sets aim to hold the reference class in "
            f"{1 - known['conformal']['alpha']:.0%} of each class."
        )


def _tell_comparisons(known: Json) -> Iterator[str]:
    if "annotators" in known:
        yield (
            "Each annotator is judged by the consensus of the others, and the student on the same "
            "frames by the same votes."
        )
    if "noninferiority" in known:
        margin = format_number(float(known["noninferiority"]["margin"]), 2)
        yield (
            "Student and teacher are compared on the same test frames, with a margin of "
            f"non-inferiority of {margin}."
        )
    if "subgroups" in known:
        yield (
            "Tests of levels against the rest are adjusted for the number of levels, for each "
            "measure by itself; tests of heterogeneity are not adjusted."
        )
