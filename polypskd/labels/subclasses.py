"""Subclasses: what a class is divided into, from the votes of the annotators.

Every rule first gives each frame a level within its class, 0 = easiest; subclass = class × level.
Levels with too few training frames are then merged with their neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from polypskd import config
from polypskd.cohort.table import Cohort
from polypskd.errors import CohortError, Fault
from polypskd.labels.consensus import Consensus
from polypskd.labels.scheme import Scheme

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-9  # a threshold of 0.666666667 lets 2/3 pass


@dataclass(frozen=True)
class SubclassLabels:
    """The subclass of each of N frames.

    Args:
        subclass: (N,) index into `scheme.subclasses`.
        level: (N,) `scheme.level_of` its subclass.
        scheme: the map subclass → class.
        merges: what was merged for lack of training frames, a sentence each.
    """

    subclass: Ints
    level: Ints
    scheme: Scheme
    merges: tuple[str, ...]


@dataclass(frozen=True)
class _Division:
    """Each frame's level within its class, and the names of the levels, class by class."""

    level: Ints
    names: tuple[tuple[str, ...], ...]
    min_size: int


def derive_subclasses(
    rule: config.Subclasses, cohort: Cohort, consensus: Consensus, train: Bools
) -> SubclassLabels:
    """Divide the classes into subclasses.

    A subclass with fewer training frames than `min_size` merges into the next easier one of its
    class, or into the next harder one if it is the easiest, until all are large enough.

    Args:
        rule: how to divide.
        cohort: frames and votes.
        consensus: of the same frames.
        train: (N,) whether a frame is in the training split; sizes and quantiles look at no other.

    Raises:
        CohortError: frames are below the last threshold, or a class has no training frame.
    """
    _refuse_untrained(cohort.classes, consensus.consensus, train)
    match rule:
        case config.NoSubclasses():
            division = _Division(
                np.zeros(len(cohort), dtype=np.int64), tuple((name,) for name in cohort.classes), 1
            )
        case config.AgreementLevels():
            level, names = _divide_by_agreement(rule, consensus.agreement, train)
            division = _Division(level, _cross(cohort.classes, names), rule.min_size)
        case config.VoteCount():
            votes = cohort.counts[np.arange(len(cohort)), consensus.consensus]
            most = int(votes.max())
            names = [f"{count}_votes" for count in range(most, 0, -1)]
            division = _Division(most - votes, _cross(cohort.classes, names), rule.min_size)
        case config.KnownColumn():
            division = _divide_by_fine_vote(cohort, consensus.consensus, rule.min_size)
        case _:
            assert_never(rule)
    return _merge_small(division, cohort.classes, consensus.consensus, train)


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


def _cross(classes: Sequence[str], levels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{name}/{level}" for level in levels) for name in classes)


def _divide_by_agreement(
    rule: config.AgreementLevels, agreement: Floats, train: Bools
) -> tuple[Ints, list[str]]:
    """Give each frame the first level whose lowest agreement it reaches."""
    if rule.levels is not None:
        bounds = np.array(list(rule.levels.values()))
        below = agreement < bounds[-1] - TOLERANCE
        if below.any():
            raise CohortError([_below_last(rule.levels, agreement, int(below.sum()))])
        names = list(rule.levels)
    else:
        assert rule.quantiles is not None  # noqa: S101  (the config's validator says so)
        bounds = _cut_quantiles(agreement[train], rule.quantiles)
        names = [f"q{index + 1}" for index in range(len(bounds) + 1)]
    level = (agreement[:, None] < bounds - TOLERANCE).sum(axis=1).astype(np.int64)
    return level, names


def _below_last(levels: dict[str, float], agreement: Floats, frames: int) -> Fault:
    name, bound = list(levels.items())[-1]
    total = len(agreement)
    fits = math.floor(float(agreement.min()) * 1000) / 1000
    return Fault(
        where=f"labels.subclasses.levels.{name}",
        what=f"the agreement of {frames} of {total} frames is below this last threshold",
        value=f"{bound:g}",
        todo=f"lower it to {fits:g} or less, or add a level",
    )


def _cut_quantiles(agreement: Floats, quantiles: int) -> Floats:
    """Give the lowest agreement of each quantile but the last; equal values are never split."""
    falling = np.sort(agreement)[::-1]
    last = [math.ceil(len(falling) * part / quantiles) - 1 for part in range(1, quantiles)]
    bounds: Floats = np.unique(falling[last])[::-1]
    # A bound that every frame reaches would leave the last quantile empty.
    return np.asarray(bounds[bounds > falling[-1]])


def _divide_by_fine_vote(cohort: Cohort, consensus: Ints, min_size: int) -> _Division:
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
    return _Division(level, tuple(names), min_size)


def _merge_small(
    division: _Division, classes: tuple[str, ...], consensus: Ints, train: Bools
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
    return SubclassLabels(subclass, level_of[subclass], scheme, tuple(merges))


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
