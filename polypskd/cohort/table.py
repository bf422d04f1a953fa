"""The cohort: frames, votes and patients, joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.str_]


@dataclass(frozen=True)
class Exclusion:
    """A frame that was left out, and why.

    Args:
        frame_id: the frame.
        reason: names no frame, patient or annotator: reports quote it.
        detail: where and the offending value, which may name one: it stays in excluded.csv.
    """

    frame_id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Cohort:
    """N frames with their votes. Letters: V votes, M annotators, K classes, F fine votes.

    Args:
        frame_ids: (N,) unique, sorted; path below the frames' root, or the id in the votes table.
        paths: (N,) path below the frames' root; empty strings where there are votes only.
        patient_ids: (N,); the frame id itself where patients are unknown.
        patients_known: whether `patient_ids` come from the input.
        classes: K names, lowest to highest clinical risk.
        fine: F names of votes, grouped by class in the order of `classes`.
        fine_class: (F,) class index of each fine vote. Without `merge`, F = K and this is 0..K-1.
        annotators: M names.
        vote_frame: (V,) frame index of each vote.
        vote_annotator: (V,) annotator index; -1 where only counts are known.
        vote_fine: (V,) fine vote index.
        split: (N,) "train", "val", "test" as given by a column, else None.
        columns: further columns of the input, (N,) strings each, carried to examples.csv.
        exclusions: frames left out.
        notes: what an export of votes holds that was not used, and why.
    """

    frame_ids: Words
    paths: Words
    patient_ids: Words
    patients_known: bool
    classes: tuple[str, ...]
    fine: tuple[str, ...]
    fine_class: Ints
    annotators: tuple[str, ...]
    vote_frame: Ints
    vote_annotator: Ints
    vote_fine: Ints
    split: Words | None = None
    columns: dict[str, Words] = field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame_ids)

    @cached_property
    def fine_counts(self) -> Ints:
        """(N, F) number of votes a frame received for each fine vote; not to be written to."""
        width = len(self.fine)
        cell = self.vote_frame * width
        cell += self.vote_fine
        flat = np.bincount(cell, minlength=len(self) * width).astype(np.int64, copy=False)
        flat.flags.writeable = False
        return flat.reshape(len(self), width)

    @cached_property
    def counts(self) -> Ints:
        """(N, K) number of votes a frame received for each class; not to be written to."""
        if np.array_equal(self.fine_class, np.arange(len(self.classes))):
            return self.fine_counts
        member = np.eye(len(self.classes), dtype=np.int64)[self.fine_class]
        counts = self.fine_counts @ member
        counts.flags.writeable = False
        return counts


def number_words(words: Words) -> Ints:
    """Number words by their place among the unequal ones, sorted.

    Neighbors that are alike, as the patients of sorted frames often are, are sorted once.

    Args:
        words: (N,) words.

    Returns:
        (N,) numbers, 0..; without a gap.

    >>> number_words(np.array(["b", "b", "a", "b"]))
    array([1, 1, 0, 1])
    """
    starts = np.ones(len(words), dtype=np.bool_)
    starts[1:] = words[1:] != words[:-1]
    number = np.unique(words[starts], return_inverse=True)[1].astype(np.int64, copy=False)
    numbers: Ints = number[np.cumsum(starts) - 1]
    return numbers
