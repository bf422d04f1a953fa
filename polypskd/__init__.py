"""Subclass Knowledge Distillation from clinicians' votes on colonoscopy frames.

Research use only: not a medical device, not for diagnosis.

The table below is the table of contents. A name is imported when it is first used, so that
``import polypskd`` is quick and torch is loaded only by what needs it.

>>> import polypskd
>>> polypskd.derive_consensus([[3, 1], [2, 2]]).consensus.tolist()
[0, 1]
"""

from importlib import import_module
from typing import Any

_WHERE = {
    # what we were given
    "read_config": "polypskd.config",
    "load_cohort": "polypskd.cohort.load",
    "Cohort": "polypskd.cohort.table",
    "split_by_patient": "polypskd.cohort.splits",
    "draw_cohort": "polypskd.cohort.synthetic",
    # what the votes mean
    "measure_agreement": "polypskd.labels.agreement",
    "derive_consensus": "polypskd.labels.consensus",
    "derive_subclasses": "polypskd.labels.subclasses",
    "derive_stages": "polypskd.labels.curriculum",
    "read_examples": "polypskd.labels.examples",
    # teacher, targets, student
    "train_teacher": "polypskd.training.teacher",
    "cache_targets": "polypskd.training.targets",
    "train_student": "polypskd.training.student",
    # numbers and people
    "evaluate": "polypskd.evaluation",
    "write_report": "polypskd.reporting.html",
    "PolypskdError": "polypskd.errors",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'polypskd' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
