"""Polyps: lesions where a column tells lesions, else frames; all clinical sections judge them."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.aggregation import aggregate
from polypskd.metrics.classification import predict_classes
from polypskd.metrics.resampling import Resampling
from polypskd.study.columns import ABSENT
from polypskd.study.data import NotAssessableError, Part, StudyData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]
Json = dict[str, Any]


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
        """Say what these polyps are, for JSON."""
        return {
            "unit": self.unit,
            "joined": self.joined,
            "n": len(self),
            "positive": int(self.outcome.sum()),
        }


def describe_polyps(data: StudyData, polyps: Polyps) -> Json:
    """Say what is judged: the polyps, their patients, and the confidence of the intervals.

    Args:
        data: the run.
        polyps: of its test split.
    """
    patients = len(np.unique(polyps.patients)) if data.patients_known else None
    return polyps.to_dict() | {"patients": patients, "confidence": data.confidence}


def gather_polyps(data: StudyData, part: Part) -> Polyps:
    """Join the frames of each lesion, or let each frame be a polyp.

    Where frames of one lesion differ in their reference, the class of highest risk counts.

    Args:
        data: the run.
        part: either of its splits.

    Raises:
        NotAssessableError: there is no such column, or it is empty.
    """
    frames = np.arange(len(part))
    probabilities, labels, patients = part.calibrated, part.labels, part.patients
    unit, joined = "frames", None
    if data.settings.polyps.lesion is not None and len(part):
        names = number_lesions(data, part)
        frames = np.unique(names, return_inverse=True)[1]
        mixed = count_mixed(frames, labels)
        units = aggregate(
            probabilities,
            labels,
            names,
            patients if data.patients_known else None,
            rule=data.settings.polyps.rule,
            reference="max_risk" if mixed else "agree",
        )
        probabilities, labels = units.probabilities, units.labels
        patients = units.patients.astype(np.str_)
        unit, joined = "lesions", units.to_dict() | {"mixed": mixed}
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


def number_lesions(data: StudyData, part: Part) -> Ints:
    """Number the lesion of each frame, (N,); names count within a patient and an exam.

    A frame of which no lesion is told stands for itself.

    Args:
        data: the run, whose config names the column of lesions.
        part: either of its splits.

    Raises:
        NotAssessableError: there is no such column, or it is empty.
    """
    polyps = data.settings.polyps
    columns = [data.column(name, part) for name in (polyps.lesion, polyps.exam) if name is not None]
    if data.patients_known:
        columns.append(part.patients)
    named = ~np.isin(np.char.lower(np.char.strip(columns[0])), list(ABSENT))
    if not named.any():
        raise NotAssessableError(f"column {polyps.lesion!r} is empty on the {part.split} split")
    number = np.zeros(len(part), dtype=np.int64)
    for column in columns:
        words, place = np.unique(column, return_inverse=True)
        # Numbered anew after each column, or the products would outgrow an integer.
        number = np.unique(number * len(words) + place, return_inverse=True)[1].astype(np.int64)
    number[~named] = number.max() + 1 + np.arange(int((~named).sum()))
    return number


def count_mixed(names: NDArray[np.generic], labels: Ints) -> int:
    """Count the lesions or patients whose frames differ in their reference.

    Args:
        names: (N,) lesion or patient of each frame.
        labels: (N,) class by the reference standard.

    >>> count_mixed(np.array(["a", "a", "b"]), np.array([0, 1, 1]))
    1
    """
    index = np.unique(names, return_inverse=True)[1]
    pairs = np.unique(np.stack([index, labels]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum())


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


def join_words(
    words: Words,
    polyps: Polyps,
    read: Callable[[str], str | None],
    absent: Container[str] = ABSENT,
) -> tuple[Words, dict[str, int]]:
    """Read a column and give each polyp the word of its frames.

    Args:
        words: (F,) as the column says.
        polyps: whose frames they are.
        read: gives the word meant, None where it cannot be read.
        absent: words, in lower case, that stand for nothing.

    Returns:
        (N,) words, empty where no frame tells one or frames contradict each other; and how many
        polyps are ``known``, ``unknown`` and of those ``contradictory``, with how many frames were
        ``unreadable``.
    """
    names, place = np.unique(np.char.strip(words), return_inverse=True)
    meant = ["" if name.lower() in absent else read(name) for name in names.tolist()]
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
