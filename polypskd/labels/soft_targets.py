"""Soft targets from votes: smoothed classes, and subclasses spread over agreement levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import CohortError, ConfigError, Fault

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Form = Literal["linear", "piecewise", "sigmoid"]
SubclassOf = Callable[[int, float], int]

TOLERANCE = 1e-9  # as for levels: a threshold of 0.666666667 lets 2/3 pass
ROUNDING = 1e-3  # an agreement of a table, times the votes, is this near a whole number


def smooth_votes(counts: Ints, *, form: Form, strength: float) -> Floats:
    """Turn votes into target distributions over the classes.

    With n of N votes for a class, and n_m = ceil(N / K):

    linear: y = (1 - a) n / N + a / K.
    piecewise (of the class of higher risk): y = 1 - O + O (n - n_m) / (N - n_m) above n_m, 0.5 at
    n_m, O n / (n_m - 1) below; 0 and 1 where all agree.
    sigmoid (of the class of higher risk): y = 1 / (1 + exp(-F (n / N - 1/2))).

    The last two give the class of lower risk 1 - y. The piecewise form is not symmetric: of seven
    votes, four for the higher class give it 0.5, four for the lower one give that 1 - O. The paper
    divides by n_m - 1 above n_m too, which is the same for odd N; for even N it would pass 1.

    Args:
        counts: (N, K) votes for each class, from the lowest to the highest risk.
        form: which of the three.
        strength: a in [0, 1], O in (0, 0.5], or F > 0.

    Returns:
        (N, K), rows summing to 1.

    Raises:
        ConfigError: the form needs two classes and there are others, or the strength is out of
            range.
        CohortError: a frame has no votes.

    Reference:
        Wei et al. 2022, Calibrating Histopathology Image Classifiers using Label Smoothing.

    >>> counts = np.array([[0, 7], [2, 5], [3, 4], [4, 3]])
    >>> smooth_votes(counts, form="piecewise", strength=0.3)[:, 1].round(4).tolist()
    [1.0, 0.8, 0.5, 0.3]
    """
    counts = np.asarray(counts)
    _refuse_form(form, strength, counts.shape[1])
    totals = counts.sum(axis=1)
    _refuse_unvoted(totals)
    if form == "linear":
        shares = counts / totals[:, None]
        return np.asarray((1 - strength) * shares + strength / counts.shape[1])
    votes = counts[:, 1]
    higher = (
        1 / (1 + np.exp(-strength * (votes / totals - 0.5)))
        if form == "sigmoid"
        else _smooth_piecewise(votes, totals, strength)
    )
    return np.stack([1 - higher, higher], axis=1)


def _smooth_piecewise(votes: Ints, totals: Ints, strength: float) -> Floats:
    middle = -(-totals // 2)
    above = 1 - strength + strength * (votes - middle) / np.maximum(totals - middle, 1)
    below = strength * votes / np.maximum(middle - 1, 1)
    smoothed = np.select([votes > middle, votes == middle], [above, 0.5], below)
    # A single vote is unanimous and at the middle as well; it counts as unanimous.
    return np.asarray(np.where(votes == totals, 1.0, smoothed))


def _refuse_form(form: Form, strength: float, classes: int) -> None:
    if form != "linear" and classes != 2:
        raise ConfigError(
            f"student.method.form: {form} is defined for two classes, not {classes}; use linear"
        )
    fits, bounds = {
        "linear": (0 <= strength <= 1, "[0, 1]"),
        "piecewise": (0 < strength <= 0.5, "(0, 0.5]"),
        "sigmoid": (strength > 0, "above 0"),
    }[form]
    if not fits:
        raise ConfigError(
            f"student.method.strength: {strength:g} is out of range for {form}; "
            f"use a value {'in ' if form != 'sigmoid' else ''}{bounds}"
        )


def _refuse_unvoted(totals: Ints) -> None:
    unvoted = np.flatnonzero(totals == 0)
    if len(unvoted):
        fault = Fault(
            where=f"votes, frame at row {unvoted[0]}",
            what=f"no votes for {len(unvoted)} of {len(totals)} frames, so no vote distribution",
            todo="leave those frames out, or choose a method that needs the consensus only",
        )
        raise CohortError([fault])


def lowest_agreement(subclass: Ints, agreement: Floats, outputs: int) -> Floats:
    """Find the lowest agreement that was seen in each subclass.

    Args:
        subclass: (N,) subclass index of each frame.
        agreement: (N,) in (0, 1].
        outputs: S.

    Returns:
        (S,); infinite for a subclass without frames, so that none is put there.

    >>> lowest_agreement(np.array([0, 1, 0]), np.array([1.0, 0.6, 0.8]), 2).tolist()
    [0.8, 0.6]
    """
    lowest = np.full(outputs, np.inf)
    np.minimum.at(lowest, subclass, agreement)
    return lowest


def check_ordered(subclass: Ints, agreement: Floats, class_of: Ints) -> Floats:
    """Refuse subclasses that do not fall in agreement from level to level.

    Args:
        subclass: (N,) subclass index of each training frame.
        agreement: (N,) in (0, 1].
        class_of: (S,) class of each subclass, the easiest of each class first.

    Returns:
        (S,) lowest agreement seen in each subclass, as from `lowest_agreement`.

    Raises:
        ConfigError: they do not, so that no count of votes says to which one a frame belongs.
    """
    lowest = lowest_agreement(subclass, agreement, len(class_of))
    for k in np.unique(class_of):
        mine = lowest[class_of == k]
        if np.any(np.diff(mine[np.isfinite(mine)]) >= 0):
            raise ConfigError(
                "student.method: ordinal_skd needs subclasses that fall in agreement from level to "
                "level; set labels.subclasses to agreement_levels"
            )
    return lowest


def subclass_by_agreement(class_of: Ints, lowest: Floats) -> SubclassOf:
    """Give the map (class, agreement) → subclass of agreement levels.

    Within the class it is the subclass with the highest threshold that the agreement reaches; below
    all thresholds, the hardest.

    Args:
        class_of: (S,) class index of each subclass.
        lowest: (S,) lowest agreement of each subclass: the levels' thresholds, or those seen.

    >>> subclass_of = subclass_by_agreement(np.array([0, 0, 1]), np.array([0.9, 0.6, 0.5]))
    >>> subclass_of(0, 1.0), subclass_of(0, 0.7), subclass_of(0, 0.55), subclass_of(1, 1.0)
    (0, 1, 1, 2)
    """
    order = np.argsort(-lowest, kind="stable")

    def subclass_of(index: int, agreement: float) -> int:
        own = [int(subclass) for subclass in order if class_of[subclass] == index]
        reached = (subclass for subclass in own if agreement >= lowest[subclass] - TOLERANCE)
        return next(reached, own[-1])

    return subclass_of


def ordinal_targets(
    agreement: Floats,
    n_votes: Ints,
    classes: Ints,
    *,
    class_of: Ints,
    subclass_of: SubclassOf,
) -> Floats:
    """Spread each frame's subclass over the levels that as many new votes might have given.

    With n votes, of which the share p̂ agreed on class c, n new votes would give v to c with
    probability Binomial(n, p̂)(v). Of the v that can still make c the consensus, each falls to the
    subclass of agreement v / n; the probabilities are normalized. A unanimous frame stays in the
    easiest level: its p̂ is 1.

    v votes can make c the consensus if the other classes can share the rest with at most v each,
    and less than v each if of higher risk, as ties go to the higher risk. With two classes that is
    exact; with more it is the least that c needs.

    Args:
        agreement: (N,) share of votes for the consensus, in (0, 1]; rounded as in examples.csv or
            not.
        n_votes: (N,) at least 1.
        classes: (N,) consensus class index.
        class_of: (S,) class index of each subclass; classes are ordered by risk.
        subclass_of: (class, agreement) → subclass index, of that class.

    Returns:
        (N, S), rows summing to 1; 0 outside of the frame's class.

    Raises:
        ValueError: an agreement is no number of votes over n, or a subclass is of another class.

    Reference:
        Our own; the binomial model of votes around the observed share is an assumption.

    >>> subclass_of = subclass_by_agreement(np.array([0, 0, 1]), np.array([0.7, 0.5, 0.5]))
    >>> levels = {"class_of": np.array([0, 0, 1]), "subclass_of": subclass_of}
    >>> targets = ordinal_targets(np.array([2 / 3]), np.array([3]), np.array([0]), **levels)
    >>> targets.round(4).tolist()
    [[0.4, 0.6, 0.0]]
    """
    exact = np.asarray(agreement) * n_votes
    votes = np.rint(exact).astype(np.int64)
    wrong = (np.abs(exact - votes) > ROUNDING) | (votes < 1) | (votes > n_votes)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"frame {row}: an agreement of {agreement[row]:g} is no share of {n_votes[row]} votes"
        )
    rows = np.stack([classes, n_votes, votes], axis=1).astype(np.int64)
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    table = np.zeros((len(distinct), len(class_of)))
    for target, (index, n, observed) in zip(table, distinct.tolist(), strict=True):
        least = _least_votes(n, index, int(class_of.max()) + 1)
        for v, share in zip(
            range(least, n + 1), _truncated_binomial(n, observed, least), strict=True
        ):
            subclass = subclass_of(index, v / n)
            if class_of[subclass] != index:
                raise ValueError(f"class {index} at {v}/{n} votes: subclass {subclass} is not its")
            target[subclass] += share
    return np.asarray(table[place.reshape(-1)])


def _least_votes(n: int, index: int, count: int) -> int:
    """Find the fewest of n votes that can make class `index` of `count` the consensus.

    >>> _least_votes(7, 0, 2), _least_votes(4, 0, 2), _least_votes(4, 1, 2), _least_votes(7, 0, 3)
    (4, 3, 2, 3)
    """
    higher = count - 1 - index
    # v for it, at most v for each lower class and v - 1 for each higher: count · v - higher >= n.
    return max(1, -(-(n + higher) // count))


def _truncated_binomial(n: int, observed: int, least: int) -> Floats:
    """Give P(v) of Binomial(n, observed / n) for v = least..n, normalized."""
    if observed == n:
        return np.asarray(np.arange(least, n + 1) == n, dtype=np.float64)
    odds = math.log(observed) - math.log(n - observed)
    logs = np.array(
        [
            v * odds - math.lgamma(v + 1) - math.lgamma(n - v + 1)  # less what all v share
            for v in range(least, n + 1)
        ]
    )
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())
