"""Surveillance: whether the student's calls lead to the interval that histology leads to.

Two strategies are judged. `resect_and_discard`, as the society's threshold has it: diminutive
polyps called with high confidence go by the call, all others by histology. `every_call`: all polyps
go by the call. A call is the likeliest class of the side, positive or negative, on which the risk
stands. It knows no dysplasia; sizes and resection in pieces are the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.clinical.confidence import ConfidenceRule, find_confident
from polypskd.metrics.clinical.endpoints import band_sizes, judge_agreement
from polypskd.metrics.clinical.guidelines import DYSPLASIA, GUIDELINES, HISTOLOGY, Guideline
from polypskd.metrics.clinical.shares import Share
from polypskd.metrics.clinical.surveillance import Findings, compare_intervals, derive_intervals
from polypskd.metrics.resampling import Resampling
from polypskd.study.calls import CALL_OF_RISK, call_classes, call_positive, fix_rule
from polypskd.study.columns import ABSENT
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.endpoints import list_rules
from polypskd.study.polyps import Polyps, gather_test, join_sizes, join_words

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

ENDPOINT = "surveillance_agreement"
STRATEGIES = ("resect_and_discard", "every_call")
CALL = f"{CALL_OF_RISK}, then the likeliest class of that side"
YES = ("yes", "true", "1", "y", "piecemeal")
NO = ("no", "false", "0", "n", "en bloc")
PIECES = dict.fromkeys(YES, YES[0]) | dict.fromkeys(NO, NO[0])
# Columns read by word, each with the words that it may hold and what they mean.
WORDS = {
    "histology": {word: word for word in HISTOLOGY},
    "dysplasia": {word: word for word in DYSPLASIA},
    "piecemeal": PIECES,
}


@dataclass(frozen=True)
class Exams:
    """E exams whose polyps are all known.

    Args:
        reference: their N polyps by histology.
        called: (N,) histology that the student's class stands for.
        by_call: (N,) diminutive and called with high confidence.
        patients: (E,) patient of each exam.
        left_out: exams of whose polyps one lacks its histology, or its dysplasia or resection
            where such a column is set; polyps without an exam.
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
        raise NotAssessableError(
            "no exam has the histology of all its polyps, and what other columns are set tell of it"
        )
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
        "call": CALL,
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
    """Find the exams, and leave out those with a polyp of which something is unknown."""
    sizes, _ = join_sizes(data, polyps)
    side = call_positive(polyps.risk, rule)
    chosen = call_classes(polyps.probabilities, data.positive, side)
    called = np.array(list(_translate(data).values()))[chosen]
    words = {name: _read(data, polyps, name) for name in WORDS}
    exam = _name_exams(data, polyps)
    placed = exam != ""
    _, index = np.unique(exam, return_inverse=True)
    kept, left_out = placed.copy(), {}
    for name, column in words.items():
        if getattr(data.settings.polyps, name) is None:
            continue
        unknown = kept & np.isin(index, index[placed & (column == "")])
        left_out[f"exams_of_unknown_{name}"] = len(np.unique(index[unknown]))
        kept &= ~unknown
    known = np.unique(exam[kept])
    confident = np.ones(len(polyps), bool) if rule is None else find_confident(polyps.risk, rule)
    dysplasia = words["dysplasia"]
    findings = Findings(
        histology=words["histology"][kept],
        size_mm=sizes[kept],
        dysplasia=np.where(dysplasia == "", "none", dysplasia)[kept],
        piecemeal=(words["piecemeal"] == YES[0])[kept],
        exam=np.searchsorted(known, exam[kept]),
    )
    _, first = np.unique(exam[kept], return_index=True)
    return Exams(
        reference=findings,
        called=called[kept],
        by_call=(confident & (band_sizes(sizes) == "diminutive"))[kept],
        patients=(polyps.patients if data.patients_known else exam)[kept][first],
        left_out=left_out | {"polyps_of_unknown_exam": int((~placed).sum())},
    )


def _name_exams(data: StudyData, polyps: Polyps) -> Words:
    """Name the exam of each polyp, (N,), empty where unknown; names count within a patient."""
    if data.settings.polyps.exam is None:
        if not data.patients_known:
            raise NotAssessableError(
                "neither exams nor patients are known; set study.polyps.exam or cohort.patients"
            )
        return polyps.patients
    exam, _ = join_words(data.column(data.settings.polyps.exam), polyps, str)
    if not data.patients_known:
        return exam
    _, patient = np.unique(polyps.patients, return_inverse=True)
    named = np.char.add(np.char.add(patient.astype(np.str_), " "), exam)
    return np.where(exam == "", "", named)


def _read(data: StudyData, polyps: Polyps, name: str) -> Words:
    """Read a column of `WORDS` by polyp; all empty where it is not set.

    Cells are not quoted: they may hold a person's name, and reports are passed on.
    """
    column, known = getattr(data.settings.polyps, name), WORDS[name]
    if column is None:
        return np.full(len(polyps), "")
    absent = ABSENT - known.keys()  # dysplasia "none" is told, not unknown
    found, counts = join_words(
        data.column(column), polyps, lambda word: known.get(word.casefold()), absent
    )
    if counts["unreadable"]:
        raise NotAssessableError(
            f"column of study.polyps.{name}: {counts['unreadable']} test cells cannot be read; "
            f"write one of: {', '.join(known)}; leave unknown ones empty"
        )
    return found


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
