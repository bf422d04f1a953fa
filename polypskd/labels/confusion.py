"""Subclasses by how sure the annotators' confusions leave one of the consensus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polypskd import config
from polypskd.cohort.table import Cohort
from polypskd.errors import CohortError, Fault
from polypskd.labels.dawid_skene import DawidSkene, estimate_dawid_skene, score_classes
from polypskd.labels.division import (
    Bools,
    Division,
    Floats,
    Ints,
    cross_names,
    refuse_single_votes,
)
from polypskd.labels.levels import cut_quantiles, cut_thresholds

DECIMALS = 9  # of the log odds: equal votes in another order differ in the last bits of their sum


def divide_by_confusion(
    rule: config.AnnotatorConfusion, cohort: Cohort, consensus: Ints, train: Bools
) -> Division:
    """Divide each class by the posterior probability of the consensus.

    Prior and confusions are estimated on the training frames' votes alone; an annotator who has
    no vote there is taken to confuse the classes as all others together do. Thresholds cut the
    probability; quantiles cut its log odds, which have the same order but tell values near 1
    apart.

    Args:
        rule: thresholds or quantiles.
        cohort: frames and votes, with annotators told apart.
        consensus: (N,) class index.
        train: (N,) whether a frame is in the training split.

    Raises:
        CohortError: annotators are not told apart, no frame has two votes, or frames are below
            the last threshold.
    """
    refuse_single_votes(cohort, rule.kind)
    _refuse_counts(cohort)
    log_posterior = _infer(cohort, train)
    rows = np.arange(len(cohort))
    own = log_posterior[rows, consensus]
    if rule.levels is not None:
        level = cut_thresholds(rule.levels, np.exp(own), "posterior probability of the consensus")
        names = list(rule.levels)
    else:
        assert rule.quantiles is not None  # noqa: S101  (the config's validator says so)
        rest = log_posterior.copy()
        rest[rows, consensus] = -np.inf
        odds = np.round(own - np.logaddexp.reduce(rest, axis=1), DECIMALS)
        level, names = cut_quantiles(odds, train, rule.quantiles)
    return Division(level, cross_names(cohort.classes, names), rule.min_size)


def _refuse_counts(cohort: Cohort) -> None:
    if (cohort.vote_annotator < 0).any():
        raise CohortError(
            [
                Fault(
                    where="labels.subclasses.kind",
                    what="annotators are not told apart, which is needed by",
                    value="annotator_confusion",
                    todo="give one vote a row or a column an annotator (cohort.votes kind long "
                    "or wide), or set the kind to agreement_levels",
                )
            ]
        )


def _infer(cohort: Cohort, train: Bools) -> Floats:
    """Give the (N, K) log posterior."""
    annotators, classes = len(cohort.annotators), len(cohort.classes)
    frame, annotator = cohort.vote_frame, cohort.vote_annotator
    chosen = cohort.fine_class[cohort.vote_fine]
    inside = train[frame]
    found = estimate_dawid_skene(
        (np.cumsum(train) - 1)[frame[inside]],
        annotator[inside],
        chosen[inside],
        frames=int(train.sum()),
        annotators=annotators,
        classes=classes,
    )
    votes = np.bincount(annotator[inside], minlength=annotators)
    return score_classes(_pool_unseen(found, votes), frame, annotator, chosen, frames=len(cohort))


def _pool_unseen(found: DawidSkene, votes: Ints) -> DawidSkene:
    pooled = np.tensordot(votes / votes.sum(), found.confusion, axes=1)
    unseen = (votes == 0)[:, None, None]
    return replace(found, confusion=np.where(unseen, pooled, found.confusion))
