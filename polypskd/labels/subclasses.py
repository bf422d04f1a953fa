"""Subclasses: what a class is divided into, from the votes of the annotators.

Every rule first gives each frame a level within its class, 0 = easiest; subclass = class × level.
Levels with too few training frames are then merged with their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from polypskd import config
from polypskd.cohort.table import Cohort
from polypskd.errors import CohortError, Fault
from polypskd.labels.clusters import divide_by_cluster, split_parts
from polypskd.labels.confusion import divide_by_confusion
from polypskd.labels.consensus import Consensus
from polypskd.labels.division import Division, cross_names
from polypskd.labels.levels import cut_quantiles, cut_thresholds, explain_quantiles
from polypskd.labels.patterns import divide_by_pattern
from polypskd.labels.randomized import shuffle_within
from polypskd.labels.scheme import Scheme

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Rules that say nothing new where each class stays whole, and what to do about it.
TODO = {
    "vote_pattern": "nobody dissents, so use kind known or none",
    "vote_clusters": "the votes of a class look drawn from one distribution, so use kind "
    "vote_pattern, agreement_levels or none",
    "annotator_confusion": "cut higher or into more quantiles, or use kind none",
    "random": "give a rule in `of` that divides a class",
}


@dataclass(frozen=True)
class SubclassLabels:
    """The subclass of each of N frames.

    Args:
        subclass: (N,) index into `scheme.subclasses`.
        level: (N,) `scheme.level_of` its subclass.
        scheme: the map subclass → class.
        merges: what was merged for lack of training frames, a sentence each.
        notes: where the rule could not be followed, a sentence each.
    """

    subclass: Ints
    level: Ints
    scheme: Scheme
    merges: tuple[str, ...]
    notes: tuple[str, ...] = ()


def derive_subclasses(
    rule: config.Subclasses,
    cohort: Cohort,
    consensus: Consensus,
    train: Bools,
    *,
    val: Bools | None = None,
    seed: int = 0,
) -> SubclassLabels:
    """Divide the classes into subclasses.

    A subclass with fewer training frames than `min_size` merges into the next easier one of its
    class, or into the next harder one if it is the easiest, until all are large enough.

    Args:
        rule: how to divide.
        cohort: frames and votes.
        consensus: of the same frames.
        train: (N,) whether a frame is in the training split; sizes, quantiles, mixtures and
            confusions look at no other.
        val: (N,) whether a frame is in the validation split, on which `vote_clusters` chooses the
            number of clusters; None: by BIC on training frames.
        seed: of `random` and of the starts of `vote_clusters`.

    Raises:
        CohortError: frames are below the last threshold, a class has no training frame, the
            votes do not serve the rule, or the rule leaves every class whole (`agreement_levels`,
            `vote_count` and `known` may).
    """
    _refuse_untrained(cohort.classes, consensus.consensus, train)
    if isinstance(rule, config.RandomSubclasses):
        of = derive_subclasses(rule.of, cohort, consensus, train, val=val, seed=seed)
        parts = split_parts(train, val)
        subclass = shuffle_within(of.subclass, consensus.consensus, parts, seed)
        labels = SubclassLabels(
            subclass, of.scheme.level_of[subclass], _rename_random(of.scheme), of.merges, of.notes
        )
    else:
        parts = split_parts(train, val)
        division = _divide(rule, cohort, consensus, parts, seed)
        labels = _merge_small(division, cohort.classes, consensus.consensus, train)
    _refuse_whole_classes(rule, labels)
    return labels


def _divide(
    rule: config.Rule, cohort: Cohort, consensus: Consensus, parts: Ints, seed: int
) -> Division:
    train = parts == 0
    match rule:
        case config.NoSubclasses():
            whole = np.zeros(len(cohort), dtype=np.int64)
            return Division(whole, tuple((name,) for name in cohort.classes), 1)
        case config.AgreementLevels():
            return _divide_by_agreement(rule, cohort.classes, consensus, train)
        case config.VoteCount():
            votes = cohort.counts[np.arange(len(cohort)), consensus.consensus]
            most = int(votes.max())
            names = [f"{count}_votes" for count in range(most, 0, -1)]
            return Division(most - votes, cross_names(cohort.classes, names), rule.min_size)
        case config.KnownColumn():
            return _divide_by_fine_vote(cohort, consensus.consensus, rule.min_size)
        case config.VotePattern():
            return divide_by_pattern(rule, cohort, consensus, train)
        case config.VoteClusters():
            return divide_by_cluster(rule, cohort, consensus, parts=parts, seed=seed)
        case config.AnnotatorConfusion():
            return divide_by_confusion(rule, cohort, consensus.consensus, train)
        case _:
            assert_never(rule)


def _rename_random(scheme: Scheme) -> Scheme:
    """Name the subclasses class/random_1 and so on; their names meant what they no longer are."""
    first = np.searchsorted(scheme.class_of, scheme.class_of)
    names = tuple(
        f"{scheme.classes[index]}/random_{place + 1}"
        for index, place in zip(
            scheme.class_of.tolist(), (np.arange(len(first)) - first).tolist(), strict=True
        )
    )
    return replace(scheme, subclasses=names)


def _refuse_whole_classes(rule: config.Subclasses, labels: SubclassLabels) -> None:
    if rule.kind not in TODO or len(labels.scheme.subclasses) > len(labels.scheme.classes):
        return
    todo = TODO[rule.kind]
    if labels.merges:
        todo = "lower min_size or give more training frames, which small subclasses lacked"
    fault = Fault("labels.subclasses.kind", "every class is left whole by", rule.kind, todo)
    raise CohortError([fault])


def _refuse_untrained(classes: Sequence[str], consensus: Ints, train: Bools) -> None:
    sizes = np.bincount(consensus[train], minlength=len(classes))
    faults = [
        Fault(
            where="cohort.classes",
            what="no training frame has the consensus",
            value=name,
            todo="add frames of it, leave it out of classes, or change the split",
        )
        for name, size in zip(classes, sizes, strict=True)
        if not size
    ]
    if faults:
        raise CohortError(faults)


def _divide_by_agreement(
    rule: config.AgreementLevels, classes: Sequence[str], consensus: Consensus, train: Bools
) -> Division:
    notes: tuple[str, ...] = ()
    if rule.levels is not None:
        level = cut_thresholds(rule.levels, consensus.agreement, "agreement")
        names = list(rule.levels)
    else:
        assert rule.quantiles is not None  # noqa: S101  (the config's validator says so)
        level, names = cut_quantiles(consensus.agreement, train, rule.quantiles)
        notes = explain_quantiles(consensus.agreement, train, rule.quantiles, len(names))
    return Division(level, cross_names(classes, names), rule.min_size, notes)


def _divide_by_fine_vote(cohort: Cohort, consensus: Ints, min_size: int) -> Division:
    """Give each frame the plurality of its fine votes within the consensus class."""
    counts = cohort.fine_counts
    level = np.zeros(len(cohort), dtype=np.int64)
    names = []
    for index in range(len(cohort.classes)):
        own = np.flatnonzero(cohort.fine_class == index)
        here = consensus == index
        # As for classes: a tie goes to the later, of higher risk.
        level[here] = len(own) - 1 - counts[here][:, own[::-1]].argmax(axis=1)
        names.append(tuple(cohort.fine[fine] for fine in own))
    return Division(level, tuple(names), min_size)


def _merge_small(
    division: Division, classes: tuple[str, ...], consensus: Ints, train: Bools
) -> SubclassLabels:
    subclass = np.zeros(len(consensus), dtype=np.int64)
    kept: list[tuple[str, int, int]] = []
    merges: list[str] = []
    for index, names in enumerate(division.names):
        here = consensus == index
        level = division.level[here]
        total = np.bincount(level, minlength=len(names))
        size = np.bincount(level[train[here]], minlength=len(names))
        into = _merge_levels(total, size, names, division.min_size, merges)
        left = np.unique(into[total > 0])
        subclass[here] = len(kept) + np.searchsorted(left, into[level])
        kept += [(names[which], index, which) for which in left.tolist()]
    level_of = np.array([which for _, _, which in kept], dtype=np.int64)
    scheme = Scheme(
        classes=classes,
        subclasses=tuple(name for name, _, _ in kept),
        class_of=np.array([index for _, index, _ in kept], dtype=np.int64),
        level_of=level_of,
    )
    return SubclassLabels(subclass, level_of[subclass], scheme, tuple(merges), division.notes)


def _merge_levels(
    total: Ints, size: Ints, names: Sequence[str], min_size: int, merges: list[str]
) -> Ints:
    """Say into which level each goes, hardest first; tell about it in `merges`."""
    into = np.arange(len(names))
    size = size.copy()
    alive = np.flatnonzero(total).tolist()
    while len(alive) > 1:
        small = [place for place, level in enumerate(alive) if size[level] < min_size]
        if not small:
            break
        place = small[-1]
        level = alive.pop(place)
        target = alive[max(place - 1, 0)]
        frames = "training frame" if size[level] == 1 else "training frames"
        merges.append(f"{names[level]} ({size[level]} {frames}) merged into {names[target]}")
        into[into == level] = target
        size[target] += size[level]
    return into
