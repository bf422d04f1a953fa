"""Dawid & Skene: how each annotator confuses the classes, and what a frame then probably is.

A vote of an annotator who calls everything an adenoma says little; one who is seldom wrong says
much. Both are found from the votes alone, by EM.

Reference:
    Dawid & Skene 1979, Maximum Likelihood Estimation of Observer Error-Rates Using the EM
    Algorithm, Journal of the Royal Statistical Society C (Applied Statistics) 28:20.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DawidSkeneFit:
    """When to stop, and how much to smooth.

    Args:
        smoothing: pseudo-votes in each cell of each confusion matrix, and pseudo-frames of each
            class: additive (Laplace) smoothing, the mode under Dirichlet(1 + smoothing) priors.
            0 gives the maximum likelihood of the paper.
        iterations: at most.
        tolerance: gain of the log likelihood a vote, in nats, below which EM ends.
    """

    smoothing: float = 0.1
    iterations: int = 200
    tolerance: float = 1e-8


@dataclass(frozen=True)
class DawidSkene:
    """What N frames probably are, and how M annotators confuse K classes.

    Args:
        posterior: (N, K) probability of each class; rows sum to 1.
        confusion: (M, K, K) probability that an annotator votes for a class (last axis) where
            the frame is of another (middle axis); rows sum to 1.
        prior: (K,) share of each class.
        iterations: done.
        log_likelihood: (iterations,) of the votes, in nats, after each; with smoothing plus the
            log of the priors' density but for a constant. It never falls.
    """

    posterior: Floats
    confusion: Floats
    prior: Floats
    iterations: int
    log_likelihood: Floats


def estimate_dawid_skene(  # noqa: PLR0913  (three arrays that are one table, and its three sizes)
    vote_frame: Ints,
    vote_annotator: Ints,
    vote_class: Ints,
    *,
    frames: int,
    annotators: int,
    classes: int,
    fit: DawidSkeneFit | None = None,
) -> DawidSkene:
    """Estimate classes and confusions from votes.

    EM starts from the shares of the votes (majority), which settles which label is which. E-step:
    p(class | votes of i) ∝ prior(class) × Π confusion[annotator, class, vote]; M-step: prior and
    confusion are the posterior's smoothed shares. All products are sums of logarithms.

    Args:
        vote_frame: (V,) frame index of each vote, 0..frames - 1.
        vote_annotator: (V,) annotator index, 0..annotators - 1.
        vote_class: (V,) class index, 0..classes - 1.
        frames: N; one without votes gets the prior.
        annotators: M; the confusion of one without votes is uniform.
        classes: K.
        fit: smoothing, iterations, tolerance.

    Raises:
        ValueError: there are no votes, or an index is out of range.

    Reference:
        Dawid & Skene 1979, equations 2.3 and 2.4 (M-step), 2.5 (E-step).

    >>> frame, annotator = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    >>> votes = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    >>> found = estimate_dawid_skene(frame, annotator, votes, frames=4, annotators=3, classes=2)
    >>> found.posterior.argmax(axis=1)
    array([0, 0, 1, 1])
    """
    fit = fit or DawidSkeneFit()
    _check_indices(vote_frame, frames, "vote_frame")
    _check_indices(vote_annotator, annotators, "vote_annotator")
    _check_indices(vote_class, classes, "vote_class")
    cell = vote_annotator * classes + vote_class
    votes = np.bincount(vote_frame * classes + vote_class, minlength=frames * classes)
    shares = votes.reshape(frames, classes).T.astype(np.float64)
    voted = shares.sum(axis=0)
    overall = shares.sum(axis=1, keepdims=True) / len(vote_frame)
    posterior = np.where(voted > 0, shares / np.maximum(voted, 1), overall)
    history: list[float] = []
    for _ in range(fit.iterations):
        prior, confusion = _maximize(posterior, vote_frame, cell, annotators, fit.smoothing)
        joint = _score(prior, confusion, vote_frame, cell, frames)
        total = _log_sum(joint)
        posterior = np.exp(joint - total)
        penalty = 0.0
        if fit.smoothing:
            penalty = fit.smoothing * float(np.log(prior).sum() + np.log(confusion).sum())
        history.append(float(total.sum()) + penalty)
        if len(history) > 1 and history[-1] - history[-2] < fit.tolerance * len(vote_frame):
            break
    by_annotator = confusion.reshape(classes, annotators, classes).transpose(1, 0, 2)
    return DawidSkene(posterior.T, by_annotator, prior, len(history), np.array(history))


def score_classes(
    found: DawidSkene,
    vote_frame: Ints,
    vote_annotator: Ints,
    vote_class: Ints,
    *,
    frames: int,
) -> Floats:
    """Give the log posterior of each class for frames that may be others than those estimated on.

    Args:
        found: prior and confusions.
        vote_frame: (V,) frame index of each vote, 0..frames - 1.
        vote_annotator: (V,) index into `found.confusion`.
        vote_class: (V,) class index.
        frames: N.

    Returns:
        (N, K) nats.

    >>> expert = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    >>> found = DawidSkene(np.ones((1, 2)) / 2, expert, np.array([0.5, 0.5]), 1, np.zeros(1))
    >>> zero = np.array([0])
    >>> np.exp(score_classes(found, zero, zero, zero, frames=1)).round(3)
    array([[0.818, 0.182]])
    """
    annotators, classes = found.confusion.shape[:2]
    confusion = found.confusion.transpose(1, 0, 2).reshape(classes, annotators * classes)
    joint = _score(
        found.prior, confusion, vote_frame, vote_annotator * classes + vote_class, frames
    )
    return (joint - _log_sum(joint)).T


def _check_indices(index: Ints, size: int, name: str) -> None:
    if not len(index):
        raise ValueError("there are no votes")
    if index.min() < 0 or index.max() >= size:
        raise ValueError(f"{name} must lie in 0..{size - 1}; found {index.min()}..{index.max()}")


def _maximize(
    posterior: Floats, vote_frame: Ints, cell: Ints, annotators: int, smoothing: float
) -> tuple[Floats, Floats]:
    """Give the prior (K,) and the confusions (K, M × K), class by class for cache's sake."""
    classes = len(posterior)
    prior = posterior.sum(axis=1) + smoothing
    votes = np.stack(
        [np.bincount(cell, own[vote_frame], minlength=annotators * classes) for own in posterior]
    )
    seen = votes.reshape(classes, annotators, classes) + np.float64(smoothing)
    total = seen.sum(axis=2, keepdims=True)
    confusion = np.where(total > 0, seen / np.where(total > 0, total, 1), 1 / classes)
    return prior / prior.sum(), confusion.reshape(classes, annotators * classes)


def _score(prior: Floats, confusion: Floats, vote_frame: Ints, cell: Ints, frames: int) -> Floats:
    """Give log(prior × probability of the votes) as (K, N)."""
    with np.errstate(divide="ignore"):  # without smoothing a chance may be 0
        start, chance = np.log(prior), np.log(confusion)
    return np.stack(
        [
            first + np.bincount(vote_frame, own[cell], minlength=frames)
            for first, own in zip(start, chance, strict=True)
        ]
    )


def _log_sum(joint: Floats) -> Floats:
    top = joint.max(axis=0)
    return np.asarray(top + np.log(np.exp(joint - top).sum(axis=0)))
