"""Subclass Knowledge Distillation from clinicians' votes on colonoscopy frames.

Research use only: not a medical device, not for diagnosis.

The table below is the table of contents. A name is imported when it is first used, so that
``import polypskd`` is quick and torch is loaded only by what needs it.

>>> import polypskd
>>> polypskd.derive_consensus([[3, 1], [2, 2]]).consensus.tolist()
[0, 1]
"""

import os
from importlib import import_module
from typing import Any

# ONNX Runtime (1.29 and newer) writes down what it runs on and sends it to its maker, beginning
# with its import; only this keeps it from that. Its disable_telemetry_events comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

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
    "derive_labels": "polypskd.labels.derivation",
    "read_examples": "polypskd.labels.examples",
    # teacher, targets, student
    "train_teacher": "polypskd.training.teacher",
    "cache_targets": "polypskd.training.targets",
    "train_student": "polypskd.training.student",
    # what a student learns from: losses of logits
    "class_logits": "polypskd.training.losses",
    "class_cross_entropy": "polypskd.training.losses",
    "subclass_cross_entropy": "polypskd.training.losses",
    "soft_cross_entropy": "polypskd.training.losses",
    "distillation_loss": "polypskd.training.losses",
    "contrastive_loss": "polypskd.training.losses",
    "decoupled_loss": "polypskd.training.losses",
    "correlation_loss": "polypskd.training.losses",
    "normalized_loss": "polypskd.training.losses",
    "standardized_divergence": "polypskd.training.losses",
    # which method is better
    "check_comparison": "polypskd.comparison.variants",
    "run_comparison": "polypskd.comparison.running",
    "gather_comparison": "polypskd.comparison.gathering",
    "write_comparison": "polypskd.reporting.comparison",
    "PairedSample": "polypskd.metrics.paired",
    "score_runs": "polypskd.metrics.paired",
    "paired_difference": "polypskd.metrics.paired",
    "adjust_holm": "polypskd.metrics.paired",
    # numbers and people
    "evaluate": "polypskd.evaluation",
    "write_report": "polypskd.reporting.html",
    "PolypskdError": "polypskd.errors",
    # the student in a hospital, without torch
    "open_bundle": "polypskd.deployment.bundle",
    "Bundle": "polypskd.deployment.bundle",
    "Predictor": "polypskd.deployment.predictor",
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
