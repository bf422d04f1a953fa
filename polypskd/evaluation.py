"""Evaluation: one network, one split, all numbers.

Each frame is turned into a row of terms (its cell of the confusion matrix, its gaps, its losses),
rows are summed by patient, and every resample of the patients is one row of a matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.config import EvaluationConfig
from polypskd.errors import ArtifactError
from polypskd.metrics import calibration as cal
from polypskd.metrics import classification as cls
from polypskd.metrics import intervals as iv
from polypskd.metrics import recalibration as recal
from polypskd.metrics.information import score_information
from polypskd.metrics.intervals import Interval
from polypskd.metrics.scores import CalibrationScores, ClassScores, Evaluation, LevelScores

__all__ = ["Evaluation", "Outputs", "evaluate", "score_information"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.str_]

PATIENTS = 2  # with fewer there is no interval


@dataclass(frozen=True)
class Outputs:
    """What a network says about N frames, and what is known of them.

    Args:
        class_logits: (N, K) unnormalized log class probabilities: the logsumexp of each class's
            subclass logits. Temperature scaling divides these, not the subclass logits.
        labels: (N,) reference class, in [0, K).
        patients: (N,).
        levels: (N,) names or numbers of the difficulty level.
        split: name of the split.

    Raises:
        ArtifactError: a logit is not finite, because the training diverged.
        ValueError: shapes or labels do not fit.
    """

    class_logits: Floats
    labels: Ints
    patients: Words
    levels: Words | Ints
    split: str

    def __post_init__(self) -> None:
        count, classes = self.class_logits.shape
        lengths = {len(self.labels), len(self.patients), len(self.levels), count}
        if len(lengths) != 1 or classes < 2:
            raise ValueError(f"{self.split}: need N rows each and K >= 2, got {lengths}, {classes}")
        if count and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(f"{self.split}: labels must lie in [0, {classes})")
        broken = int((~np.isfinite(self.class_logits)).any(axis=1).sum())
        if broken:
            raise ArtifactError(
                f"{self.split} split: the network's answer is not finite for {broken} of {count} "
                "frames; its training diverged: lower fit.lr and train again"
            )


def evaluate(
    outputs: Outputs,
    *,
    validation: Outputs | None,
    classes: Sequence[str],
    settings: EvaluationConfig,
    seed: int,
) -> Evaluation:
    """Compute all numbers of one network on one split.

    Intervals are by patient: percentile for all but the calibration errors, which are pivotal.
    Temperature and the edges of equal-mass bins stay fixed over the resamples.

    Args:
        outputs: of the split to judge; may lack classes, or be empty.
        validation: of the validation split, for the temperature alone.
        classes: K names, lowest to highest risk.
        settings: resamples, bins, confidence.
        seed: of the resamples.
    """
    logits, labels, bins = outputs.class_logits, outputs.labels, settings.calibration_bins
    temperature = None
    if validation is not None and len(validation.labels):
        temperature = cal.fit_temperature(validation.class_logits, validation.labels)
    scaled = {"before": logits}
    if temperature is not None:
        scaled["after"] = logits / temperature
    sample = iv.Resampling.draw(outputs.patients, settings.resamples, seed)
    bounds = _Bounds(settings.confidence, sample.weights.shape[1])
    confusion = cls.confusion_matrix(labels, cls.predict_classes(logits), len(classes))
    confusions = sample.sums(_cells(logits, labels))
    margins = cls.class_margins(logits)
    areas = _areas(sample, margins, labels)
    scores = cls.per_class(confusions)
    calibrations = {when: _calibrate(sample, bounds, z, labels, bins) for when, z in scaled.items()}
    return Evaluation(
        split=outputs.split,
        n_frames=len(labels),
        n_patients=bounds.patients,
        classes=tuple(classes),
        per_class={
            name: ClassScores(
                precision=bounds.of(scores.precision[:, k]),
                recall=bounds.of(scores.recall[:, k]),
                f1=bounds.of(scores.f1[:, k]),
                specificity=bounds.of(scores.specificity[:, k]),
                auroc=bounds.of(areas[:, k]),
                support=int(confusion[k].sum()),
            )
            for k, name in enumerate(classes)
        },
        macro_f1=bounds.of(cls.macro_f1(confusions)),
        weighted_f1=bounds.of(cls.weighted_f1(confusions)),
        accuracy=bounds.of(cls.accuracy(confusions)),
        auroc=bounds.of(areas.mean(axis=1)),
        confusion=confusion,
        temperature=temperature,
        bins=bins,
        before=calibrations["before"],
        after=calibrations.get("after"),
        reliability={
            when: cal.reliability_curve(_softmax(z), labels, bins) for when, z in scaled.items()
        },
        by_level={
            str(level): _judge_level(sample, settings, outputs, outputs.levels == level)
            for level in np.unique(outputs.levels)
        },
        curves={
            kind: {name: draw(margins[:, k], labels == k) for k, name in enumerate(classes)}
            for kind, draw in (("roc", cls.roc_curve), ("pr", cls.precision_recall_curve))
        },
    )


@dataclass(frozen=True)
class _Bounds:
    """Turns the values of a cohort and its resamples into an interval."""

    confidence: float
    patients: int

    def of(self, samples: Floats) -> Interval:
        return iv.percentile_interval(self._known(samples), self.confidence)

    def of_error(self, samples: Floats) -> Interval:
        return iv.pivotal_interval(self._known(samples), self.confidence)

    def _known(self, samples: Floats) -> Floats:
        return samples if self.patients >= PATIENTS else samples[:1]


def _softmax(logits: Floats) -> Floats:
    return np.exp(cal.log_probabilities(logits))


def _cells(logits: Floats, labels: Ints) -> Floats:
    """Give each frame's own confusion matrix, (N, K, K)."""
    table = np.zeros((len(labels), logits.shape[1], logits.shape[1]))
    table[np.arange(len(labels)), labels, cls.predict_classes(logits)] = 1
    return table


def _areas(sample: iv.Resampling, margins: Floats, labels: Ints) -> Floats:
    pairs = [cls.order_pairs(column, labels == k) for k, column in enumerate(margins.T)]
    return sample.apply(
        lambda weights: np.stack([cls.auroc(pair, weights) for pair in pairs], axis=1)
    )


def _calibrate(
    sample: iv.Resampling, bounds: _Bounds, logits: Floats, labels: Ints, bins: int
) -> CalibrationScores:
    p = _softmax(logits)
    total = sample.sums(np.ones(len(labels)))
    risk = cls.class_margins(logits)[:, -1]
    outcome = (labels == logits.shape[1] - 1).astype(np.float64)

    def error(gaps: Floats) -> Floats:
        sums = sample.sums(gaps)
        return cal.calibration_error(sums, total.reshape(-1, *[1] * (sums.ndim - 2)))

    def coefficient(fit: recal.LogisticFit) -> Floats:
        if np.isnan(fit.coefficients).any():
            return np.full(len(total), np.nan)
        drawn = recal.resample_coefficients(
            fit, sample.sums(fit.scores), sample.sums(fit.information)
        )
        drawn[0] = fit.coefficients
        return drawn[:, -1]

    return CalibrationScores(
        ece=bounds.of_error(error(cal.top_gaps(p, labels, bins))),
        ece_classwise=bounds.of_error(error(cal.class_gaps(p, labels, bins)).mean(axis=1)),
        ece_equal_mass=bounds.of_error(error(cal.mass_gaps(p, labels, bins))),
        brier=bounds.of(cls.divide(sample.sums(cal.brier(p, labels)), total)),
        nll=bounds.of(cls.divide(sample.sums(cal.nll(logits, labels)), total)),
        slope=bounds.of(coefficient(recal.fit_slope(risk, outcome))),
        intercept=bounds.of(coefficient(recal.fit_intercept(risk, outcome))),
    )


def _judge_level(
    sample: iv.Resampling, settings: EvaluationConfig, outputs: Outputs, here: NDArray[np.bool_]
) -> LevelScores:
    logits, labels = outputs.class_logits[here], outputs.labels[here]
    part = iv.Resampling(sample.index[here], sample.weights)
    bounds = _Bounds(settings.confidence, len(np.unique(part.index)))
    p, bins = _softmax(logits), settings.calibration_bins
    total = part.sums(np.ones(len(labels)))
    confusions = part.sums(_cells(logits, labels))
    # Frames of one class have no F1 worth averaging: each wrong class would count as a zero.
    several = np.where(len(np.unique(labels)) > 1, 1.0, np.nan)
    return LevelScores(
        n_frames=len(labels),
        n_patients=bounds.patients,
        macro_f1=bounds.of(several * cls.macro_f1(confusions)),
        weighted_f1=bounds.of(several * cls.weighted_f1(confusions)),
        accuracy=bounds.of(cls.accuracy(confusions)),
        ece=bounds.of_error(cal.calibration_error(part.sums(cal.top_gaps(p, labels, bins)), total)),
        brier=bounds.of(cls.divide(part.sums(cal.brier(p, labels)), total)),
        nll=bounds.of(cls.divide(part.sums(cal.nll(logits, labels)), total)),
    )
