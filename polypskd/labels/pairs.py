"""Cohen's kappa of every two annotators, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.table import Cohort
from polypskd.labels.bootstrap import Draws, Estimate, estimate, resample_sums
from polypskd.labels.coefficients import cohen_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_PAIRED = 30  # annotators; 31 would make 465 pairs
BLOCK_BYTES = 128 * 2**20  # per-patient sums of as many pairs as this holds at a time


@dataclass(frozen=True)
class Pair:
    """Cohen's kappa of two annotators over the `n` frames on which both voted."""

    a: str
    b: str
    n: int
    kappa: Estimate


def compare_pairs(cohort: Cohort, draws: Draws) -> tuple[tuple[Pair, ...], str]:
    """Compute Cohen's kappa of every two annotators who share a frame.

    Without patients the frames of the pair are resampled; with patients, all patients at once.

    Returns:
        The pairs in the order of the annotators, and, if there are none, why.
    """
    named = cohort.vote_annotator >= 0
    people = np.unique(cohort.vote_annotator[named])
    if len(people) < 2:
        return (), "annotators are not told apart" if not len(people) else "there is one annotator"
    if len(people) > MAX_PAIRED:
        return (), f"pairs are left out for more than {MAX_PAIRED} annotators: {len(people)} voted"
    k = len(cohort.classes)
    votes = np.full((len(people), len(cohort)), -1, dtype=np.int64)
    place = np.searchsorted(people, cohort.vote_annotator[named])
    votes[place, cohort.vote_frame[named]] = cohort.fine_class[cohort.vote_fine[named]]
    pairs = []
    for (a, b), table, drawn in _pair_sums(votes, k, draws):
        n = int(table[1 : 1 + k].sum())
        if n:
            value = cohen_of(table[0], table[1 : 1 + k], table[1 + k :])
            some = cohen_of(drawn[:, 0], drawn[:, 1 : 1 + k], drawn[:, 1 + k :])
            names = (cohort.annotators[int(people[a])], cohort.annotators[int(people[b])])
            pairs.append(Pair(*names, n, estimate(float(value), some, draws.confidence)))
    return tuple(pairs), ""


def _pair_sums(
    votes: Ints, k: int, draws: Draws
) -> Iterator[tuple[tuple[int, int], Floats, Floats]]:
    """Give for each pair the sums that Cohen's kappa needs: of the cohort, and resampled.

    Columns: frames on which both agree, K of the first annotator's classes, K of the second's.
    """
    pairs = list(combinations(range(len(votes)), 2))
    row, column = np.divmod(np.arange(k * k), k)
    marks = np.column_stack([row == column, np.eye(k)[row], np.eye(k)[column]])
    if draws.patient is None:
        for a, b in pairs:
            here = (votes[a] >= 0) & (votes[b] >= 0)
            cells = np.bincount(votes[a][here] * k + votes[b][here], minlength=k * k)
            some = cells > 0
            drawn = resample_sums(
                marks[some], cells[some], resamples=draws.resamples, seed=draws.seed
            )
            yield (a, b), cells @ marks, drawn
        return
    patients = int(draws.patient.max()) + 1
    width = marks.shape[1]
    block = max(1, BLOCK_BYTES // (patients * width * 4))
    for start in range(0, len(pairs), block):
        part = pairs[start : start + block]
        # Whole numbers below 2**24 are exact in float32.
        sums = np.empty((patients, len(part) * width), dtype=np.float32)
        for index, (a, b) in enumerate(part):
            here = (votes[a] >= 0) & (votes[b] >= 0)
            for c, column_sum in enumerate(
                _by_patient(votes[a][here], votes[b][here], draws.patient[here], (patients, k))
            ):
                sums[:, index * width + c] = column_sum
        whole = sums.sum(axis=0, dtype=np.float64)
        units = np.ones(patients, dtype=np.int64)
        drawn = resample_sums(sums, units, resamples=draws.resamples, seed=draws.seed)
        for index, pair in enumerate(part):
            own = slice(index * width, (index + 1) * width)
            yield pair, whole[own], drawn[:, own]


def _by_patient(a: Ints, b: Ints, patient: Ints, shape: tuple[int, int]) -> Iterator[Ints]:
    patients, k = shape
    yield np.bincount(patient[a == b], minlength=patients)
    for votes in (a, b):
        table = np.bincount(patient * k + votes, minlength=patients * k).reshape(shape)
        yield from table.T
