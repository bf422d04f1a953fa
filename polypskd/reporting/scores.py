"""The scores of a run, each with one interval wherever the report shows it."""

from __future__ import annotations

from typing import Any

from polypskd.reporting.cells import pick, point
from polypskd.reporting.record import Record, get_study

OVERALL = {  # of evaluation.json → of the study's frames
    "macro_f1": ("overall", "macro_f1", "percentile"),
    "accuracy": ("overall", "accuracy", "clustered"),
    "auroc": ("risk", "auroc_delong"),
}
CLASS = {
    "precision": ("ppv", "clustered"),
    "recall": ("sensitivity", "clustered"),
    "specificity": ("specificity", "clustered"),
    "f1": ("f1", "percentile"),
}
SAME = 1e-9


def get_score(record: Record, name: str) -> Any:
    """Get a score over all classes, with the study's interval where it has the same number.

    Args:
        record: the run's files.
        name: macro_f1, accuracy, auroc or another key of evaluation.json.
    """
    own = record.evaluation.get(name)
    frames = pick(get_study(record, "accuracy"), "frames")
    return _prefer(pick(frames, *OVERALL.get(name, ("",))), own)


def get_class_score(record: Record, label: str, name: str) -> Any:
    """Get a score of one class against the rest, with the study's interval where it has it.

    Args:
        record: the run's files.
        label: of the class.
        name: precision, recall, specificity, f1, auroc or another key of evaluation.json.
    """
    own = pick(record.evaluation, "per_class", label, name)
    frames = pick(get_study(record, "accuracy"), "frames")
    if name == "auroc":
        return _prefer(pick(frames, "auroc_delong", label), own)
    return _prefer(pick(frames, "classes", label, *CLASS.get(name, ("",))), own)


def _prefer(studied: Any, own: Any) -> Any:
    """Take the study's estimate if it is of the same number, as of two classes the AUROC is."""
    values = point(studied), point(own)
    if any(value is None for value in values) or abs(values[0] - values[1]) > SAME:
        return own
    return studied
