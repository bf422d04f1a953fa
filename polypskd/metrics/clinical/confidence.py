"""Confidence: which calls are of high confidence, by a rule that is fixed before the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TEST = "test"


@dataclass(frozen=True)
class ConfidenceRule:
    """A band of risk round the cut-off in which a call is of low confidence.

    Args:
        negative_to: a risk up to this is a negative call of high confidence.
        positive_from: a risk from this is a positive call of high confidence.
        fixed_on: where the band comes from, such as val or config; never test.

    Raises:
        ValueError: the band is fixed on the test split or turned about.
    """

    negative_to: float
    positive_from: float
    fixed_on: str

    def __post_init__(self) -> None:
        if self.fixed_on == TEST:
            raise ValueError("a rule of high confidence is fixed before the test, never on it")
        if self.negative_to > self.positive_from:
            raise ValueError(
                f"negative_to {self.negative_to} must not exceed positive_from {self.positive_from}"
            )

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        return {
            "negative_to": self.negative_to,
            "positive_from": self.positive_from,
            "fixed_on": self.fixed_on,
        }


def find_confident(risk: Floats, rule: ConfidenceRule) -> Flags:
    """Say which calls are of high confidence, (N,).

    >>> rule = ConfidenceRule(0.3, 0.7, "config")
    >>> find_confident(np.array([0.1, 0.5, 0.7]), rule).tolist()
    [True, False, True]
    """
    return (risk <= rule.negative_to) | (risk >= rule.positive_from)


def fix_band(risk: Floats, coverage: float, *, cutoff: float = 0.5, split: str) -> ConfidenceRule:
    """Fix a band round the cut-off that leaves a share of a split with high confidence.

    Args:
        risk: (N,) calibrated risk of the positive class.
        coverage: least share of calls with high confidence, in (0, 1].
        cutoff: where positive calls begin.
        split: its name; never test.

    Raises:
        ValueError: the split is the test split or empty, or the coverage is outside (0, 1].

    >>> fix_band(np.array([0.1, 0.4, 0.55, 0.95]), 0.5, split="val").positive_from
    0.9
    """
    (width,) = fix_cutoffs(np.abs(risk - cutoff), [coverage], split=split)
    kept = risk[np.abs(risk - cutoff) >= width]
    # The ends as they stand among the risks: cutoff - width may round past the last of them.
    low = float(kept[kept < cutoff].max(initial=cutoff - width))
    high = float(kept[kept >= cutoff].min(initial=cutoff + width))
    return ConfidenceRule(low, high, split)


def fix_cutoffs(confidence: Floats, coverages: Sequence[float], *, split: str) -> tuple[float, ...]:
    """Fix the cut-offs of confidence that keep at least these shares of a split.

    Args:
        confidence: (N,) higher means surer.
        coverages: in (0, 1] each.
        split: its name; never test.

    Returns:
        One a coverage: rows of at least this confidence are kept.

    Raises:
        ValueError: the split is the test split or empty, or a coverage is outside (0, 1].

    >>> fix_cutoffs(np.array([0.9, 0.6, 0.8, 0.7]), [0.5, 1.0], split="val")
    (0.8, 0.6)
    """
    if split == TEST:
        raise ValueError("cut-offs of confidence are fixed before the test, never on it")
    if not len(confidence) or not all(0 < coverage <= 1 for coverage in coverages):
        raise ValueError("cut-offs need at least one row, and coverages above 0 and up to 1")
    falling = np.sort(confidence)[::-1]
    # A hair less, because a share of N may come out just above a whole number.
    ranks = [max(1, math.ceil(coverage * len(falling) - 1e-9)) for coverage in coverages]
    return tuple(float(falling[rank - 1]) for rank in ranks)
