"""Accuracy of the student as a diagnostic test: every class, all together, frames and units."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import CohortError
from polypskd.metrics.aggregation import aggregate
from polypskd.metrics.bounds import Bounds
from polypskd.metrics.classification import class_margins
from polypskd.metrics.delong import bound_class_areas
from polypskd.metrics.diagnostics import diagnose, diagnose_classes, diagnose_overall
from polypskd.metrics.metric import confusion_terms
from polypskd.metrics.precision_recall import average_precision, rank_frames
from polypskd.metrics.resampling import Resampling, patient_sums
from polypskd.study.data import Floats, Json, NotAssessableError, StudyData

Ints = NDArray[np.int64]


def describe_accuracy(data: StudyData) -> Json:
    """Judge frames, then lesions where the cohort tells them, then patients.

    Args:
        data: the run.

    Returns:
        ``frames`` with the scores of every class, of the positive classes together, and areas;
        ``lesions`` and ``patients`` with the scores of the positive classes, or why not.
    """
    if not len(data.test):
        raise NotAssessableError("the test split has no frames")
    test, sample = data.test, data.sample
    frames = _diagnose(data, test.labels, test.predicted, sample)
    margins = class_margins(test.student)
    areas = bound_class_areas(margins, test.labels, sample.index, data.confidence)
    frames["auroc_delong"] = dict(
        zip(data.classes, [area.to_dict() for area in areas], strict=True)
    )
    frames["average_precision"] = _measure_precision(data, margins)
    return {"frames": frames} | {name: _judge_units(data, name) for name in ("lesions", "patients")}


def _diagnose(data: StudyData, labels: Ints, predicted: Ints, sample: Resampling) -> Json:
    cells = patient_sums(
        confusion_terms(labels, predicted, len(data.classes))["cells"],
        sample.index,
        sample.patients,
    )
    drawn = sample.measure({"cells": cells})["cells"]
    positive = np.flatnonzero(data.positive).tolist()
    each = diagnose_classes(cells, drawn, data.classes, data.confidence)
    return {
        "n": len(labels),
        "confusion": drawn[0].astype(int).tolist(),
        "positive": diagnose(cells, drawn, positive, data.confidence).to_dict(),
        "classes": {name: one.to_dict() for name, one in each.items()},
        "overall": diagnose_overall(cells, drawn, data.confidence).to_dict(),
    }


def _measure_precision(data: StudyData, margins: Floats) -> dict[str, Any]:
    test, sample = data.test, data.sample
    drawn = sample.measure(
        {},
        {
            name: partial(
                average_precision,
                rank_frames(margins[:, k], test.labels == k, sample.index, sample.patients),
            )
            for k, name in enumerate(data.classes)
        },
    )
    bounds = Bounds(data.confidence, sample.patients)
    return {name: bounds.of(samples).to_dict() for name, samples in drawn.items()}


def _judge_units(data: StudyData, unit: str) -> Json:
    """Judge lesions or patients, each by the frames that show it."""
    test, polyps = data.test, data.settings.polyps
    if unit == "patients":
        if not data.patients_known:
            return {"not_assessable": "patients are unknown; set cohort.patients"}
        names = test.patients
    else:
        if polyps.lesion is None:
            return {"not_assessable": "no column tells lesions; set study.polyps.lesion"}
        names = data.column(polyps.lesion)
    try:
        units = aggregate(
            test.calibrated,
            test.labels,
            names,
            None if unit == "patients" else test.patients,
            rule=polyps.rule,
            reference="max_risk" if unit == "patients" else "agree",
        )
    except CohortError as error:
        return {"not_assessable": " ".join(str(error).split())}
    sample = Resampling.draw(units.patients, data.sample.resamples, data.sample.seed)
    judged = _diagnose(data, units.labels, units.predicted, sample)
    return judged | {"rule": units.to_dict()}
