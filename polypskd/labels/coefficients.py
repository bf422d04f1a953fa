"""Agreement beyond chance: Cohen, Fleiss, Krippendorff, Gwet.

Every coefficient is a function of sums of per-frame statistics. The same function therefore gives
the value of a cohort (one row of sums) and of all its bootstrap resamples (R rows), and frames
with the same counts, or of the same patient, are added up once and for all.

Where a coefficient is undefined (its chance agreement is 1 because a single class was ever voted
for, or no frame has two votes) it is nan. Gwet's AC1 alone stays defined with a single class among
K >= 2: it is 1.

References:
    Cohen 1960, Educational and Psychological Measurement 20:37.
    Fleiss 1971, Psychological Bulletin 76:378.
    Gwet 2008, British Journal of Mathematical and Statistical Psychology 61:29; Gwet 2014,
    Handbook of Inter-Rater Reliability, 4th ed., chapters 2 and 3 (unequal numbers of votes).
    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, University of Pennsylvania.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal"]


@dataclass(frozen=True)
class VoteSums:
    """Sums over frames of what Fleiss, Krippendorff and Gwet need; `...` are the resamples.

    Args:
        paired: (...) frames with two votes or more.
        voted: (...) frames with one vote or more.
        matches: (...) sum over paired frames of the share of agreeing pairs of votes.
        shares: (..., K) sum over voted frames of the share of votes for each class.
        values: (..., K) votes in paired frames.
        mixed: (..., K (K - 1) / 2) coincidences of unequal classes c < k, row by row.
    """

    paired: Floats
    voted: Floats
    matches: Floats
    shares: Floats
    values: Floats
    mixed: Floats


def sum_votes(counts: Ints, group: Ints | None = None) -> Floats:
    """Add the per-frame statistics up by group.

    Args:
        counts: (N, K) votes for each class.
        group: (N,) index of each frame's group, 0..G-1; None: each frame is its own group.

    Returns:
        (G, D) sums, D = 3 + 2 K + K (K - 1) / 2, to be read by `as_vote_sums`.

    >>> sum_votes(np.array([[3, 1], [0, 2]]), np.array([0, 0])).shape
    (1, 8)
    """
    n, k = counts.shape
    size = n if group is None else int(group.max(initial=-1)) + 1
    sums = np.empty((size, 3 + 2 * k + k * (k - 1) // 2))
    for index, column in enumerate(_columns(counts)):
        sums[:, index] = column if group is None else np.bincount(group, column, minlength=size)
    return sums


def _columns(counts: Ints) -> Iterator[Floats]:
    # One column at a time: the (N, D) table of a large cohort would not be small.
    n = counts.sum(axis=1).astype(np.float64)
    c = np.asfortranarray(counts, dtype=np.float64)
    paired = (n >= 2).astype(np.float64)
    others = np.maximum(n - 1, 1)
    some = np.maximum(n, 1)
    yield paired
    yield (n >= 1).astype(np.float64)
    yield paired * (np.square(c).sum(axis=1) - n) / (some * others)
    for k in range(c.shape[1]):
        yield c[:, k] / some
    for k in range(c.shape[1]):
        yield c[:, k] * paired
    for a, b in combinations(range(c.shape[1]), 2):
        yield c[:, a] * c[:, b] / others


def as_vote_sums(sums: Floats, n_classes: int) -> VoteSums:
    """Name the columns of `sum_votes`.

    Args:
        sums: (..., D).
        n_classes: K.
    """
    k = n_classes
    return VoteSums(
        paired=sums[..., 0],
        voted=sums[..., 1],
        matches=sums[..., 2],
        shares=sums[..., 3 : 3 + k],
        values=sums[..., 3 + k : 3 + 2 * k],
        mixed=sums[..., 3 + 2 * k :],
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide; nan where the divisor is not above rounding error."""
    above, below = np.broadcast_arrays(above, below)
    out = np.full(below.shape, np.nan)
    np.divide(above, below, out=out, where=below > 1e-12)
    return out


def fleiss_of(sums: VoteSums) -> Floats:
    """Compute Fleiss' kappa from sums; see `fleiss_kappa`."""
    observed = _ratio(sums.matches, sums.paired)
    expected = np.square(_ratio(sums.shares, sums.voted[..., None])).sum(axis=-1)
    return _ratio(observed - expected, 1 - expected)


def gwet_of(sums: VoteSums) -> Floats:
    """Compute Gwet's AC1 from sums; see `gwet_ac1`."""
    k = sums.shares.shape[-1]
    observed = _ratio(sums.matches, sums.paired)
    share = _ratio(sums.shares, sums.voted[..., None])
    expected = (share * (1 - share)).sum(axis=-1) / (k - 1) if k > 1 else np.ones_like(observed)
    return _ratio(observed - expected, 1 - expected)


def krippendorff_of(sums: VoteSums, level: Level) -> Floats:
    """Compute Krippendorff's alpha from sums; see `krippendorff_alpha`."""
    values = sums.values
    first, second = np.triu_indices(values.shape[-1], k=1)
    expected = values[..., first] * values[..., second]
    mixed = sums.mixed
    if level == "ordinal":
        ranks = values.cumsum(axis=-1) - values / 2
        distance = np.square(ranks[..., second] - ranks[..., first])
        mixed, expected = mixed * distance, expected * distance
    total = values.sum(axis=-1)
    return 1 - _ratio((total - 1) * mixed.sum(axis=-1), expected.sum(axis=-1))


def cohen_of(both: Floats, rows: Floats, columns: Floats) -> Floats:
    """Compute Cohen's kappa from sums of a confusion table; see `cohen_kappa`.

    Args:
        both: (...) frames on which the two agree.
        rows: (..., K) frames of each class by the first annotator.
        columns: (..., K) by the second.
    """
    n = rows.sum(axis=-1)
    observed = _ratio(both, n)
    expected = _ratio((rows * columns).sum(axis=-1), n * n)
    return _ratio(observed - expected, 1 - expected)


def fleiss_kappa(counts: Ints) -> float:
    """Measure how far many annotators agree beyond chance.

    kappa = (P_o - P_e) / (1 - P_e); P_o is the mean over frames with n_i >= 2 votes of
    sum_k c_ik (c_ik - 1) / (n_i (n_i - 1)); P_e = sum_k p_k^2, p_k the mean over frames with votes
    of c_ik / n_i. With equal n_i this is Fleiss 1971; with unequal n_i it is Gwet's (2014)
    generalization, in which every frame weighs the same however many voted on it.

    Args:
        counts: (N, K) votes for each class.

    >>> round(fleiss_kappa(np.array([[3, 0], [2, 1], [0, 3]])), 3)
    0.55
    """
    return float(fleiss_of(_total(counts)))


def gwet_ac1(counts: Ints) -> float:
    """Measure agreement beyond chance with Gwet's AC1, steady where one class prevails.

    As Fleiss' kappa, but P_e = sum_k p_k (1 - p_k) / (K - 1).

    Args:
        counts: (N, K) votes for each class; K counts the classes that could be chosen.

    >>> round(gwet_ac1(np.array([[3, 0], [2, 1], [0, 3]])), 3)
    0.561
    """
    return float(gwet_of(_total(counts)))


def krippendorff_alpha(counts: Ints, level: Level = "nominal") -> float:
    """Measure agreement beyond chance, each vote (rather than each frame) weighing the same.

    alpha = 1 - D_o / D_e from the coincidences o_ck = sum_i c_ic (c_ik - [c = k]) / (n_i - 1) over
    frames with n_i >= 2 votes; the lone vote of a frame cannot be paired and does not count. The
    distance of unequal classes is 1 (nominal), or the squared number of votes from the middle of
    class c to the middle of class k (ordinal).

    Args:
        counts: (N, K) votes for each class, in their order where `level` is ordinal.
        level: nominal or ordinal.

    >>> round(krippendorff_alpha(np.array([[3, 0], [2, 1], [0, 3]])), 3)
    0.6
    """
    return float(krippendorff_of(_total(counts), level))


def cohen_kappa(a: Ints, b: Ints, n_classes: int) -> float:
    """Measure how far two annotators agree beyond chance.

    kappa = (P_o - P_e) / (1 - P_e), P_o the share of equal votes, P_e = sum_k p_k^a p_k^b.

    Args:
        a: (N,) class index by the first annotator; -1 where absent (the frame is left out).
        b: (N,) by the second.
        n_classes: K.

    Raises:
        ValueError: the lengths differ, or an index is outside -1..K-1.

    >>> round(cohen_kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2), 3)
    0.5
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or any((x < -1).any() or (x >= n_classes).any() for x in (a, b)):
        raise ValueError(f"a and b must be equally long, of class indices -1..{n_classes - 1}")
    here = (a >= 0) & (b >= 0)
    rows = np.bincount(a[here], minlength=n_classes).astype(np.float64)
    columns = np.bincount(b[here], minlength=n_classes).astype(np.float64)
    return float(cohen_of(np.float64((a == b)[here].sum()), rows, columns))  # type: ignore[arg-type]


def _total(counts: Ints) -> VoteSums:
    counts = np.asarray(counts)
    if counts.ndim != 2 or (counts < 0).any():
        raise ValueError("counts must be an (N, K) table of numbers of votes, none negative")
    return as_vote_sums(sum_votes(counts).sum(axis=0), counts.shape[1])
