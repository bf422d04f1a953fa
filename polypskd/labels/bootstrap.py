"""Bootstrap of sums: percentile intervals of anything that is a function of sums over units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK_BYTES = 64 * 2**20  # weights held at a time


@dataclass(frozen=True)
class Estimate:
    """A value and its percentile interval; nan where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Draws:
    """How to resample a cohort.

    Args:
        patient: (N,) patient index of each frame; None: frames are the units.
        resamples: how often.
        seed: of the draws.
        confidence: of the intervals, in (0, 1).
    """

    patient: Ints | None
    resamples: int
    seed: int
    confidence: float


def resample_sums(
    sums: NDArray[Any], size: Ints, *, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Draw units with replacement, as many as there are, and add their sums up.

    Identical units may stand in one row: n units drawn from rows that stand for `size` units each
    fall on the rows by a multinomial distribution, which is drawn directly where rows are few.
    One seed gives one set of draws, so that calls with the same `size` and seed see the same
    resampled cohorts.

    Args:
        sums: (U, D) what a unit adds.
        size: (U,) number of identical units that each row stands for; all positive.
        resamples: R.
        seed: of the draws.

    Returns:
        (R, D) resampled sums.

    >>> resample_sums(np.eye(2), np.array([3, 1]), resamples=5, seed=0).sum(axis=1)
    array([4., 4., 4., 4., 4.])
    """
    rng = np.random.default_rng(seed)
    rows, n = len(size), int(size.sum())
    few = rows * 16 < n
    row_of = None if few else np.repeat(np.arange(rows), size)
    out = np.empty((resamples, sums.shape[1]))
    step = max(1, CHUNK_BYTES // max(1, rows * sums.dtype.itemsize))
    for start in range(0, resamples, step):
        part = out[start : start + step]
        if row_of is None:
            weights = rng.multinomial(n, size / n, size=len(part)).astype(sums.dtype)
        else:
            weights = np.empty((len(part), rows), dtype=sums.dtype)
            for line in weights:
                unit = rng.integers(n, size=n)
                line[:] = np.bincount(unit if rows == n else row_of[unit], minlength=rows)
        part[:] = weights @ sums
    return out


def estimate(value: float, draws: Floats, confidence: float) -> Estimate:
    """Join a value to the percentile interval of its bootstrap draws.

    Draws in which the value is undefined (nan) are left out.

    Args:
        value: of the cohort itself.
        draws: (R,) of the resampled cohorts; none gives no interval.
        confidence: in (0, 1).

    Reference:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.

    >>> estimate(2.0, np.array([1.0, 2.0, 3.0]), 0.9)
    Estimate(value=2.0, low=1.1, high=2.9)
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws) or not np.isfinite(value):
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high))
