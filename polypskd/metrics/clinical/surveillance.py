"""Surveillance: the interval to the next exam, and whether two readings give the same one.

An exam's interval follows from all of its polyps. Two readings of an exam (histology, and what was
called) agree if their intervals have any point in common: 7-10 years agrees with 10 years.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import CohortError, Fault
from polypskd.metrics.clinical.guidelines import DYSPLASIA, HISTOLOGY, Guideline, Kind
from polypskd.metrics.clinical.shares import Share, measure_share
from polypskd.metrics.resampling import Resampling, patient_sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

AGREEMENT_RULE = "intervals agree if they have any point in common"
DENOMINATOR = "exams with an interval by the reference"
NO_ROW = -1


@dataclass(frozen=True)
class Findings:
    """All polyps of some exams.

    Args:
        histology: (N,) of tubular, tubulovillous, villous, hyperplastic, ssl, tsa, other, cancer.
        size_mm: (N,) nan where unknown; then only rows that do not ask for size can apply.
        dysplasia: (N,) of none, low, high.
        piecemeal: (N,) resected in pieces.
        exam: (N,) index of the exam, in [0, E).

    Raises:
        CohortError: a word is none of these, told for each such word once.
        ValueError: the columns differ in length.
    """

    histology: Words
    size_mm: Floats
    dysplasia: Words
    piecemeal: Flags
    exam: Ints

    def __post_init__(self) -> None:
        columns = (self.histology, self.size_mm, self.dysplasia, self.piecemeal, self.exam)
        if len({len(column) for column in columns}) != 1:
            raise ValueError("all columns of findings need one row a polyp")
        faults = [
            Fault(f"column {name}", f"unknown {name}", str(word), f"use one of: {', '.join(known)}")
            for name, words, known in (
                ("histology", self.histology, HISTOLOGY),
                ("dysplasia", self.dysplasia, DYSPLASIA),
            )
            for word in np.setdiff1d(words, known)
        ]
        if faults:
            raise CohortError(faults)


@dataclass(frozen=True)
class Intervals:
    """The interval of each exam, by one guideline.

    Args:
        earliest: (E,) months; nan where no row covers the exam.
        latest: (E,) months.
        row: (E,) which row of the guideline; -1 where none.
    """

    earliest: Floats
    latest: Floats
    row: Ints


@dataclass(frozen=True)
class SurveillanceAgreement:
    """How often two readings give the same interval.

    Args:
        guideline: its name.
        version: its year.
        source: where it is published.
        rule: when two intervals agree.
        agreement: share of exams; by patient where an exam's patient is told, else Wilson alone.
        earlier: share of exams called back earlier than by the reference.
        later: share of exams called back later than by the reference.
        exams: all.
        not_assessable: exams without an interval by the reference, as one with a finding for which
            the guideline has no row; they are left out.
        no_interval_called: exams with an interval by the reference whose calls lead to none; each
            disagrees, and is neither earlier nor later.
    """

    guideline: str
    version: str
    source: str
    rule: str
    agreement: Share
    earlier: Share
    later: Share
    exams: int
    not_assessable: int
    no_interval_called: int

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        shares = ("agreement", "earlier", "later")
        named = ("guideline", "version", "source", "rule")
        counts = ("exams", "not_assessable", "no_interval_called")
        plain = {name: getattr(self, name) for name in (*named, *counts)}
        told = {name: getattr(self, name).to_dict() for name in shares}
        return plain | {"denominator": DENOMINATOR} | told


def derive_intervals(findings: Findings, exams: int, guideline: Guideline) -> Intervals:
    """Apply a guideline to each exam: the shortest interval of the rows that apply.

    An exam with a polyp that no applying row counts (cancer, a missing size, more serrated polyps
    than the guideline speaks of) gets none, since that polyp may shorten it; nor does one with a
    polyp resected in pieces whose size is not known.

    Args:
        findings: of N polyps.
        exams: E; an exam without polyps is a normal one.
        guideline: the table.

    >>> from polypskd.metrics.clinical.guidelines import USMSTF_2020
    >>> polyps = Findings(np.array(["tubular", "ssl"]), np.array([4.0, 6.0]),
    ...     np.array(["low", "none"]), np.zeros(2, bool), np.array([0, 0]))
    >>> found = derive_intervals(polyps, 2, USMSTF_2020)
    >>> found.earliest.tolist(), found.latest.tolist()
    ([60.0, 120.0], [120.0, 120.0])
    """
    shortest = sorted(range(len(guideline.rows)), key=lambda at: guideline.rows[at].months)
    row = np.full(exams, NO_ROW)
    covered = np.zeros(len(findings.exam), dtype=np.bool_)
    unsure = findings.piecemeal & np.isnan(findings.size_mm)
    for at in shortest:
        rule = guideline.rows[at]
        of_kind = _is_kind(findings, rule.kind)
        count = np.bincount(findings.exam[of_kind], minlength=exams)
        applies = (count >= rule.least) & (count <= rule.most)
        covered |= of_kind & applies[findings.exam]
        row[applies & (row == NO_ROW)] = at
    row[findings.exam[~covered | unsure]] = NO_ROW
    months = np.array([rule.months for rule in guideline.rows] + [(math.nan, math.nan)])
    return Intervals(months[row, 0], months[row, 1], row)


def compare_intervals(
    reference: Intervals,
    called: Intervals,
    guideline: Guideline,
    *,
    sample: Resampling | None = None,
    confidence: float = 0.95,
) -> SurveillanceAgreement:
    """Compare two readings of the same E exams.

    An exam without an interval by the reference is left out. One that has it, and none by what was
    called, disagrees: else calls that lead nowhere would pass for right ones.

    Args:
        reference: from histology.
        called: from what was called, histology where it was sent there.
        guideline: of both.
        sample: says which patient each exam is of; None takes exams as independent.
        confidence: in (0, 1).

    >>> from polypskd.metrics.clinical.guidelines import ESGE_2020
    >>> def at(*months): return Intervals(np.array(months), np.array(months), np.zeros(3))
    >>> found = compare_intervals(at(36, 120, 36), at(36, 36, np.nan), ESGE_2020)
    >>> found.agreement.trials, found.agreement.successes, found.earlier.successes
    (3, 1, 1)
    >>> found.not_assessable, found.no_interval_called
    (0, 1)
    """
    exams = len(reference.earliest)
    known = np.isfinite(reference.earliest)
    lost = known & ~np.isfinite(called.earliest)
    earlier = known & (called.latest < reference.earliest)
    later = known & (called.earliest > reference.latest)
    flags = np.stack([known, known & ~lost & ~earlier & ~later, earlier, later], axis=1)
    flags = flags.astype(np.float64)
    if sample is None:
        drawn, patients = flags.sum(axis=0)[None], int(known.sum())
    else:
        table = patient_sums(flags, sample.index, sample.patients)
        drawn, patients = sample.measure({"exams": table})["exams"], int((table[:, 0] > 0).sum())
    agreement, early, late = (
        measure_share(drawn[:, at], drawn[:, 0], patients, confidence) for at in (1, 2, 3)
    )
    return SurveillanceAgreement(
        guideline=guideline.name,
        version=guideline.version,
        source=guideline.source,
        rule=AGREEMENT_RULE,
        agreement=agreement,
        earlier=early,
        later=late,
        exams=exams,
        not_assessable=exams - int(known.sum()),
        no_interval_called=int(lost.sum()),
    )


def _is_kind(findings: Findings, kind: Kind) -> Flags:
    found: Flags = np.isin(findings.histology, kind.histology)
    if kind.from_mm > 0:
        found &= findings.size_mm >= kind.from_mm
    if kind.below_mm < math.inf:
        found &= findings.size_mm < kind.below_mm
    if kind.dysplasia != DYSPLASIA:
        found &= np.isin(findings.dysplasia, kind.dysplasia)
    return found & findings.piecemeal if kind.piecemeal else found
