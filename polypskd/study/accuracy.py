"""Accuracy of the student as a diagnostic test: every class, all together, frames and units."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.aggregation import Reference, Units, aggregate
from polypskd.metrics.bounds import Bounds
from polypskd.metrics.classification import class_margins, predict_classes, risk_margins
from polypskd.metrics.delong import bound_area, bound_class_areas, measure_areas
from polypskd.metrics.diagnostics import diagnose, diagnose_classes, diagnose_overall
from polypskd.metrics.metric import confusion_terms
from polypskd.metrics.precision_recall import average_precision, rank_frames
from polypskd.metrics.resampling import Resampling, patient_sums
from polypskd.study.calls import CALL_OF_CLASS
from polypskd.study.data import Floats, Json, NotAssessableError, StudyData
from polypskd.study.polyps import count_mixed, number_lesions

Ints = NDArray[np.int64]


def describe_accuracy(data: StudyData) -> Json:
    """Judge frames, then lesions where the cohort tells them, then patients.

    Args:
        data: the run.

    Returns:
        ``frames`` with the scores of every class, of the positive classes together, and areas;
        ``teacher`` with those of the positive classes, None without a teacher; ``lesions`` and
        ``patients`` with the scores of every class, or why not. Where the frames of a lesion
        differ in class, that of highest risk counts; a patient is what the worst lesion is, or the
        worst frame where no lesions are told.
    """
    if not len(data.test):
        raise NotAssessableError("the test split has no frames")
    test, sample = data.test, data.sample
    cells = _count_cells(data, test.labels, test.predicted, sample)
    return {
        "positive": name_positive(data),
        "call": CALL_OF_CLASS,
        "confidence": data.confidence,
        "patients_known": data.patients_known,
        "frames": _diagnose(data, cells, sample) | _measure_areas(data),
        "teacher": None if test.teacher is None else _judge_teacher(data, test.teacher),
    } | _judge_units(data)


def name_positive(data: StudyData) -> list[str]:
    """Name the classes that count as positive, lowest to highest risk."""
    return [name for name, yes in zip(data.classes, data.positive, strict=True) if yes]


def _count_cells(data: StudyData, labels: Ints, predicted: Ints, sample: Resampling) -> Floats:
    """Give the confusion of each patient, (P, K, K)."""
    terms = confusion_terms(labels, predicted, len(data.classes))["cells"]
    return patient_sums(terms, sample.index, sample.patients)


def _diagnose(data: StudyData, cells: Floats, sample: Resampling) -> Json:
    drawn = sample.measure({"cells": cells})["cells"]
    each = diagnose_classes(cells, drawn, data.classes, data.confidence)
    chosen = np.flatnonzero(data.positive).tolist()
    return {
        "n": int(drawn[0].sum()),
        "confusion": drawn[0].astype(int).tolist(),
        "positive": diagnose(cells, drawn, chosen, data.confidence).to_dict(),
        "classes": {name: one.to_dict() for name, one in each.items()},
        "overall": diagnose_overall(cells, drawn, data.confidence).to_dict(),
    }


# --- areas ----------------------------------------------------------------------------------------


def _measure_areas(data: StudyData) -> Json:
    """Measure the areas of every class against the rest, and of the risk."""
    test, sample = data.test, data.sample
    margins = class_margins(test.student)
    risk = risk_margins(test.student / test.temperature, data.positive)
    areas = bound_class_areas(margins, test.labels, sample.index, data.confidence)
    targets = {str(k): (margins[:, k], test.labels == k) for k in range(len(data.classes))}
    targets["risk"] = risk, test.outcome
    rankings = {
        name: rank_frames(scores, positive, sample.index, sample.patients)
        for name, (scores, positive) in targets.items()
    }
    drawn = sample.measure({}, {n: partial(average_precision, r) for n, r in rankings.items()})
    bounds = Bounds(data.confidence, sample.patients)
    precision = {name: bounds.of(samples).to_dict() for name, samples in drawn.items()}
    return {
        "auroc_delong": {
            name: area.to_dict() for name, area in zip(data.classes, areas, strict=True)
        },
        "average_precision": {name: precision[str(k)] for k, name in enumerate(data.classes)},
        "risk": {
            "auroc_delong": _bound_risk(data, risk),
            "average_precision": precision["risk"],
        },
    }


def _bound_risk(data: StudyData, risk: Floats) -> dict[str, Any]:
    areas = measure_areas(risk[None], data.test.outcome, data.sample.index)
    return bound_area(areas, 0, data.confidence).to_dict()


def _judge_teacher(data: StudyData, logits: Floats) -> Json:
    test, sample = data.test, data.sample
    cells = _count_cells(data, test.labels, predict_classes(logits), sample)
    found = _diagnose(data, cells, sample)
    risk = {"auroc_delong": _bound_risk(data, risk_margins(logits, data.positive))}
    return {name: found[name] for name in ("n", "confusion", "positive", "overall")} | {
        "risk": risk
    }


# --- units ----------------------------------------------------------------------------------------


def _judge_units(data: StudyData) -> Json:
    """Judge lesions, each by the frames that show it, and patients by their worst lesion."""
    test, rule = data.test, data.settings.polyps.rule
    owners: NDArray[np.generic] = test.patients
    p, labels, members = test.calibrated, test.labels, "frames"
    found: Json = {}
    try:
        if data.settings.polyps.lesion is None:
            raise NotAssessableError("no column tells lesions; set study.polyps.lesion")
        names = number_lesions(data, test)
    except NotAssessableError as error:
        found["lesions"] = {"not_assessable": str(error)}
    else:
        mixed = count_mixed(names, labels)
        reference: Reference = "max_risk" if mixed else "agree"
        patients = owners if data.patients_known else None
        lesions = aggregate(p, labels, names, patients, rule, reference)
        found["lesions"] = _judge_joined(data, lesions, {"of": members, "mixed": mixed})
        p, labels, owners = lesions.probabilities, lesions.labels, lesions.patients
        members = "lesions"
    if not data.patients_known:
        reason = "patients are unknown; set cohort.patients"
        return found | {"patients": {"not_assessable": reason}}
    told = {"of": members, "mixed": count_mixed(owners, labels)}
    worst = aggregate(p, labels, owners, rule="max_risk", reference="max_risk")
    return found | {"patients": _judge_joined(data, worst, told)}


def _judge_joined(data: StudyData, units: Units, told: Json) -> Json:
    sample = Resampling.draw(units.patients, data.sample.resamples, data.sample.seed)
    cells = _count_cells(data, units.labels, units.predicted, sample)
    return _diagnose(data, cells, sample) | {"rule": units.to_dict() | told}
