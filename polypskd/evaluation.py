"""Evaluation: one network, one split, all numbers.

Each frame is turned into a row of terms (its cell of the confusion matrix, its gaps, its losses),
rows are summed by patient, and all resamples of the patients are drawn once, in one pass over all
terms; only the AUROC needs more than sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from polypskd.config import EvaluationConfig
from polypskd.errors import ArtifactError
from polypskd.metrics import calibration as cal
from polypskd.metrics import classification as cls
from polypskd.metrics import recalibration as recal
from polypskd.metrics.areas import auroc, order_pairs
from polypskd.metrics.bounds import Bounds
from polypskd.metrics.information import score_information
from polypskd.metrics.intervals import Interval
from polypskd.metrics.resampling import Resampling, patient_sums
from polypskd.metrics.scores import CalibrationScores, ClassScores, Evaluation, LevelScores

__all__ = ["Evaluation", "Outputs", "evaluate", "score_information"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.str_]
Flags = NDArray[np.bool_]

Terms = dict[str, Floats]

LEVEL_TERMS = ("frames", "cells", "before/ece", "before/brier", "before/nll")


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

    Intervals are by patient: percentile for all but the calibration errors, whose squares are
    reflected (`Bounds.of_error`). There is no temperature where a class has no validation frame: it
    would be sure, without having seen one, that no such frame comes. Temperature and the edges of
    equal-mass bins stay fixed over the resamples.

    Args:
        outputs: of the split to judge; may lack classes, or be empty.
        validation: of the validation split, for the temperature alone.
        classes: K names, lowest to highest risk.
        settings: resamples, bins, confidence.
        seed: of the resamples.
    """
    logits, labels, bins = outputs.class_logits, outputs.labels, settings.calibration_bins
    temperature = None
    if validation is not None and len(np.unique(validation.labels)) == len(classes):
        temperature = cal.fit_temperature(validation.class_logits, validation.labels)
    scaled = {"before": logits}
    if temperature is not None:
        scaled["after"] = logits / temperature
    sample = Resampling.draw(outputs.patients, settings.resamples, seed)
    bounds = Bounds(settings.confidence, sample.patients)
    margins = cls.class_margins(logits)
    levels = {str(level): outputs.levels == level for level in np.unique(outputs.levels)}
    fits = {when: _fit(z, labels) for when, z in scaled.items()}
    drawn = sample.measure(
        _sum_terms(sample, _describe(scaled, labels, bins, fits), levels),
        {
            f"auroc/{name}": partial(
                auroc, order_pairs(margins[:, k], labels == k, sample.index, sample.patients)
            )
            for k, name in enumerate(classes)
        },
    )
    scores = cls.per_class(drawn["cells"])
    areas = np.stack([drawn[f"auroc/{name}"] for name in classes], axis=1)
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
                support=int(scores.support[0, k]),
            )
            for k, name in enumerate(classes)
        },
        macro_f1=bounds.of(cls.macro_f1(drawn["cells"])),
        weighted_f1=bounds.of(cls.weighted_f1(drawn["cells"])),
        accuracy=bounds.of(cls.accuracy(drawn["cells"])),
        auroc=bounds.of(areas.mean(axis=1)),
        confusion=drawn["cells"][0].astype(np.int64),
        temperature=temperature,
        bins=bins,
        before=_calibrate(drawn, "before", bounds, fits["before"]),
        after=_calibrate(drawn, "after", bounds, fits["after"]) if "after" in scaled else None,
        reliability={
            when: cal.reliability_curve(_softmax(z), labels, bins) for when, z in scaled.items()
        },
        by_level={
            level: _judge_level(
                {name: drawn[f"level {level}/{name}"] for name in LEVEL_TERMS},
                Bounds(settings.confidence, len(np.unique(sample.index[here]))),
                several=len(np.unique(labels[here])) > 1,
            )
            for level, here in levels.items()
        },
        curves={
            kind: {name: draw(margins[:, k], labels == k) for k, name in enumerate(classes)}
            for kind, draw in (("roc", cls.roc_curve), ("pr", cls.precision_recall_curve))
        },
    )


def _softmax(logits: Floats) -> Floats:
    return np.exp(cal.log_probabilities(logits))


def _cells(logits: Floats, labels: Ints) -> Floats:
    """Give each frame's own confusion matrix, (N, K, K)."""
    table = np.zeros((len(labels), logits.shape[1], logits.shape[1]))
    table[np.arange(len(labels)), labels, cls.predict_classes(logits)] = 1
    return table


def _fit(logits: Floats, labels: Ints) -> dict[str, recal.LogisticFit]:
    risk = cls.class_margins(logits)[:, -1]
    outcome = (labels == logits.shape[1] - 1).astype(np.float64)
    return {
        "slope": recal.fit_slope(risk, outcome),
        "intercept": recal.fit_intercept(risk, outcome),
    }


def _describe(
    scaled: dict[str, Floats],
    labels: Ints,
    bins: int,
    fits: dict[str, dict[str, recal.LogisticFit]],
) -> Terms:
    """Give the terms of every frame, (N, ...) each."""
    terms = {"frames": np.ones(len(labels)), "cells": _cells(scaled["before"], labels)}
    for when, logits in scaled.items():
        p = _softmax(logits)
        terms[f"{when}/ece"] = cal.top_gaps(p, labels, bins)
        terms[f"{when}/ece_classwise"] = cal.class_gaps(p, labels, bins)
        terms[f"{when}/ece_equal_mass"] = cal.mass_gaps(p, labels, bins)
        terms[f"{when}/brier"] = cal.brier(p, labels)
        terms[f"{when}/nll"] = cal.nll(logits, labels)
        for name, fit in fits[when].items():
            if not np.isnan(fit.coefficients).any():
                terms[f"{when}/{name}/scores"] = fit.scores
                terms[f"{when}/{name}/information"] = fit.information
    return terms


def _sum_terms(sample: Resampling, terms: Terms, levels: dict[str, Flags]) -> Terms:
    """Sum the terms of each patient, (P, ...) each, over all frames and over those of a level."""
    index, patients = sample.index, sample.patients
    sums = {name: patient_sums(values, index, patients) for name, values in terms.items()}
    for level, here in levels.items():
        for name in LEVEL_TERMS:
            sums[f"level {level}/{name}"] = patient_sums(terms[name][here], index[here], patients)
    return sums


def _calibrate(
    drawn: Terms, when: str, bounds: Bounds, fits: dict[str, recal.LogisticFit]
) -> CalibrationScores:
    total = drawn["frames"]

    def mean(name: str) -> Interval:
        return bounds.of(cls.divide(drawn[f"{when}/{name}"], total))

    def error(name: str) -> Interval:
        sums = drawn[f"{when}/{name}"]
        errors = cal.calibration_error(sums, total.reshape(-1, *[1] * (sums.ndim - 2)))
        return bounds.of_error(errors if errors.ndim == 1 else errors.mean(axis=1))

    def coefficient(name: str) -> Interval:
        fit, key = fits[name], f"{when}/{name}"
        if f"{key}/scores" not in drawn:
            return bounds.of(np.full(len(total), np.nan))
        moved = recal.resample_coefficients(
            fit, drawn[f"{key}/scores"], drawn[f"{key}/information"]
        )
        moved[0] = fit.coefficients
        return bounds.of(moved[:, -1])

    return CalibrationScores(
        ece=error("ece"),
        ece_classwise=error("ece_classwise"),
        ece_equal_mass=error("ece_equal_mass"),
        brier=mean("brier"),
        nll=mean("nll"),
        slope=coefficient("slope"),
        intercept=coefficient("intercept"),
    )


def _judge_level(drawn: Terms, bounds: Bounds, *, several: bool) -> LevelScores:
    total, cells = drawn["frames"], drawn["cells"]
    # Frames of one class have no F1 worth averaging: each wrong class would count as a zero.
    known = 1.0 if several else np.nan
    return LevelScores(
        n_frames=int(total[0]),
        n_patients=bounds.patients,
        macro_f1=bounds.of(known * cls.macro_f1(cells)),
        weighted_f1=bounds.of(known * cls.weighted_f1(cells)),
        accuracy=bounds.of(cls.accuracy(cells)),
        ece=bounds.of_error(cal.calibration_error(drawn["before/ece"], total)),
        brier=bounds.of(cls.divide(drawn["before/brier"], total)),
        nll=bounds.of(cls.divide(drawn["before/nll"], total)),
    )
