"""Subclasses by clusters of the vote distributions inside each class."""

from __future__ import annotations

import numpy as np

from polypskd import config
from polypskd.cohort.table import Cohort
from polypskd.labels.consensus import Consensus
from polypskd.labels.division import (
    Bools,
    Division,
    Floats,
    Ints,
    rank_by_agreement,
    refuse_single_votes,
)
from polypskd.labels.mixture import (
    VoteMixture,
    fit_vote_mixture,
    log_sum,
    measure_bic,
    score_clusters,
)

NEGLIGIBLE = 1e-9  # nats a frame


def divide_by_cluster(
    rule: config.VoteClusters, cohort: Cohort, consensus: Consensus, *, parts: Ints, seed: int
) -> Division:
    """Divide each class by the cluster that its frames' votes most probably belong to.

    Args:
        rule: how many clusters, or the most to choose from.
        cohort: frames and votes; the fine votes are clustered where votes were merged.
        consensus: of the same frames.
        parts: (N,) 0 for training frames, 1 for validation frames, 2 for others. The mixtures
            are fitted on training frames alone. Without validation frames in a class its number
            of clusters is the one of lowest BIC on training frames.
        seed: of the starts of EM.

    Returns:
        Clusters of each class in the order of the mean agreement of their training frames.

    Raises:
        CohortError: no frame has two votes.
    """
    refuse_single_votes(cohort, rule.kind)
    counts = cohort.fine_counts
    level = np.zeros(len(cohort), dtype=np.int64)
    names = []
    for index, name in enumerate(cohort.classes):
        here = consensus.consensus == index
        own, train = counts[here], parts[here] == 0
        mixture = _fit(rule, own[train], own[parts[here] == 1], seed)
        found = score_clusters(mixture, own).argmax(axis=1)
        number = len(mixture.share)
        level[here] = rank_by_agreement(found, consensus.agreement[here], train, number)[found]
        names.append(tuple(f"{name}/cluster_{place + 1}" for place in range(number)))
    return Division(level, tuple(names), rule.min_size)


def _fit(rule: config.VoteClusters, train: Ints, val: Ints, seed: int) -> VoteMixture:
    different = len(np.unique(train, axis=0))
    if rule.clusters is not None:
        return fit_vote_mixture(train, min(rule.clusters, different), seed=seed)
    numbers = range(1, min(rule.most, different) + 1)
    fits = [fit_vote_mixture(train, number, seed=seed) for number in numbers]
    if len(val):
        gains = np.stack([log_sum(score_clusters(fit, val)) for fit in fits], axis=1)
        return fits[choose_number(gains)]
    return min(fits, key=lambda fit: round(measure_bic(fit, len(train)), 6))


def choose_number(gains: Floats) -> int:
    """Choose the smallest mixture that is not shown to be worse than the best.

    The best has the highest mean log likelihood of the validation frames. A smaller one is taken
    if its mean is lower by no more than one standard error of the paired differences: the mean
    alone adds clusters that fit chance.

    Args:
        gains: (N, G) log likelihood of each validation frame under each mixture, smallest first.

    Returns:
        Index of the mixture, 0..G - 1.

    Reference:
        Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4
        (the rule of one standard error; there for cross-validated error).

    >>> choose_number(np.array([[-3.0, -1.0, -1.1], [-3.2, -1.1, -0.9]]))
    1
    """
    best = int(gains.mean(axis=0).argmax())
    lost = gains[:, [best]] - gains
    error = lost.std(axis=0, ddof=min(1, len(gains) - 1)) / np.sqrt(len(gains))
    return int(np.flatnonzero(lost.mean(axis=0) <= error + NEGLIGIBLE)[0])


def split_parts(train: Bools, val: Bools | None) -> Ints:
    """Number the parts of the split: 0 training, 1 validation, 2 others.

    Args:
        train: (N,) whether a frame is in the training split.
        val: (N,) whether it is in the validation split; None: unknown.

    >>> split_parts(np.array([True, False, False]), np.array([False, True, False]))
    array([0, 1, 2])
    """
    inside = np.zeros(len(train), dtype=bool) if val is None else val
    return np.where(train, 0, np.where(inside, 1, 2)).astype(np.int64)
