"""The sections of study.json, in the order in which a report tells them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from polypskd.study.accuracy import describe_accuracy
from polypskd.study.annotators import describe_annotators
from polypskd.study.baseline import describe_baseline
from polypskd.study.calibration import describe_calibration
from polypskd.study.conformal import describe_conformal
from polypskd.study.data import NotAssessableError, StudyData, hide_patients
from polypskd.study.decisions import describe_decisions
from polypskd.study.endpoints import describe_endpoints
from polypskd.study.noninferiority import describe_noninferiority
from polypskd.study.operating_points import describe_operating_points
from polypskd.study.predictive_values import describe_predictive_values
from polypskd.study.selective import describe_selective
from polypskd.study.soft_labels import describe_soft_labels
from polypskd.study.subgroups import describe_subgroups
from polypskd.study.surveillance import describe_surveillance

Json = dict[str, Any]
Progress = Callable[[int, int], None]

SECTIONS: dict[str, Callable[[StudyData], Json]] = {
    "accuracy": describe_accuracy,
    "calibration": describe_calibration,
    "soft_labels": describe_soft_labels,
    "endpoints": describe_endpoints,
    "surveillance": describe_surveillance,
    "predictive_values": describe_predictive_values,
    "operating_points": describe_operating_points,
    "decisions": describe_decisions,
    "selective": describe_selective,
    "conformal": describe_conformal,
    "annotators": describe_annotators,
    "subgroups": describe_subgroups,
    "noninferiority": describe_noninferiority,
    "baseline": describe_baseline,
}


def describe_study(data: StudyData, progress: Progress = lambda done, total: None) -> Json:
    """Judge everything that needs no network.

    Args:
        data: the run.
        progress: called with the sections done and all of them.

    Returns:
        Section → plain values; one that cannot be judged holds ``not_assessable``, the reason.
    """
    found: Json = {
        "classes": list(data.classes),
        "positive": [name for name, yes in zip(data.classes, data.positive, strict=True) if yes],
        "confidence": data.confidence,
        "resamples": data.sample.resamples,
        "n_frames": len(data.test),
        "patients_known": data.patients_known,
        "n_patients": data.sample.patients if data.patients_known else None,
    }
    for done, (name, describe) in enumerate(SECTIONS.items()):
        progress(done, len(SECTIONS))
        found[name] = assess(partial(describe, data), data.patients_known)
    return found


def assess(describe: Callable[[], Json], patients_known: bool) -> Json:
    """Describe something, or say why it cannot be; count no patients where they are unknown.

    Args:
        describe: a section.
        patients_known: told in each section.

    >>> def refuse(): raise NotAssessableError("no size is known")
    >>> assess(refuse, True)
    {'patients_known': True, 'not_assessable': 'no size is known'}
    """
    try:
        found = describe()
    except NotAssessableError as error:
        found = {"not_assessable": str(error)}
    return {"patients_known": patients_known} | (found if patients_known else hide_patients(found))
