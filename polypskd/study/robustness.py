"""The student on corrupted test frames: blur, light, compression and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polypskd.data.corruption import CORRUPTIONS, corrupt
from polypskd.metrics.metric import confusion_terms
from polypskd.metrics.resampling import Resampling
from polypskd.metrics.robustness import CLEAN, Robustness, judge_robustness
from polypskd.models.predict import Frames
from polypskd.study.calls import CALL_OF_CLASS
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.subgroups import positive_metrics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]
Words = NDArray[np.str_]
Progress = Callable[[int, int], None]

METRICS = ("accuracy", "macro_f1", "sensitivity", "specificity")


class Predictor(Protocol):
    """What is asked: (N, H, W, 3) frames → (N,) classes."""

    def predict(self, frames: Frames, progress: Progress = ..., /) -> Ints:
        """Predict; progress is called with the frames done and all of them."""
        ...


def describe_robustness(
    data: StudyData,
    frames: Frames,
    student: Predictor,
    progress: Progress = lambda done, total: None,
) -> Json:
    """Corrupt some test frames in each way and strength, and ask the student again.

    Args:
        data: the run.
        frames: (N, H, W, 3) uint8, the test frames as the network sees them, in order.
        student: is asked.
        progress: called with the frames answered and all of them.

    Returns:
        ``clean`` metric → interval; ``kinds`` kind → what its numbers mean, and the metrics with
        their change at each strength.
    """
    asked = data.settings.corruptions
    if not asked.frames:
        raise NotAssessableError("study.corruptions.frames is 0; set how many frames to corrupt")
    if not asked.kinds or not asked.strengths:
        raise NotAssessableError("no corruption is asked for; set study.corruptions.kinds")
    test = data.test
    rows = draw_patients(test.patients, asked.frames, data.seed)
    if not len(rows):
        raise NotAssessableError(
            f"every test patient has more frames than study.corruptions.frames ({asked.frames})"
        )
    runs = [CLEAN, *((kind, n) for kind in dict.fromkeys(asked.kinds) for n in _sort(asked))]
    answers: dict[tuple[str, int], dict[str, Floats]] = {}
    for place, (kind, strength) in enumerate(runs):
        shown = Corrupted(frames, rows, test.frame_ids[rows], kind, strength, data.seed)
        start = place * len(rows)
        predicted = student.predict(
            shown,
            lambda done, _, start=start: progress(start + done, len(runs) * len(rows)),  # type: ignore[misc]
        )
        answers[kind, strength] = confusion_terms(test.labels[rows], predicted, len(data.classes))
    sample = Resampling.draw(test.patients[rows], data.sample.resamples, data.seed).hold()
    metrics = {name: positive_metrics(data.positive)[name] for name in METRICS}
    found = judge_robustness(sample, answers[CLEAN], answers, metrics, data.confidence)
    return {
        "n_frames": len(rows),
        "n_patients": sample.patients if data.patients_known else None,
        "call": CALL_OF_CLASS,
        "confidence": data.confidence,
        "clean": {name: one.value.to_dict() for name, one in found[CLEAN].items()},
        "kinds": {
            kind: {
                "means": CORRUPTIONS[kind].means,
                "strengths": [_tell(kind, n, found[kind, n]) for n in _sort(asked)],
            }
            for kind in dict.fromkeys(asked.kinds)
        },
    }


def _sort(asked: Any) -> list[int]:
    return sorted(set(asked.strengths))


def _tell(kind: str, strength: int, found: dict[str, Robustness]) -> Json:
    return {
        "strength": strength,
        "number": CORRUPTIONS[kind].steps[strength - 1],
        "metrics": {name: one.to_dict() for name, one in found.items()},
    }


def draw_patients(patients: Words, most: int, seed: int) -> Ints:
    """Draw the frames of whole patients, no more than so many frames.

    Patients come in random order; one whose frames no longer fit is passed over.

    Args:
        patients: (N,) of each frame.
        most: frames.
        seed: of the order.

    Returns:
        Rows, rising; all of them where they fit.

    >>> draw_patients(np.array(["a", "a", "b", "b", "b"]), 3, seed=0).tolist()
    [0, 1]
    """
    names, index = np.unique(patients, return_inverse=True)
    sizes = np.bincount(index, minlength=len(names))
    taken, left = np.zeros(len(names), dtype=np.bool_), most
    for place in np.random.default_rng(seed).permutation(len(names)).tolist():
        if sizes[place] <= left:
            taken[place], left = True, left - int(sizes[place])
    return np.flatnonzero(taken[index])


@dataclass(frozen=True)
class Corrupted:
    """Some frames, corrupted when they are asked for: a batch is in memory at a time.

    Args:
        source: (N, H, W, 3) uint8.
        rows: (B,) of the source.
        frame_ids: (B,) what is random follows from them.
        kind: of the corruption.
        strength: 0 leaves the frames as they are.
        seed: of all frames.
    """

    source: Frames
    rows: Ints
    frame_ids: Words
    kind: str
    strength: int
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> Pixels:
        """Give (b, H, W, 3)."""
        picked = zip(self.rows[rows].tolist(), self.frame_ids[rows].tolist(), strict=True)
        return np.stack([self._corrupt(row, name) for row, name in picked])

    def _corrupt(self, row: int, name: str) -> Pixels:
        pixels: Pixels = np.asarray(self.source[row : row + 1])[0]
        if self.strength == 0:
            return pixels
        return corrupt(pixels, self.kind, self.strength, name, self.seed)
