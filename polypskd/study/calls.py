"""Calls: what the student calls each polyp, and how surely.

A polyp is called positive where its risk reaches one half; a rule of confidence, fixed before the
test, may hold a call back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.config.study import ConfidenceBand, ConfidenceShare
from polypskd.metrics.classification import predict_classes
from polypskd.metrics.clinical.confidence import ConfidenceRule, fix_band
from polypskd.study.data import StudyData
from polypskd.study.polyps import gather_polyps

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Json = dict[str, Any]

CUTOFF = 0.5
CALL_OF_CLASS = "most probable class"
CALL_OF_RISK = f"risk of at least {CUTOFF:g}"


def fix_rule(data: StudyData) -> tuple[ConfidenceRule | None, Json]:
    """Fix the rule of confidence from the config or on validation, never on the test split.

    Args:
        data: the run.

    Returns:
        The rule, None where every call counts, and what is told of it.
    """
    wanted = data.settings.confidence
    told: Json = {"kind": wanted.kind, "rule": None, "reason": ""}
    rule = None
    if isinstance(wanted, ConfidenceBand):
        rule = ConfidenceRule(wanted.negative_to, wanted.positive_from, "config")
    elif isinstance(wanted, ConfidenceShare):
        told["coverage"] = wanted.coverage
        if len(data.validation):
            risk = gather_polyps(data, data.validation).risk
            rule = fix_band(risk, wanted.coverage, cutoff=CUTOFF, split="val")
        else:
            told["reason"] = "the validation split has no frames on which a band could be fixed"
    told["rule"] = rule.to_dict() if rule else None
    return rule, told


def call_positive(risk: Floats, rule: ConfidenceRule | None) -> Flags:
    """Say which polyps are called positive: outside a rule's band by the rule, else by one half.

    Args:
        risk: (N,) in [0, 1].
        rule: None where there is none.

    >>> call_positive(np.array([0.4, 0.5, 0.9]), None).tolist()
    [False, True, True]
    >>> call_positive(np.array([0.55, 0.65, 0.9]), ConfidenceRule(0.6, 0.8, "config")).tolist()
    [False, True, True]
    """
    called: Flags = risk >= CUTOFF
    if rule is None:
        return called
    called = called & (risk > rule.negative_to)
    return called | (risk >= rule.positive_from)


def call_classes(probabilities: Floats, positive: Flags, called: Flags) -> Ints:
    """Give the likeliest class of the side that was called; ties go to that of higher risk.

    A positive call may have a negative class that is likelier than each positive one alone.

    Args:
        probabilities: (N, K).
        positive: (K,) classes that count as positive: some, not all.
        called: (N,) called positive.

    Returns:
        (N,) in [0, K).

    >>> p, positive = np.array([[0.4, 0.35, 0.25]] * 2), np.array([False, True, True])
    >>> call_classes(p, positive, np.array([True, False])).tolist()
    [1, 0]
    """
    side = called[:, None] == positive
    return predict_classes(np.where(side, probabilities, -1.0))
