"""Calls: what the student calls each polyp, and how surely.

A polyp is a lesion where a column tells lesions, else a frame. It is called positive where its risk
reaches one half; a rule of confidence may hold a call back. All clinical sections judge polyps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.config.study import ConfidenceBand, ConfidenceShare
from polypskd.errors import CohortError
from polypskd.metrics.aggregation import aggregate
from polypskd.metrics.classification import predict_classes
from polypskd.metrics.clinical.confidence import ConfidenceRule, fix_band
from polypskd.metrics.resampling import Resampling
from polypskd.study.columns import ABSENT
from polypskd.study.data import NotAssessableError, Part, StudyData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]
Json = dict[str, Any]

CUTOFF = 0.5


@dataclass(frozen=True)
class Polyps:
    """N polyps on F frames of one split.

    Args:
        unit: lesions or frames.
        split: "val" or "test".
        probabilities: (N, K) calibrated, joined over the frames of a lesion.
        labels: (N,) class by the reference standard, in [0, K).
        predicted: (N,) most probable class.
        risk: (N,) probability of the positive classes, in [0, 1].
        outcome: (N,) of a positive class by the reference standard.
        patients: (N,) patient of each polyp.
        frames: (F,) the polyp of each frame, in [0, N).
        joined: by which rule frames were joined; None where each is a polyp.
    """

    unit: str
    split: str
    probabilities: Floats
    labels: Ints
    predicted: Ints
    risk: Floats
    outcome: Flags
    patients: Words
    frames: Ints
    joined: Json | None

    def __len__(self) -> int:
        return len(self.labels)

    def to_dict(self) -> Json:
        """Say what was judged, for JSON."""
        return {
            "unit": self.unit,
            "joined": self.joined,
            "n": len(self),
            "positive": int(self.outcome.sum()),
        }


def gather_polyps(data: StudyData, part: Part) -> Polyps:
    """Join the frames of each lesion, or let each frame be a polyp.

    Args:
        data: the run.
        part: either of its splits.

    Raises:
        NotAssessableError: there is no such column, or frames of one lesion differ in their
            reference or patient.
    """
    lesion, frames = data.settings.polyps.lesion, np.arange(len(part))
    probabilities, labels, patients = part.calibrated, part.labels, part.patients
    unit, joined = "frames", None
    if lesion is not None and len(part):
        words = data.column(lesion, part)
        # A frame of which no lesion is told stands for itself.
        alone = np.isin(np.char.lower(np.char.strip(words)), list(ABSENT))
        names = np.where(alone, np.char.add("frame ", part.frame_ids), words)
        owners = patients if data.patients_known else None
        try:
            units = aggregate(probabilities, labels, names, owners, rule=data.settings.polyps.rule)
        except CohortError as error:
            raise NotAssessableError(" ".join(str(error).split())) from None
        frames = np.searchsorted(units.names, names)
        probabilities, labels = units.probabilities, units.labels
        patients = units.patients.astype(np.str_)
        unit, joined = "lesions", units.to_dict()
    risk = probabilities[:, data.positive].sum(axis=1).clip(0, 1)
    return Polyps(
        unit=unit,
        split=part.split,
        probabilities=probabilities,
        labels=labels,
        predicted=predict_classes(probabilities),
        risk=risk,
        outcome=data.positive[labels],
        patients=patients,
        frames=frames,
        joined=joined,
    )


def gather_test(data: StudyData) -> Polyps:
    """Give the polyps that are judged.

    Raises:
        NotAssessableError: there are none, or they cannot be joined.
    """
    if not len(data.test):
        raise NotAssessableError("the test split has no frames")
    return gather_polyps(data, data.test)


def gather_validation(data: StudyData, chosen: str) -> Polyps:
    """Give the polyps on which something is chosen.

    Args:
        data: the run.
        chosen: what, for the reason.

    Raises:
        NotAssessableError: there are none, or they cannot be joined.
    """
    if not len(data.validation):
        raise NotAssessableError(
            f"the validation split has no frames, on which {chosen} chosen; "
            "set cohort.splits or a split column so that it has some"
        )
    return gather_polyps(data, data.validation)


def sample_polyps(data: StudyData, polyps: Polyps) -> Resampling:
    """Resample test polyps by patient; the draws are those of the frames where patients are known.

    Args:
        data: the run.
        polyps: of its test split.
    """
    if polyps.unit == "frames":
        return data.sample
    if data.patients_known:
        names = np.unique(data.test.patients)
        return replace(data.sample, index=np.searchsorted(names, polyps.patients))
    return Resampling.draw(polyps.patients, data.sample.resamples, data.sample.seed).hold()


def fix_rule(data: StudyData) -> tuple[ConfidenceRule | None, Json]:
    """Fix the rule of confidence from the config or on validation, never on the test split.

    Args:
        data: the run.

    Returns:
        The rule, None where every call counts, and what is told of it.
    """
    wanted = data.settings.confidence
    told: Json = {"kind": wanted.kind, "rule": None, "reason": ""}
    rule = None
    if isinstance(wanted, ConfidenceBand):
        rule = ConfidenceRule(wanted.negative_to, wanted.positive_from, "config")
    elif isinstance(wanted, ConfidenceShare):
        told["coverage"] = wanted.coverage
        if len(data.validation):
            risk = gather_polyps(data, data.validation).risk
            rule = fix_band(risk, wanted.coverage, cutoff=CUTOFF, split="val")
        else:
            told["reason"] = "the validation split has no frames on which a band could be fixed"
    told["rule"] = rule.to_dict() if rule else None
    return rule, told


def call_positive(risk: Floats, rule: ConfidenceRule | None) -> Flags:
    """Say which polyps are called positive: outside a rule's band by the rule, else by one half.

    Args:
        risk: (N,) in [0, 1].
        rule: None where there is none.

    >>> call_positive(np.array([0.4, 0.5, 0.9]), None).tolist()
    [False, True, True]
    >>> call_positive(np.array([0.55, 0.65, 0.9]), ConfidenceRule(0.6, 0.8, "config")).tolist()
    [False, True, True]
    """
    called: Flags = risk >= CUTOFF
    if rule is None:
        return called
    called = called & (risk > rule.negative_to)
    return called | (risk >= rule.positive_from)


def join_words(
    words: Words, polyps: Polyps, read: Callable[[str], str | None]
) -> tuple[Words, dict[str, int]]:
    """Read a column and give each polyp the word of its frames.

    Args:
        words: (F,) as the column says.
        polyps: whose frames they are.
        read: gives the word meant, None where it cannot be read.

    Returns:
        (N,) words, empty where no frame tells one or frames contradict each other; and how many
        polyps are ``known``, ``unknown`` and of those ``contradictory``, with how many frames were
        ``unreadable``.
    """
    names, place = np.unique(np.char.strip(words), return_inverse=True)
    meant = ["" if name.lower() in ABSENT else read(name) for name in names.tolist()]
    unreadable = np.array([one is None for one in meant], dtype=np.bool_)
    known, code = np.unique(np.array([one or "" for one in meant]), return_inverse=True)
    of_frame = code[place]
    told = known[of_frame] != ""
    low = np.full(len(polyps), len(known))
    high = np.full(len(polyps), -1)
    np.minimum.at(low, polyps.frames[told], of_frame[told])
    np.maximum.at(high, polyps.frames[told], of_frame[told])
    clear = low == high
    found = np.full(len(polyps), "", dtype=known.dtype)
    found[clear] = known[low[clear]]
    return found, {
        "known": int(clear.sum()),
        "unknown": int((~clear).sum()),
        "contradictory": int((high > low).sum()),
        "unreadable": int(unreadable[place].sum()),
    }


def read_size(word: str) -> str | None:
    """Read a size in mm, None where it is no positive number.

    >>> read_size("5.0"), read_size("0"), read_size("5-6")
    ('5', None, None)
    """
    try:
        size = float(word)
    except ValueError:
        return None
    return f"{size:.12g}" if 0 < size < np.inf else None


def join_sizes(data: StudyData, polyps: Polyps) -> tuple[Floats, dict[str, int]]:
    """Give the size of each test polyp in mm, (N,), nan where unknown, and how many are known.

    Raises:
        NotAssessableError: no column tells sizes.
    """
    name = data.settings.polyps.size_mm
    if name is None:
        raise NotAssessableError("no column tells sizes; set study.polyps.size_mm")
    words, counts = join_words(data.column(name), polyps, read_size)
    sizes = np.array([float(word) if word else np.nan for word in words.tolist()])
    return sizes, counts
