"""Recalibration: slope and intercept of the logit of the highest-risk class against the rest.

Slope 1 and intercept 0 are ideal; a slope below 1 tells overconfidence, an intercept above 0 that
the risk is underestimated on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.classification import divide

Floats = NDArray[np.float64]

ITERATIONS = 100
TOLERANCE = 1e-10


@dataclass(frozen=True)
class LogisticFit:
    """A logistic regression with what its bootstrap needs; D is 1 or 2.

    Args:
        coefficients: (D,); nan where the regression is degenerate.
        scores: (N, D) derivative of each frame's log likelihood.
        information: (N, D, D) its negative second derivative.
    """

    coefficients: Floats
    scores: Floats
    information: Floats


def fit_slope(margins: Floats, outcome: Floats) -> LogisticFit:
    """Regress the outcome on the logit: coefficients are an intercept and the calibration slope.

    Args:
        margins: (N,) logit of the predicted risk.
        outcome: (N,) 0 or 1.

    Returns:
        nan coefficients where one outcome is absent, all logits are equal, or a threshold on the
        logit separates the outcomes (the slope would be infinite).

    Reference:
        Cox 1958; Van Calster et al. 2016: logit P(y) = a + b logit(p), slope b.

    >>> fit = fit_slope(np.array([-1.0, -1, 1, 1, 1, -1]), np.array([0.0, 1, 1, 0, 1, 0]))
    >>> float(fit.coefficients[1].round(4))
    0.6931
    """
    design = np.stack([np.ones_like(margins), margins], axis=1)
    with_outcome, without = margins[outcome == 1], margins[outcome == 0]
    degenerate = (
        not len(with_outcome)
        or not len(without)
        or np.ptp(margins) == 0
        or with_outcome.min() >= without.max()
        or without.min() >= with_outcome.max()
    )
    return _fit(design, outcome, np.zeros_like(margins), bool(degenerate))


def fit_intercept(margins: Floats, outcome: Floats) -> LogisticFit:
    """Give calibration-in-the-large: the one coefficient is the intercept at slope 1.

    Args:
        margins: (N,) logit of the predicted risk, the offset.
        outcome: (N,) 0 or 1.

    Returns:
        nan where one outcome is absent.

    Reference:
        Van Calster et al. 2016: logit P(y) = a + logit(p).

    >>> fit = fit_intercept(np.zeros(4), np.array([1.0, 1, 1, 0]))
    >>> fit.coefficients.round(4).tolist()
    [1.0986]
    """
    degenerate = not np.any(outcome == 1) or not np.any(outcome == 0)
    return _fit(np.ones((len(margins), 1)), outcome, margins, degenerate)


def resample_coefficients(fit: LogisticFit, scores: Floats, information: Floats) -> Floats:
    """Move the coefficients by one Newton step for each resample.

    Args:
        fit: on the cohort itself.
        scores: (R, D) `fit.scores` summed with the weights of each resample.
        information: (R, D, D) `fit.information` likewise.

    Returns:
        (R, D); nan where a resample leaves them undetermined.

    Reference:
        Moulton & Zeger 1991: the one-step bootstrap of generalized linear models.
    """
    if scores.shape[1] == 1:
        return fit.coefficients + divide(scores, information[:, 0])
    a, b, c = information[:, 0, 0], information[:, 0, 1], information[:, 1, 1]
    determinant = a * c - b * b
    determinant = np.where(determinant > 1e-12 * a * c, determinant, 0.0)
    first = divide(c * scores[:, 0] - b * scores[:, 1], determinant)
    second = divide(a * scores[:, 1] - b * scores[:, 0], determinant)
    return fit.coefficients + np.stack([first, second], axis=1)


def _fit(design: Floats, outcome: Floats, offset: Floats, degenerate: bool) -> LogisticFit:
    """Maximize the likelihood by Newton's method, halving a step that would lower it."""
    width = design.shape[1]
    coefficients = np.zeros(width)

    def likelihood(at: Floats) -> float:
        linear = design @ at + offset
        return float((outcome * linear - np.logaddexp(0, linear)).sum())

    converged = False
    for _ in range(0 if degenerate else ITERATIONS):
        scores, information = _terms(design, outcome, design @ coefficients + offset)
        step = np.linalg.lstsq(information.sum(axis=0), scores.sum(axis=0), rcond=None)[0]
        now = likelihood(coefficients)
        while likelihood(coefficients + step) < now - abs(now) * 1e-12 and np.any(step):
            step = step / 2
        coefficients = coefficients + step
        converged = bool(np.abs(step).max() < TOLERANCE * (1 + np.abs(coefficients).max()))
        if converged:
            break
    if not converged:
        nothing = np.full((len(design), width), np.nan)
        return LogisticFit(np.full(width, np.nan), nothing, nothing[:, :, None] * np.ones(width))
    return LogisticFit(coefficients, *_terms(design, outcome, design @ coefficients + offset))


def _terms(design: Floats, outcome: Floats, linear: Floats) -> tuple[Floats, Floats]:
    risk = np.exp(-np.logaddexp(0, -linear))
    curvature = risk * (1 - risk)
    information = curvature[:, None, None] * design[:, :, None] * design[:, None, :]
    return (outcome - risk)[:, None] * design, information
