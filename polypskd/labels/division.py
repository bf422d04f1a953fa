"""How a rule hands over its result: each frame's level within its class, and the levels' names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.table import Cohort
from polypskd.errors import CohortError, Fault

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Division:
    """The classes of N frames, divided.

    Args:
        level: (N,) level within the frame's class, 0 = easiest.
        names: of the levels, class by class.
        min_size: training frames that a subclass needs to stand alone.
        notes: where the rule could not be followed, a sentence each.
    """

    level: Ints
    names: tuple[tuple[str, ...], ...]
    min_size: int
    notes: tuple[str, ...] = ()


def cross_names(classes: Sequence[str], levels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Name every level of every class.

    >>> cross_names(["low", "high"], ["easy"])
    (('low/easy',), ('high/easy',))
    """
    return tuple(tuple(f"{name}/{level}" for level in levels) for name in classes)


def rank_by_agreement(part: Ints, agreement: Floats, train: Bools, parts: int) -> Ints:
    """Rank the parts of one class by the mean agreement of their training frames.

    Args:
        part: (N,) part of each frame, 0..parts - 1.
        agreement: (N,) in (0, 1].
        train: (N,) whether a frame is in the training split; no other is looked at.
        parts: P.

    Returns:
        (P,) rank, 0 = highest agreement; parts without training frames come last, equal ones keep
        their order.

    >>> everyone = np.ones(3, dtype=bool)
    >>> rank_by_agreement(np.array([0, 1, 1]), np.array([0.5, 1.0, 0.9]), everyone, 3)
    array([1, 0, 2])
    """
    size = np.bincount(part[train], minlength=parts)
    total = np.bincount(part[train], agreement[train], minlength=parts)
    # Nine decimals: equal agreements may differ in the last bit of their sums.
    mean = np.round(np.where(size > 0, total / np.maximum(size, 1), -1.0), 9)
    rank = np.empty(parts, dtype=np.int64)
    rank[np.argsort(-mean, kind="stable")] = np.arange(parts)
    return rank


def refuse_single_votes(cohort: Cohort, kind: str) -> None:
    """Refuse a cohort in which nobody can dissent.

    Args:
        cohort: frames and votes.
        kind: the rule that needs two votes a frame.

    Raises:
        CohortError: no frame has two votes.
    """
    if cohort.counts.sum(axis=1).max(initial=0) < 2:
        raise CohortError(
            [
                Fault(
                    where="labels.subclasses.kind",
                    what="no frame has two votes, which is needed by",
                    value=kind,
                    todo="give the votes of several annotators, or set the kind to known or none",
                )
            ]
        )
