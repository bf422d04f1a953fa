"""Operating points: thresholds of risk chosen on validation and applied to the test split."""

from __future__ import annotations

import math

from polypskd.metrics.clinical.operating_points import (
    OperatingPoint,
    Scored,
    apply_point,
    choose_point,
)
from polypskd.study.data import Json, StudyData
from polypskd.study.polyps import describe_polyps, gather_test, gather_validation, sample_polyps


def describe_operating_points(data: StudyData) -> Json:
    """Choose a threshold for each target on validation, and apply it as it is.

    Args:
        data: the run.

    Returns:
        For each target the threshold, what it gave where it was chosen, and what it gives here.
    """
    polyps = gather_test(data)
    validation = gather_validation(data, "thresholds are")
    sample = sample_polyps(data, polyps)
    chosen_on = Scored(validation.risk, validation.outcome, "val")
    test = Scored(polyps.risk, polyps.outcome, "test")
    points = []
    for wanted in data.settings.operating_points:
        point = choose_point(chosen_on, wanted.target, wanted.least)
        applied = apply_point(point, test, sample, confidence=data.confidence)
        points.append(applied.to_dict() | {"reason": _explain(point, polyps.unit)})
    return describe_polyps(data, polyps) | {"validation": validation.to_dict(), "points": points}


def _explain(point: OperatingPoint, unit: str) -> str:
    """Say why there is no threshold; empty where there is one."""
    if math.isnan(point.threshold):
        needed = "positive" if point.target == "sensitivity" else "negative"
        return f"the validation split has no {needed} {unit}"
    if math.isinf(point.threshold):
        return "no threshold is so specific on validation: nothing is called positive"
    return ""
