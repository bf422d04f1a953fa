"""Classification: what follows from confusions, and curves.

Every score of a confusion works on stacks (..., K, K), so that a bootstrap is one call.
What is 0/0 is nan: precision of a class never predicted, recall of a class without frames. F1 is
2TP / (2TP + FP + FN), so it is 0 where only one of the two is undefined, and nan only for a class
neither present nor predicted; macro F1 leaves such a class out, as scikit-learn does by default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class PerClass:
    """Scores of each class against the rest, (..., K) each; nan where 0/0.

    Args:
        precision: TP / (TP + FP).
        recall: TP / (TP + FN), also called sensitivity.
        f1: 2TP / (2TP + FP + FN).
        specificity: TN / (TN + FP).
        support: TP + FN, frames of the class in the reference.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    specificity: Floats
    support: Floats


@dataclass(frozen=True)
class Curve:
    """Points of a curve, in the order of falling threshold.

    Args:
        x: false positive rate or recall.
        y: true positive rate or precision.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, with nan where the denominator is 0.

    >>> divide(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def predict_classes(scores: Floats) -> Ints:
    """Choose the class of the highest score; ties go to the class of higher risk.

    Args:
        scores: (..., K) logits or probabilities, classes from lowest to highest risk.

    >>> predict_classes(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist()
    [1, 0]
    """
    last = scores.shape[-1] - 1
    chosen: Ints = (last - np.argmax(scores[..., ::-1], axis=-1)).astype(np.int64)
    return chosen


def confusion_matrix(reference: Ints, predicted: Ints, classes: int) -> Ints:
    """Count frames by reference class (rows) and predicted class (columns).

    Args:
        reference: (N,) in [0, K).
        predicted: (N,) in [0, K).
        classes: K.

    Returns:
        (K, K).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.bincount(reference * classes + predicted, minlength=classes * classes)
    return cells.astype(np.int64).reshape(classes, classes)


def per_class(confusion: NDArray[np.number]) -> PerClass:
    """Score each class against the rest.

    Args:
        confusion: (..., K, K) counts or weights, rows = reference.

    >>> per_class(np.array([[3, 1], [2, 4]])).recall.round(3).tolist()
    [0.75, 0.667]
    """
    cells = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(cells, axis1=-2, axis2=-1)
    support, predicted = cells.sum(axis=-1), cells.sum(axis=-2)
    others = cells.sum(axis=(-2, -1))[..., None] - support
    return PerClass(
        precision=divide(hits, predicted),
        recall=divide(hits, support),
        f1=divide(2 * hits, support + predicted),
        specificity=divide(others - (predicted - hits), others),
        support=support,
    )


def macro_f1(confusion: NDArray[np.number]) -> Floats:
    """Average F1 over the classes that are present or predicted.

    Args:
        confusion: (..., K, K).

    >>> float(macro_f1(np.array([[2, 0, 0], [0, 1, 0], [0, 0, 0]])))
    1.0
    """
    f1 = per_class(confusion).f1
    defined = ~np.isnan(f1)
    return divide(np.where(defined, f1, 0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def weighted_f1(confusion: NDArray[np.number]) -> Floats:
    """Average F1 weighted by support.

    Args:
        confusion: (..., K, K).

    >>> float(weighted_f1(np.array([[2, 0], [0, 6]])))
    1.0
    """
    scores = per_class(confusion)
    return divide(
        (np.nan_to_num(scores.f1) * scores.support).sum(axis=-1), scores.support.sum(axis=-1)
    )


def accuracy(confusion: NDArray[np.number]) -> Floats:
    """Give the share of frames on the diagonal.

    Args:
        confusion: (..., K, K).

    >>> float(accuracy(np.array([[3, 1], [0, 4]])))
    0.875
    """
    cells = np.asarray(confusion, dtype=np.float64)
    return divide(np.trace(cells, axis1=-2, axis2=-1), cells.sum(axis=(-2, -1)))


def class_margins(logits: Floats) -> Floats:
    """Give the logit of each class's probability: log p - log(1 - p).

    It orders frames as the probability does, but does not saturate at 0 or 1.

    Args:
        logits: (N, K), K at least 2.

    >>> class_margins(np.array([[0.0, 2.0]])).tolist()
    [[-2.0, 2.0]]
    """
    columns = range(logits.shape[1])
    rest = [np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1) for k in columns]
    margins: Floats = logits - np.stack(rest, axis=1)
    return margins


def risk_margins(logits: Floats, positive: Flags) -> Floats:
    """Give the logit of the risk, the probability of the positive classes; it does not saturate.

    Args:
        logits: (N, K) class logits or log probabilities.
        positive: (K,) some of the classes, not all.

    Returns:
        (N,).

    >>> risk_margins(np.log([[0.5, 0.3, 0.2]]), np.array([False, True, True])).round(4).tolist()
    [0.0]
    """
    inside, outside = (
        np.logaddexp.reduce(logits[:, side], axis=1) for side in (positive, ~positive)
    )
    margins: Floats = inside - outside
    return margins


def roc_curve(scores: Floats, positive: Flags, points: int = 200) -> Curve:
    """Give false and true positive rates for a figure.

    Args:
        scores: (N,).
        positive: (N,).
        points: the most to keep, at least 2; the ends always stay.

    Returns:
        No points where one of the two groups is empty.

    >>> roc_curve(np.array([0.2, 0.7]), np.array([False, True])).y
    (0.0, 1.0, 1.0)
    """
    if positive.all() or not positive.any():
        return Curve((), ())
    from sklearn.metrics import roc_curve as curve

    x, y, _ = curve(positive, scores)
    return _thin(x, y, points)


def precision_recall_curve(scores: Floats, positive: Flags, points: int = 200) -> Curve:
    """Give recall and precision for a figure.

    Args:
        scores: (N,).
        positive: (N,).
        points: the most to keep, at least 2; the ends always stay.

    Returns:
        No points where no frame is positive.

    >>> precision_recall_curve(np.array([0.2, 0.7]), np.array([False, True])).y
    (1.0, 1.0, 0.5)
    """
    if not positive.any():
        return Curve((), ())
    from sklearn.metrics import precision_recall_curve as curve

    precision, recall, _ = curve(positive, scores, drop_intermediate=True)
    return _thin(recall[::-1], precision[::-1], points)


def _thin(x: Floats, y: Floats, points: int) -> Curve:
    keep = np.unique(np.linspace(0, len(x) - 1, min(points, len(x))).round().astype(np.int64))
    return Curve(tuple(x[keep].tolist()), tuple(y[keep].tolist()))
