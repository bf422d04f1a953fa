"""Scores: the shape of evaluation.json."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.calibration import ReliabilityBin
from polypskd.metrics.classification import Curve
from polypskd.metrics.intervals import Interval, number

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class against the rest.

    Args:
        precision: positive predictive value in this split.
        recall: sensitivity.
        f1: harmonic mean of the two.
        specificity: of the class against the rest.
        auroc: of the class's probability against the rest.
        support: frames of the class.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    specificity: Interval
    auroc: Interval
    support: int


@dataclass(frozen=True)
class CalibrationScores:
    """Calibration at one temperature.

    Args:
        ece: top label, equal-width bins.
        ece_classwise: mean over classes.
        ece_equal_mass: top label, equal-mass bins.
        brier: summed over classes, in [0, 2].
        nll: nats.
        slope: of the logit of the highest-risk class; 1 is ideal.
        intercept: calibration-in-the-large of that class; 0 is ideal.
    """

    ece: Interval
    ece_classwise: Interval
    ece_equal_mass: Interval
    brier: Interval
    nll: Interval
    slope: Interval
    intercept: Interval


@dataclass(frozen=True)
class LevelScores:
    """Scores on the frames of one level, at temperature 1.

    Args:
        n_frames: frames at this level.
        n_patients: their patients.
        macro_f1: over the classes present or predicted at this level.
        weighted_f1: F1 weighted by support.
        accuracy: share of right predictions.
        ece: top label, equal-width bins.
        brier: summed over classes.
        nll: nats.
    """

    n_frames: int
    n_patients: int
    macro_f1: Interval
    weighted_f1: Interval
    accuracy: Interval
    ece: Interval
    brier: Interval
    nll: Interval


@dataclass(frozen=True)
class Evaluation:
    """All numbers of one network on one split.

    Args:
        split: its name.
        n_frames: N.
        n_patients: P.
        classes: K names, lowest to highest risk.
        per_class: class name → scores.
        macro_f1: mean over classes present or predicted.
        weighted_f1: F1 weighted by support.
        accuracy: share of right predictions.
        auroc: mean over classes; nan if a class is absent.
        confusion: (K, K) rows = reference.
        temperature: fitted on validation; None without validation frames.
        bins: of the calibration errors.
        before: calibration at temperature 1.
        after: calibration at `temperature`.
        reliability: "before" and "after" → bins.
        by_level: level → scores.
        curves: "roc" and "pr" → class name → curve.
    """

    split: str
    n_frames: int
    n_patients: int
    classes: tuple[str, ...]
    per_class: dict[str, ClassScores]
    macro_f1: Interval
    weighted_f1: Interval
    accuracy: Interval
    auroc: Interval
    confusion: Ints
    temperature: float | None
    bins: int
    before: CalibrationScores
    after: CalibrationScores | None
    reliability: dict[str, tuple[ReliabilityBin, ...]]
    by_level: dict[str, LevelScores]
    curves: dict[str, dict[str, Curve]]

    def to_dict(self) -> dict[str, Any]:
        """Give the keys of evaluation.json; what is undefined is None."""
        names = {"roc": ("fpr", "tpr"), "pr": ("recall", "precision")}
        return {
            "split": self.split,
            "n_frames": self.n_frames,
            "n_patients": self.n_patients,
            "classes": list(self.classes),
            "per_class": {name: _plain(scores) for name, scores in self.per_class.items()},
            "macro_f1": self.macro_f1.to_dict(),
            "weighted_f1": self.weighted_f1.to_dict(),
            "accuracy": self.accuracy.to_dict(),
            "auroc": self.auroc.to_dict(),
            "confusion": self.confusion.tolist(),
            "calibration": {
                "temperature": self.temperature,
                "bins": self.bins,
                "before": _plain(self.before),
                "after": None if self.after is None else _plain(self.after),
            },
            "reliability": {
                when: [_plain(row) for row in self.reliability[when]]
                if when in self.reliability
                else None
                for when in ("before", "after")
            },
            "by_level": {level: _plain(scores) for level, scores in self.by_level.items()},
            "curves": {
                kind: {
                    name: {x: list(curve.x), y: list(curve.y)}
                    for name, curve in self.curves[kind].items()
                }
                for kind, (x, y) in names.items()
            },
        }


def _plain(scores: Any) -> dict[str, Any]:
    """Give a dataclass of intervals, counts and numbers as JSON wants it."""
    plain: dict[str, Any] = {}
    for field in fields(scores):
        value = getattr(scores, field.name)
        if isinstance(value, Interval):
            plain[field.name] = value.to_dict()
        else:
            plain[field.name] = value if isinstance(value, int) else number(value)
    return plain
