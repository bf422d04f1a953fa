"""Subclasses by what the dissenters said.

An adenoma that some annotators call serrated does not look like one that some call hyperplastic,
though as many agree on both.
"""

from __future__ import annotations

import numpy as np

from polypskd import config
from polypskd.cohort.table import Cohort
from polypskd.labels.consensus import Consensus
from polypskd.labels.division import (
    Bools,
    Division,
    Ints,
    rank_by_agreement,
    refuse_single_votes,
)
from polypskd.labels.levels import cut_thresholds


def find_dissent(counts: Ints, consensus: Ints) -> Ints:
    """Find the class that most of those chose who did not vote for the consensus.

    Args:
        counts: (N, K) votes for each class, K from the lowest to the highest risk.
        consensus: (N,) class index.

    Returns:
        (N,) class index, ties to the class of higher risk; -1 where nobody dissents.

    >>> find_dissent(np.array([[1, 3, 1], [0, 4, 0]]), np.array([1, 1]))
    array([ 2, -1])
    """
    others = counts.copy()
    others[np.arange(len(counts)), consensus] = 0
    chosen = counts.shape[1] - 1 - others[:, ::-1].argmax(axis=1)
    return np.where(others.any(axis=1), chosen, -1).astype(np.int64)


def divide_by_pattern(
    rule: config.VotePattern, cohort: Cohort, consensus: Consensus, train: Bools
) -> Division:
    """Divide each class by the dissenters' class and, where asked for, by agreement.

    Args:
        rule: with or without levels of agreement.
        cohort: frames and votes.
        consensus: of the same frames.
        train: (N,) whether a frame is in the training split.

    Returns:
        Parts of each class in the order of the mean agreement of their training frames. A
        unanimous frame has agreement 1 and therefore no further level.

    Raises:
        CohortError: no frame has two votes, or frames are below the last threshold.
    """
    refuse_single_votes(cohort, rule.kind)
    dissent = find_dissent(cohort.counts, consensus.consensus)
    level = np.zeros(len(cohort), dtype=np.int64)
    endings = [""]
    if rule.levels is not None:
        level = cut_thresholds(rule.levels, consensus.agreement, "agreement")
        endings = [f"/{name}" for name in rule.levels]
    # Part 0 is unanimous; then every class with every level.
    part = np.where(dissent < 0, 0, 1 + dissent * len(endings) + level)
    out = np.zeros(len(cohort), dtype=np.int64)
    names = []
    for index, name in enumerate(cohort.classes):
        labels = [f"{name}/unanimous"]
        labels += [f"{name}/vs_{other}{ending}" for other in cohort.classes for ending in endings]
        here = consensus.consensus == index
        rank = rank_by_agreement(part[here], consensus.agreement[here], train[here], len(labels))
        out[here] = rank[part[here]]
        names.append(tuple(labels[place] for place in np.argsort(rank)))
    return Division(out, tuple(names), rule.min_size)
