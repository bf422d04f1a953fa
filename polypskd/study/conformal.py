"""Conformal sets: the classes that cannot be ruled out, and how often they hold the right one."""

from __future__ import annotations

import math

from polypskd.metrics.clinical.conformal import fit_conformal, measure_conformal
from polypskd.study.data import Json, StudyData
from polypskd.study.polyps import (
    describe_polyps,
    gather_test,
    gather_validation,
    sample_polyps,
)


def describe_conformal(data: StudyData) -> Json:
    """Fit a quantile a class on validation, and measure the sets on the test split.

    Args:
        data: the run.

    Returns:
        Coverage by class, sizes of the sets, and ``too_few``: classes with fewer than ``needed``
        validation polyps, which are in every set.
    """
    polyps = gather_test(data)
    validation = gather_validation(data, "quantiles are")
    alpha = data.settings.miscoverage
    fit = fit_conformal(validation.probabilities, validation.labels, alpha, split="val")
    found = measure_conformal(
        fit,
        polyps.probabilities,
        polyps.labels,
        sample_polyps(data, polyps),
        classes=data.classes,
        confidence=data.confidence,
    )
    rows = zip(data.classes, fit.quantiles, strict=True)
    return describe_polyps(data, polyps) | {
        "validation": validation.to_dict(),
        "needed": math.ceil((1 - alpha) / alpha - 1e-9),
        "too_few": [name for name, quantile in rows if math.isinf(quantile)],
        **found.to_dict(),
    }
