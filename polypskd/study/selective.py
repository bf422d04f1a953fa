"""Selective prediction: what is gained by leaving unsure calls to histology."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.clinical.confidence import fix_cutoffs
from polypskd.metrics.clinical.selective import Claims, measure_selective
from polypskd.study.calls import CALL_OF_RISK, CUTOFF, call_positive
from polypskd.study.data import Json, StudyData
from polypskd.study.polyps import (
    describe_polyps,
    gather_test,
    gather_validation,
    sample_polyps,
)


def describe_selective(data: StudyData) -> Json:
    """Keep the surest calls, by cut-offs fixed on validation, and score them three ways.

    Args:
        data: the run.

    Returns:
        A point a coverage of `study.coverages`, each with the ``wanted`` coverage and the one
        reached here, and the area under the risk-coverage curve.
    """
    polyps = gather_test(data)
    validation = gather_validation(data, "cut-offs of confidence are")
    wanted = sorted(set(data.settings.coverages), reverse=True)
    cutoffs = fix_cutoffs(_how_sure(validation.risk), wanted, split="val")
    if wanted[:1] == [1.0]:
        cutoffs = (0.0, *cutoffs[1:])  # every call, also one less sure than all of validation
    claims = Claims(polyps.outcome, call_positive(polyps.risk, None), _how_sure(polyps.risk))
    scores = measure_selective(
        claims, cutoffs, sample_polyps(data, polyps), confidence=data.confidence
    )
    return describe_polyps(data, polyps) | {
        "call": CALL_OF_RISK,
        "cutoff": CUTOFF,
        "fixed_on": "val",
        "validation": validation.to_dict(),
        "aurc": scores.aurc.to_dict(),
        "points": [
            {"wanted": share} | point.to_dict()
            for share, point in zip(wanted, scores.points, strict=True)
        ],
    }


def _how_sure(risk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the distance of each risk from the cut-off."""
    sure: NDArray[np.float64] = np.abs(risk - CUTOFF)
    return sure
