"""Answers: what a bundle says of a frame, or why it says nothing.

A frame is not assessable where a measure of its pixels lies beyond the bundle's limits, and the
call is unsure where the risk lies within the bundle's band of low confidence. In both cases no
class is named; the probabilities are told all the same, for those who study them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from polypskd.cohort.quality import Quality
    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.predictor import Prediction

DIGITS = 6  # of every probability, in all files
NOT_ASSESSABLE = "not assessable: "
UNSURE = "unsure: "
WORDS = {
    "min_brightness": "too dark",
    "max_underexposed": "too dark",
    "max_brightness": "too bright",
    "max_overexposed": "too bright",
    "max_specular": "too bright",
    "min_field": "not a colonoscopy frame",
    "max_outside_body": "not a colonoscopy frame",
    "min_sharpness": "blurred",
    "max_blur": "blurred",
    "max_motion": "blurred",
}
OTHERWISE = "out of range"
ORDER = ("too dark", "too bright", "not a colonoscopy frame", "blurred", OTHERWISE)


@dataclass(frozen=True)
class Answer:
    """What is said of one frame.

    Args:
        source: name of the file.
        address: name of the frame: the file's, with `#` and a number for one of many.
        frame: number of the frame in its file, from 1 in DICOM, from 0 in videos; None for the
            only one.
        sop_uid: SOP instance UID of a DICOM file, else "".
        input_sha256: of the file's bytes.
        predicted: the class; "" where the answer is withheld.
        class_probabilities: K, calibrated, rounded to six decimals.
        subclass_probabilities: S, likewise.
        confidence: as the bundle's network gives it, likewise.
        abstained: why the answer is withheld; "" where it is not.
    """

    source: str
    address: str
    frame: int | None
    sop_uid: str
    input_sha256: str
    predicted: str
    class_probabilities: tuple[float, ...]
    subclass_probabilities: tuple[float, ...]
    confidence: float
    abstained: str

    @property
    def is_assessable(self) -> bool:
        """Whether the frame itself was good enough; the call may be unsure all the same."""
        return not self.abstained.startswith(NOT_ASSESSABLE)


@dataclass(frozen=True)
class Limit:
    """One limit of a measure.

    Args:
        measure: a field of `polypskd.cohort.quality.Quality`.
        at_least: whether values below the bound break it; else those above.
        bound: the limit.
        word: what a frame is called that breaks it.
    """

    measure: str
    at_least: bool
    bound: float
    word: str

    def describe_break(self, value: float) -> str:
        """Say how a value breaks the limit; "" where it does not.

        >>> Limit("blur", False, 0.5, "blurred").describe_break(0.75)
        'blur 0.75 is above 0.5'
        """
        if (value >= self.bound) if self.at_least else (value <= self.bound):
            return ""
        side = "below" if self.at_least else "above"
        return f"{self.measure} {value:.3g} is {side} {self.bound:g}"


def list_limits(rules: dict[str, float]) -> tuple[Limit, ...]:
    """List the limits of a bundle, those of darkness first.

    Args:
        rules: rule → bound, as ``min_brightness``; those that are set.

    >>> [limit.word for limit in list_limits({"max_blur": 0.5, "min_brightness": 0.1})]
    ['too dark', 'blurred']
    """
    limits = []
    for rule, bound in rules.items():
        side, _, measure = rule.partition("_")
        limits.append(Limit(measure, side == "min", bound, WORDS.get(rule, OTHERWISE)))
    return tuple(sorted(limits, key=lambda limit: (ORDER.index(limit.word), limit.measure)))


def judge_size(width: int, height: int, min_side: int) -> str:
    """Say why a frame's size makes it not assessable; "" where it does not.

    >>> judge_size(64, 40, 48)
    'not assessable: out of range (the shorter side has 40 pixels, and must have 48)'
    """
    side = min(width, height)
    if side >= min_side:
        return ""
    why = f"the shorter side has {side} pixels, and must have {min_side}"
    return f"{NOT_ASSESSABLE}{OTHERWISE} ({why})"


def judge_quality(quality: Quality, limits: Sequence[Limit]) -> str:
    """Say why a frame is not assessable; "" where it is.

    Args:
        quality: of the frame.
        limits: of the bundle, those of one word beside each other.
    """
    broken: dict[str, list[str]] = {}
    for limit in limits:
        why = limit.describe_break(getattr(quality, limit.measure))
        if why:
            broken.setdefault(limit.word, []).append(why)
    told = ", ".join(f"{word} ({', '.join(whys)})" for word, whys in broken.items())
    return NOT_ASSESSABLE + told if told else ""


def choose_class(probabilities: Sequence[float]) -> int:
    """Choose the most probable class; among equals that of the highest risk, which stands last.

    >>> choose_class([0.4, 0.4, 0.2])
    1
    """
    return max(range(len(probabilities)), key=lambda turn: (probabilities[turn], turn))


@dataclass(frozen=True)
class Verdict:
    """What is said of one frame's pixels, wherever they came from.

    Args:
        predicted: the class; "" where the answer is withheld.
        class_probabilities: K, rounded.
        subclass_probabilities: S, rounded.
        confidence: rounded.
        abstained: why the answer is withheld; "" where it is not.
    """

    predicted: str
    class_probabilities: tuple[float, ...]
    subclass_probabilities: tuple[float, ...]
    confidence: float
    abstained: str


def build_verdict(bundle: Bundle, prediction: Prediction, refused: str) -> Verdict:
    """Turn the network's numbers of one frame into what is said of it.

    Args:
        bundle: the numbers' own.
        prediction: of one frame.
        refused: why the frame is not assessable; "" where it is.
    """
    # All by the rounded numbers: whoever reads the table comes to the same answer.
    classes = _round(prediction.class_probabilities[0])
    band = bundle.limits.confidence
    abstained = refused
    if not refused and band is not None:
        rounded = np.asarray([classes], np.float32)
        if not bundle.find_confident(rounded)[0]:
            risk = float(bundle.measure_risk(rounded)[0])
            span = f"{band.negative_to:g} and {band.positive_from:g}"
            abstained = f"{UNSURE}risk {risk:.{DIGITS}f} lies between {span}"
    return Verdict(
        predicted="" if abstained else bundle.classes[choose_class(classes)],
        class_probabilities=classes,
        subclass_probabilities=_round(prediction.subclass_probabilities[0]),
        confidence=round(float(prediction.confidence[0]), DIGITS),
        abstained=abstained,
    )


def _round(values: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple([round(value, DIGITS) for value in values.tolist()])
