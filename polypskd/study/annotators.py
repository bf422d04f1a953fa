"""The student beside the annotators, each judged by the other annotators; nobody is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.accuracies import gather_beside
from polypskd.metrics.advantage import measure_advantage
from polypskd.metrics.annotators import Panel, compare_annotators
from polypskd.metrics.classification import roc_curve
from polypskd.metrics.delong import bound_area, measure_areas
from polypskd.metrics.intervals import number
from polypskd.metrics.leave_one_out import Votes
from polypskd.metrics.metric import bound_samples, confusion_terms, count_patients
from polypskd.metrics.multi_case import compare_modalities
from polypskd.metrics.resampling import patient_sums
from polypskd.study.calls import CALL_OF_CLASS
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.subgroups import positive_metrics

Flags = NDArray[np.bool_]


def describe_annotators(data: StudyData) -> Json:
    """Compare the student with each annotator, with their groups, and with all such annotators.

    Args:
        data: the run.

    Returns:
        What `compare_annotators` finds, with numbers for names; ``student`` and ``roc`` before the
        reference standard; ``advantage``; ``multi_case`` of sensitivity and specificity.
    """
    votes = data.votes
    if votes is None:
        raise NotAssessableError(
            "annotators are not known by name; give votes of which a column tells the annotator"
        )
    panel = _number_panel(data)
    found = compare_annotators(votes, data.test.predicted, data.sample, panel, data.confidence)
    if not any(one.n_judged for one in found.annotators):
        raise NotAssessableError(
            "no frame of the test split has votes of two annotators; each is judged by the others"
        )
    advantage = measure_advantage(votes, data.test.predicted, data.sample).to_dict()
    for one in advantage["advantages"]:
        one["annotator"] = panel.names[one["annotator"]]
    return found.to_dict() | {
        "call": CALL_OF_CLASS,
        "student": _place_student(data),
        "roc": _draw_curve(data),
        "advantage": advantage,
        "multi_case": {
            "sensitivity": _compare_all(data, votes, data.positive),
            "specificity": _compare_all(data, votes, ~data.positive),
        },
    }


def _number_panel(data: StudyData) -> Panel:
    """Number the annotators as the rest of the report does."""
    count = len(data.annotators)
    numbers = data.annotator_numbers or range(1, count + 1)
    names = tuple(f"annotator {one}" for one in numbers)
    groups = {
        name: data.settings.groups[person]
        for name, person in zip(names, data.annotators, strict=True)
        if person in data.settings.groups
    }
    return Panel(names, data.positive, groups)


def _place_student(data: StudyData) -> dict[str, Any]:
    """Give sensitivity and specificity of the student's calls on all test frames."""
    sample, test = data.sample, data.test
    cells = confusion_terms(test.labels, test.predicted, len(data.classes))["cells"]
    own = {"cells": patient_sums(cells, sample.index, sample.patients)}
    drawn, metrics = sample.measure(own), positive_metrics(data.positive)
    return {
        name: bound_samples(
            metrics[name].score(drawn),
            count_patients(metrics[name], own),
            proportion=True,
            confidence=data.confidence,
        ).to_dict()
        for name in ("sensitivity", "specificity")
    }


def _draw_curve(data: StudyData) -> dict[str, Any]:
    """Give the ROC curve of the risk, and its area."""
    test = data.test
    curve = roc_curve(test.risk, test.outcome)
    areas = measure_areas(test.risk[None], test.outcome, data.sample.index)
    area = bound_area(areas, confidence=data.confidence)
    return {"fpr": list(curve.x), "tpr": list(curve.y), "auroc": area.to_dict()}


def _compare_all(data: StudyData, votes: Votes, positive: Flags) -> dict[str, Any]:
    """Ask whether the student differs from all such annotators, not from these alone."""
    if not data.patients_known:
        return {"not_assessable": "patients are unknown; set cohort.patients"}
    test = data.test
    accuracies = gather_beside(votes, test.predicted, positive, test.patients)
    if accuracies.values.shape[1] < 2:
        return {"not_assessable": "fewer than two annotators have frames that others judged"}
    found = compare_modalities(accuracies, "random", data.confidence)
    told = {
        name: {key: one.to_dict()[key] for key in ("value", "low", "high", "error", "df", "p")}
        for name, one in zip(
            ("student", "annotators", "difference"),
            (*found.means, *found.differences),
            strict=True,
        )
    }
    annotators = int(accuracies.values.shape[1])
    if number(found.differences[0].interval.low) is None:
        return {"not_assessable": "the student's and the annotators' errors do not vary"}
    return told | {"n_annotators": annotators, "statistic": number(found.statistic)}
