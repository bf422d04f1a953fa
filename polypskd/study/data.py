"""What every section of a study reads: frames, votes and the networks' answers of two splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.config import Study
from polypskd.labels.examples import Examples
from polypskd.metrics.calibration import log_probabilities
from polypskd.metrics.classification import predict_classes
from polypskd.metrics.leave_one_out import Votes
from polypskd.metrics.resampling import Resampling

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]
Json = dict[str, Any]

LEVEL, SUBCLASS = "difficulty level", "subclass"  # what levels are called
COUNTS = ("patients", "n_patients")  # keys under which sections count patients


class NotAssessableError(Exception):
    """A section cannot be judged; its text says why, in one line, and what would change that."""


def hide_patients(found: Json) -> Json:
    """Take the counts of patients out of what a section tells: patients are unknown.

    Args:
        found: plain values; every frame or lesion was counted as a patient.

    >>> hide_patients({"n": 3, "share": {"patients": 3, "value": 0.5}, "n_patients": 3})
    {'n': 3, 'share': {'patients': None, 'value': 0.5}, 'n_patients': None}
    """
    return {name: _hide(name, value) for name, value in found.items()}


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return hide_patients(value)
    if isinstance(value, list | tuple):
        return [_hide(name, one) for one in value]
    return None if name in COUNTS else value


@dataclass(frozen=True)
class Part:
    """N frames of one split.

    Args:
        split: "val" or "test".
        frame_ids: (N,).
        patients: (N,) patient of each frame.
        labels: (N,) class by the reference standard, in [0, K).
        levels: (N,) name of the difficulty level.
        counts: (N, K) votes for each class.
        columns: further columns of the cohort, (N,) each.
        student: (N, K) class logits at temperature 1.
        teacher: (N, K) likewise; None without a teacher.
        temperature: of the student, fitted on validation; 1 where it could not be.
        positive: (K,) classes that count as positive.
    """

    split: str
    frame_ids: Words
    patients: Words
    labels: Ints
    levels: Words
    counts: Ints
    columns: Mapping[str, Words]
    student: Floats
    teacher: Floats | None
    temperature: float
    positive: Flags

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def probabilities(self) -> Floats:
        """(N, K) the student's probabilities at temperature 1."""
        p: Floats = np.exp(log_probabilities(self.student))
        return p

    @cached_property
    def calibrated(self) -> Floats:
        """(N, K) the student's probabilities after temperature scaling."""
        p: Floats = np.exp(log_probabilities(self.student / self.temperature))
        return p

    @cached_property
    def predicted(self) -> Ints:
        """(N,) the student's class; no temperature changes it."""
        return predict_classes(self.student)

    @cached_property
    def risk(self) -> Floats:
        """(N,) calibrated probability that the frame is of a positive class."""
        risk: Floats = self.calibrated[:, self.positive].sum(axis=1)
        return risk

    @cached_property
    def outcome(self) -> Flags:
        """(N,) whether the frame is of a positive class by the reference standard."""
        return self.positive[self.labels]


@dataclass(frozen=True)
class StudyData:
    """A run as its study sees it.

    Args:
        classes: K names, lowest to highest risk.
        test: the split that is judged.
        validation: the split on which everything is chosen; may be empty.
        sample: the resamples of the test patients, held for many passes.
        settings: the section `study`.
        confidence: of the intervals.
        bins: of the calibration errors.
        votes: by annotator, on the test frames; None where annotators are not known.
        annotators: M names, as `votes` counts them.
        patients_known: else every frame stands for a patient.
        seed: of whatever is drawn.
        level_order: names of the difficulty levels, the easiest first; those of known subclasses
            in the order of the scheme.
        level_word: what a level is called: "difficulty level", or "subclass" where subclasses are
            known, each of one class.
        annotator_numbers: (M,) number by which a report tells each annotator, from 1; empty counts
            them in the order of `annotators`.
        examples: all splits; None where they are not at hand.
        exclusions: frames left out, counted by reason.
    """

    classes: tuple[str, ...]
    test: Part
    validation: Part
    sample: Resampling
    settings: Study
    confidence: float
    bins: int
    votes: Votes | None
    annotators: tuple[str, ...]
    patients_known: bool
    seed: int
    level_order: tuple[str, ...] = ()
    level_word: str = LEVEL
    annotator_numbers: tuple[int, ...] = ()
    examples: Examples | None = None
    exclusions: Mapping[str, int] = field(default_factory=dict)

    @property
    def positive(self) -> Flags:
        """(K,) classes that count as positive."""
        return self.test.positive

    @property
    def unscaled(self) -> str:
        """Why nothing could be scaled on validation; empty where something could."""
        if not len(self.validation):
            return "the validation split has no frames"
        seen = set(self.validation.labels.tolist())
        absent = [name for place, name in enumerate(self.classes) if place not in seen]
        return f"the validation split has no frame of {absent[0]}" if absent else ""

    def column(self, name: str, part: Part | None = None) -> Words:
        """Give a column of the cohort, (N,), of the test split unless told otherwise.

        Raises:
            NotAssessableError: there is no such column.
        """
        columns = (part or self.test).columns
        for known in (name, f"given_{name}"):  # renamed where the name is one of examples.csv
            if known in columns:
                return columns[known]
        raise NotAssessableError(f"the cohort has no column {name!r}")
