"""Calibration of the student: as it is, and after each scaling that validation frames can fit."""

from __future__ import annotations

import numpy as np

from polypskd.metrics import recalibration as recal
from polypskd.metrics.bounds import Bounds
from polypskd.metrics.brier import measure_brier
from polypskd.metrics.calibration import (
    brier,
    calibration_error,
    equal_mass_bins,
    log_probabilities,
    nll,
    top_gaps,
    top_label,
)
from polypskd.metrics.calibration_curve import measure_curve
from polypskd.metrics.calibration_errors import measure_errors
from polypskd.metrics.classification import class_margins, divide, risk_margins
from polypskd.metrics.intervals import Interval
from polypskd.metrics.resampling import patient_sums
from polypskd.metrics.scaling import Scaling, fit_scaling
from polypskd.metrics.smooth_error import measure_smooth_error
from polypskd.study.accuracy import name_positive
from polypskd.study.data import Flags, Floats, Json, NotAssessableError, StudyData

UNSCALED = "none"
BIN_FRAMES = 10  # of a bin beside the curve; fewer show chance alone
CURVES = (UNSCALED, "temperature")  # the scalings whose curves are drawn


def describe_calibration(data: StudyData) -> Json:
    """Judge the student's probabilities before and after temperature, vector and isotonic scaling.

    Args:
        data: the run.

    Returns:
        ``scalings``: of each kind what was fitted on validation and how it does on test;
        ``levels``: of each difficulty level, before and after temperature scaling;
        ``level_word``, what they are called.
    """
    if not len(data.test):
        raise NotAssessableError("the test split has no frames")
    scalings = _fit_scalings(data)
    judged: Json = {UNSCALED: _judge(data, data.test.student, curves=True)}
    scaled = {UNSCALED: data.test.student}
    for kind, fitted in scalings.items():
        if isinstance(fitted, str):
            judged[kind] = {"not_assessable": fitted}
            continue
        scaled[kind] = fitted.apply(data.test.student)
        found = _judge(data, scaled[kind], curves=kind in CURVES)
        judged[kind] = {"fitted": fitted.to_dict()} | found
    return {
        "positive": name_positive(data),
        "confidence": data.confidence,
        "bins": data.bins,
        "n_frames": len(data.test),
        "n_validation": len(data.validation),
        "scalings": judged,
        "least_frames": data.settings.least_frames,
        "least_patients": data.settings.least_patients,
        "level_word": data.level_word,
        "levels": _judge_levels(data, {kind: scaled[kind] for kind in CURVES if kind in scaled}),
    }


def _fit_scalings(data: StudyData) -> dict[str, Scaling | str]:
    """Fit every scaling on validation, or say why it cannot be."""
    validation, kinds = data.validation, ("temperature", "vector", "isotonic")
    if data.unscaled:
        return dict.fromkeys(kinds, data.unscaled)
    width = len(data.classes)
    weights = (1 / validation.temperature,) * width
    # The temperature of the evaluation, so that its numbers and these are of one network.
    found: dict[str, Scaling | str] = {
        "temperature": Scaling("temperature", width, weights, (0.0,) * width)
    }
    for kind in ("vector", "isotonic"):
        found[kind] = fit_scaling(kind, validation.student, validation.labels)
    return found


# --- a scaling ------------------------------------------------------------------------------------


def _judge(data: StudyData, logits: Floats, *, curves: bool) -> Json:
    """Judge (N, K) logits or log probabilities of the test frames."""
    test, sample = data.test, data.sample
    bounds = Bounds(data.confidence, sample.patients)
    logs = log_probabilities(logits)
    p = np.exp(logs)
    errors = measure_errors(p, test.labels, sample, bins=data.bins, confidence=data.confidence)
    parts = measure_brier(p, test.labels, sample, bins=data.bins, confidence=data.confidence)
    losses = sample.sums(np.stack([nll(logs, test.labels), np.ones(len(logs))], axis=1))
    told, split = errors.to_dict(), parts.to_dict()
    found: Json = {
        "errors": told | {"per_class": _by_class(data, told["per_class"])},
        "brier": split | {"per_class": _by_class(data, split["per_class"])},
        "nll": bounds.of(divide(losses[:, 0], losses[:, 1])).to_dict(),
    }
    if _has_risk(data):
        risk = risk_margins(logs, data.positive)
        found |= _recalibrate(data, risk, np.ones(len(risk), dtype=bool), sample.patients)
    return found | _draw_curves(data, logs) if curves else found


def _draw_curves(data: StudyData, logs: Floats) -> Json:
    """Judge without bins: smooth errors, and the smooth curve of each class and of the risk."""
    test, p, margins = data.test, np.exp(logs), class_margins(logs)
    forecasts = {"top_label": top_label(p, test.labels)}
    curves = {
        name: _draw(data, margins[:, k], test.labels == k) for k, name in enumerate(data.classes)
    }
    risk = None
    if _has_risk(data):
        forecasts["risk"] = p[:, data.positive].sum(axis=1), test.outcome.astype(np.float64)
        first, *others = name_positive(data)
        risk = curves[first]  # the same, where one class alone is positive
        if others:
            risk = _draw(data, risk_margins(logs, data.positive), test.outcome)
    return {
        "smooth_error": {
            name: measure_smooth_error(*pair, data.sample, confidence=data.confidence).to_dict()
            for name, pair in forecasts.items()
        },
        "curves": curves,
        "risk_curve": risk,
    }


def _draw(data: StudyData, margins: Floats, outcome: Flags) -> Json:
    """Give the smooth curve of one probability, and bins of equal numbers of frames beside it."""
    curve = measure_curve(margins, outcome, data.sample, confidence=data.confidence).to_dict()
    forecast = np.exp(-np.logaddexp(0, -margins))
    bins = max(1, min(data.bins, len(margins) // BIN_FRAMES))
    index = np.unique(equal_mass_bins(forecast, bins), return_inverse=True)[1]
    count = np.bincount(index)
    return curve | {
        "bins": {
            "predicted": (np.bincount(index, forecast) / count).tolist(),
            "observed": (np.bincount(index, outcome) / count).tolist(),
            "n_frames": count.tolist(),
        }
    }


def _has_risk(data: StudyData) -> bool:
    """Say whether some classes are positive and others not."""
    return bool(data.positive.any() and not data.positive.all())


def _by_class(data: StudyData, values: list[Json]) -> Json:
    return dict(zip(data.classes, values, strict=True))


def _recalibrate(data: StudyData, risk: Floats, here: Flags, patients: int) -> Json:
    """Give calibration slope and intercept of the risk over some of the frames."""
    sample, bounds = data.sample, Bounds(data.confidence, patients)
    outcome = data.test.outcome[here].astype(np.float64)
    found: Json = {}
    for name, fit_to in (("slope", recal.fit_slope), ("intercept", recal.fit_intercept)):
        fit = fit_to(risk[here], outcome)
        if np.isnan(fit.coefficients).any():
            found[name] = Interval(np.nan, np.nan, np.nan).to_dict()
            continue
        terms = {"scores": fit.scores, "information": fit.information}
        drawn = sample.measure(
            {n: patient_sums(v, sample.index[here], sample.patients) for n, v in terms.items()}
        )
        moved = recal.resample_coefficients(fit, drawn["scores"], drawn["information"])
        moved[0] = fit.coefficients
        found[name] = bounds.of(moved[:, -1]).to_dict()
    return found


# --- difficulty levels ----------------------------------------------------------------------------


def list_levels(data: StudyData, among: Flags | None = None) -> dict[str, Flags]:
    """Give the test frames, (N,), of each difficulty level, the easiest first.

    Args:
        data: the run.
        among: (N,) the frames that count; None counts all.
    """
    levels = data.test.levels
    counted = np.ones(len(levels), dtype=bool) if among is None else among
    present = np.unique(levels[counted]).tolist()
    order = [name for name in data.level_order if name in present]
    order += [name for name in present if name not in order]
    return {name: (levels == name) & counted for name in order}


def count_level(data: StudyData, here: Flags) -> Json:
    """Count the frames (N,) of a level and their patients, and say where they are too few."""
    settings, frames = data.settings, int(here.sum())
    patients = len(np.unique(data.sample.index[here]))
    found: Json = {"n_frames": frames, "n_patients": patients}
    if frames >= settings.least_frames and patients >= settings.least_patients:
        return found
    if not data.patients_known:
        needed = max(settings.least_frames, settings.least_patients)
        return found | {"not_assessable": f"{frames} frames; numbers need {needed}"}
    return found | {
        "not_assessable": f"{frames} frames of {patients} patients; numbers need "
        f"{settings.least_frames} frames of {settings.least_patients} patients "
        "(study.least_frames, study.least_patients)"
    }


def _judge_levels(data: StudyData, scaled: dict[str, Floats]) -> Json:
    """Judge each level that has enough frames and patients."""
    found: Json = {}
    for level, here in list_levels(data).items():
        found[level] = count_level(data, here)
        if "not_assessable" not in found[level]:
            found[level] |= {
                kind: _judge_level(
                    data, log_probabilities(logits), here, found[level]["n_patients"]
                )
                for kind, logits in scaled.items()
            }
    return found


def _judge_level(data: StudyData, logs: Floats, here: Flags, patients: int) -> Json:
    sample, labels, p = data.sample, data.test.labels[here], np.exp(logs[here])
    terms = {
        "frames": np.ones(len(p)),
        "gaps": top_gaps(p, labels, data.bins),
        "brier": brier(p, labels),
        "nll": nll(logs[here], labels),
    }
    drawn = sample.measure(
        {n: patient_sums(v, sample.index[here], sample.patients) for n, v in terms.items()}
    )
    bounds, total = Bounds(data.confidence, patients), drawn["frames"]
    found: Json = {
        "ece": bounds.of_error(calibration_error(drawn["gaps"], total)).to_dict(),
        "brier": bounds.of(divide(drawn["brier"], total)).to_dict(),
        "nll": bounds.of(divide(drawn["nll"], total)).to_dict(),
    }
    if not _has_risk(data):
        return found
    return found | _recalibrate(data, risk_margins(logs, data.positive), here, patients)
