"""Surveillance: whether the student's calls lead to the interval that histology leads to.

Two strategies are judged. `resect_and_discard`, as the society's threshold has it: diminutive
polyps called with high confidence go by the call, all others by histology. `every_call`: all polyps
go by the call. A call knows no dysplasia; sizes and resection in pieces are the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import CohortError
from polypskd.metrics.clinical.confidence import ConfidenceRule, find_confident
from polypskd.metrics.clinical.endpoints import band_sizes, judge_agreement
from polypskd.metrics.clinical.guidelines import GUIDELINES, HISTOLOGY, Guideline
from polypskd.metrics.clinical.shares import Share
from polypskd.metrics.clinical.surveillance import Findings, compare_intervals, derive_intervals
from polypskd.metrics.resampling import Resampling
from polypskd.study.calls import fix_rule
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.endpoints import list_rules
from polypskd.study.polyps import Polyps, gather_test, join_sizes, join_words

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

ENDPOINT = "surveillance_agreement"
STRATEGIES = ("resect_and_discard", "every_call")
YES = ("yes", "true", "1", "y", "piecemeal")
NO = ("no", "false", "0", "n", "en bloc")


@dataclass(frozen=True)
class Exams:
    """E exams whose polyps are all known.

    Args:
        reference: their N polyps by histology.
        called: (N,) histology that the student's class stands for.
        by_call: (N,) diminutive and called with high confidence.
        patients: (E,) patient of each exam.
        left_out: exams without the histology of one of their polyps; polyps without an exam.
    """

    reference: Findings
    called: Words
    by_call: Flags
    patients: Words
    left_out: dict[str, int]


def describe_surveillance(data: StudyData) -> Json:
    """Compare the intervals of every exam, under each guideline and strategy.

    Args:
        data: the run.

    Returns:
        What an exam and a polyp are, and for each guideline and strategy the agreement and the
        endpoint judged by it.
    """
    settings = data.settings.polyps
    if settings.histology is None:
        raise NotAssessableError("no column tells histology; set study.polyps.histology")
    polyps = gather_test(data)
    rule, told = fix_rule(data)
    exams = _gather(data, polyps, rule)
    if not len(exams.patients):
        raise NotAssessableError("no exam has the histology of all its polyps")
    sample = Resampling.draw(exams.patients, data.sample.resamples, data.sample.seed).hold()
    unit = "exams" if settings.exam else "patients"
    note = "" if polyps.unit == "lesions" else "each frame counts as a polyp of its own"
    return {
        "unit": polyps.unit,
        "joined": polyps.joined,
        "confidence": data.confidence,
        "exam": unit,
        "exams": len(exams.patients),
        "polyps": len(exams.called),
        "by_call": int(exams.by_call.sum()),
        "left_out": exams.left_out,
        "confidence_rule": told,
        "called": _translate(data),
        "note": note,
        "guidelines": [
            _judge(data, exams, sample, (guideline, strategy), note)
            for guideline in GUIDELINES
            for strategy in STRATEGIES
        ],
    }


def _judge(
    data: StudyData, exams: Exams, sample: Resampling, asked: tuple[Guideline, str], note: str
) -> Json:
    guideline, strategy = asked
    by_call = exams.by_call if strategy == STRATEGIES[0] else np.ones_like(exams.by_call)
    reference = exams.reference
    called = replace(
        reference,
        histology=np.where(by_call, exams.called, reference.histology),
        dysplasia=np.where(by_call, "none", reference.dysplasia),
    )
    E = len(exams.patients)
    found = compare_intervals(
        derive_intervals(reference, E, guideline),
        derive_intervals(called, E, guideline),
        guideline,
        sample=sample,
        confidence=data.confidence,
    )
    agreement: Share = found.agreement
    (rule,) = (one for one in list_rules(data.settings) if one.name == ENDPOINT)
    endpoint = judge_agreement(rule, agreement, note)
    return found.to_dict() | {"strategy": strategy, "endpoint": endpoint.to_dict()}


def _gather(data: StudyData, polyps: Polyps, rule: ConfidenceRule | None) -> Exams:
    """Find the exams, and leave out those with a polyp of unknown histology."""
    settings = data.settings.polyps
    sizes, _ = join_sizes(data, polyps)
    called = np.array(list(_translate(data).values()))[polyps.predicted]
    histology = _join(data, polyps, settings.histology, str.casefold)
    dysplasia = _join(data, polyps, settings.dysplasia, str.casefold)
    pieces = _join(data, polyps, settings.piecemeal, _read_pieces)
    exam = _name_exams(data, polyps)
    placed = exam != ""
    _, index = np.unique(exam, return_inverse=True)
    unknown = np.isin(index, index[placed & (histology == "")])
    kept = placed & ~unknown
    known = np.unique(exam[kept])
    confident = np.ones(len(polyps), bool) if rule is None else find_confident(polyps.risk, rule)
    try:
        findings = Findings(
            histology=histology[kept],
            size_mm=sizes[kept],
            dysplasia=np.where(dysplasia == "", "none", dysplasia)[kept],
            piecemeal=(pieces == YES[0])[kept],
            exam=np.searchsorted(known, exam[kept]),
        )
    except CohortError as error:
        raise NotAssessableError(" ".join(str(error).split())) from None
    _, first = np.unique(exam[kept], return_index=True)
    return Exams(
        reference=findings,
        called=called[kept],
        by_call=(confident & (band_sizes(sizes) == "diminutive"))[kept],
        patients=(polyps.patients if data.patients_known else exam)[kept][first],
        left_out={
            "exams_of_unknown_histology": len(np.unique(exam[placed & unknown])),
            "polyps_of_unknown_exam": int((~placed).sum()),
        },
    )


def _name_exams(data: StudyData, polyps: Polyps) -> Words:
    """Name the exam of each polyp, (N,), empty where unknown; names count within a patient."""
    if data.settings.polyps.exam is None:
        if not data.patients_known:
            raise NotAssessableError(
                "neither exams nor patients are known; set study.polyps.exam or cohort.patients"
            )
        return polyps.patients
    exam = _join(data, polyps, data.settings.polyps.exam, str)
    if not data.patients_known:
        return exam
    _, patient = np.unique(polyps.patients, return_inverse=True)
    named = np.char.add(np.char.add(patient.astype(np.str_), " "), exam)
    return np.where(exam == "", "", named)


def _join(data: StudyData, polyps: Polyps, name: str | None, read: Any) -> Words:
    """Read a column by polyp; all empty where it is not set."""
    if name is None:
        return np.full(len(polyps), "")
    return join_words(data.column(name), polyps, read)[0]


def _read_pieces(word: str) -> str:
    low = word.casefold()
    if low in YES:
        return YES[0]
    if low in NO:
        return NO[0]
    raise NotAssessableError(
        f"column of study.polyps.piecemeal: {word!r} is neither yes nor no; write one of them"
    )


def _translate(data: StudyData) -> dict[str, str]:
    """Say what each class is called in the guidelines' tables."""
    called = data.settings.polyps.called
    found = {name: called.get(name, name) for name in data.classes}
    for name, histology in found.items():
        if histology not in HISTOLOGY:
            raise NotAssessableError(
                f"what class {name!r} is called in the guidelines is not known; "
                f"set study.polyps.called.{name} to one of: {', '.join(HISTOLOGY)}"
            )
    return found
