"""The student against its teacher on the same frames, with a margin; and any two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import read_json
from polypskd.errors import ArtifactError
from polypskd.labels.examples import read_examples
from polypskd.labels.scheme import find_names, parse_scheme
from polypskd.metrics.classification import predict_classes, risk_margins
from polypskd.metrics.delong import bound_area, compare_areas, measure_areas
from polypskd.metrics.metric import confusion_terms
from polypskd.metrics.noninferiority import compare_runs, conclude
from polypskd.metrics.resampling import Resampling
from polypskd.runs import LABELS
from polypskd.study.answers import read_answers
from polypskd.study.calls import CALL_OF_CLASS
from polypskd.study.data import Json, NotAssessableError, StudyData, hide_patients
from polypskd.study.subgroups import positive_metrics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

METRICS = ("macro_f1", "accuracy", "sensitivity", "specificity")
PRIMARY = "macro_f1"  # the margin was chosen for it


def describe_noninferiority(data: StudyData) -> Json:
    """Judge whether the student is no worse than its teacher by more than the margin.

    Args:
        data: the run.

    Returns:
        ``metrics`` name → comparison; ``auroc`` of the positive classes at temperature 1, by
        DeLong; ``primary``, the metric that the margin was chosen for: the others are told beside
        it, unadjusted.
    """
    test = data.test
    if test.teacher is None:
        raise NotAssessableError("the run has no teacher; its method learns from labels alone")
    if not len(test):
        raise NotAssessableError("the test split has no frames")
    return compare_answers(
        (test.student, test.teacher),
        test.labels,
        data.positive,
        data.sample,
        margin=data.settings.margin,
        confidence=data.confidence,
    )


def compare_answers(
    logits: tuple[Floats, Floats],
    labels: Ints,
    positive: Flags,
    sample: Resampling,
    *,
    margin: float,
    confidence: float = 0.95,
) -> Json:
    """Compare the answers of a new and an old network to the same frames.

    Args:
        logits: (N, K) class logits each; the new one first.
        labels: (N,) in [0, K).
        positive: (K,) classes that count as positive.
        sample: of the N frames.
        margin: the loss that is still accepted, above 0.
        confidence: of the intervals.

    >>> logits = np.tile([[1.0, 0.0], [0.0, 1.0]], (50, 1))
    >>> sample = Resampling.draw(np.arange(100) // 2, 50, seed=0)
    >>> found = compare_answers(
    ...     (logits, -logits), np.tile([0, 1], 50), np.array([False, True]), sample, margin=0.05
    ... )
    >>> found["metrics"]["accuracy"]["difference"]["value"]
    1.0
    """
    metrics = positive_metrics(positive)
    new, old = (confusion_terms(labels, predict_classes(one), logits[0].shape[1]) for one in logits)
    compared = compare_runs(
        sample, new, old, metrics, dict.fromkeys(METRICS, margin), confidence=confidence
    )
    return {
        "primary": PRIMARY,
        "call": CALL_OF_CLASS,
        "margin": margin,
        "metrics": {name: one.to_dict() for name, one in compared.items()},
        "auroc": _compare_curves(logits, positive[labels], positive, sample, margin, confidence),
    }


def _compare_curves(
    logits: tuple[Floats, Floats],
    outcome: Flags,
    positive: Flags,
    sample: Resampling,
    margin: float,
    confidence: float,
) -> dict[str, Any]:
    # The old run first: the difference is the second less the first.
    risks = np.stack([risk_margins(one, positive) for one in reversed(logits)])
    areas = measure_areas(risks, outcome, sample.index)
    difference = compare_areas(areas, confidence=confidence)
    return {
        "new": bound_area(areas, 1, confidence).to_dict(),
        "old": bound_area(areas, 0, confidence).to_dict(),
        "difference": difference.interval.to_dict(),
        "p_equal": difference.to_dict()["p"],
        "margin": margin,
        "conclusion": conclude(difference.interval, margin),
        "confidence": confidence,
    }


# --- any two runs -------------------------------------------------------------------------------


def compare_folders(
    new: Path,
    old: Path,
    *,
    positive: tuple[str, ...] = (),
    margin: float = 0.05,
    resamples: int = 2000,
    seed: int = 17,
) -> Json:
    """Compare the students of two runs on the test frames that both judged.

    Args:
        new: run folder.
        old: run folder.
        positive: classes that count as positive; empty: the last one.
        margin: the loss that is still accepted, above 0.
        resamples: of patients.
        seed: of the resamples.

    Returns:
        As `compare_answers`, with ``n_frames`` and ``n_patients``.

    Raises:
        ArtifactError: a file is missing, or the runs do not share classes, test frames or labels.
    """
    first, second = _read_answers(new), _read_answers(old)
    if first["classes"] != second["classes"]:
        raise ArtifactError(f"{new} and {old}: their classes differ; compare runs of one scheme")
    ids, here, there = np.intersect1d(first["ids"], second["ids"], return_indices=True)
    if not len(ids) == len(first["ids"]) == len(second["ids"]):
        raise ArtifactError(
            f"{new} and {old}: {len(ids)} test frames in common, of {len(first['ids'])} and "
            f"{len(second['ids'])}; compare runs of one cohort and split"
        )
    labels, patients = first["labels"][here], first["patients"][here]
    differ = int((labels != second["labels"][there]).sum())
    if differ:
        raise ArtifactError(
            f"{new} and {old}: the reference standard differs on {differ} test frames; derive both "
            "from the same votes"
        )
    classes = first["classes"]
    if unknown := [name for name in positive if name not in classes]:
        raise ArtifactError(f"{new}: {unknown[0]!r} is none of its classes {list(classes)}")
    sample = Resampling.draw(patients, resamples, seed)
    known = first["patients_known"]
    found = {
        "n_frames": len(ids),
        "patients_known": known,
        "n_patients": sample.patients,
        **compare_answers(
            (first["logits"][here], second["logits"][there]),
            labels,
            np.isin(classes, positive or classes[-1:]),
            sample,
            margin=margin,
        ),
    }
    return found if known else hide_patients(found)


def _read_answers(folder: Path) -> dict[str, Any]:
    examples = read_examples(folder / LABELS[0])
    agreement = read_json(folder / LABELS[1])
    classes = parse_scheme(agreement).classes
    answers = read_answers(folder, examples)
    rows = answers["rows"]
    here = examples.split[rows] == "test"
    own = rows[here]
    return {
        "classes": classes,
        "ids": examples.frame_id[own],
        "patients": examples.patient_id[own],
        "patients_known": bool(agreement.get("patients_known", True)),
        "labels": find_names(examples.consensus[own], classes),
        "logits": answers["student"][here],
    }
