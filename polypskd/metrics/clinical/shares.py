"""Shares: successes among trials, with the interval by patient and Wilson's beside it.

Everything here is a table of counts, one row a patient, so that all resamples are one product
(`Resampling.measure`), and tables of several questions can share one pass over the draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.classification import divide
from polypskd.metrics.intervals import (
    Interval,
    percentile_interval,
    score_interval,
    wilson_interval,
)
from polypskd.metrics.metric import is_still
from polypskd.metrics.resampling import Resampling

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PATIENTS = 2  # with fewer there is no interval by patient


@dataclass(frozen=True)
class Share:
    """A share with two intervals; nan where undefined.

    Args:
        successes: trials that succeeded.
        trials: polyps, frames or exams that were asked.
        patients: who have any of them.
        wilson: as if trials were independent.
        clustered: percentile bootstrap by patient; without bounds where there are fewer than two
            patients, or where all resamples agree (as at 0 and 1), which says nothing.
        coarse: Wilson's with patients for trials, as if all trials of a patient were one.
    """

    successes: int
    trials: int
    patients: int
    wilson: Interval
    clustered: Interval
    coarse: Interval

    @property
    def value(self) -> float:
        """The point value."""
        return self.wilson.value

    @property
    def interval(self) -> Interval:
        """The interval to print: by patient where it has bounds, else Wilson's."""
        return self.clustered if math.isfinite(self.clustered.low) else self.wilson

    @property
    def method(self) -> str:
        """Which interval is printed."""
        if not self.trials:
            return "none"
        return "bootstrap by patient" if self.interval is self.clustered else "Wilson"

    @property
    def lower(self) -> float:
        """The lower of Wilson's lower bound and that by patient, for a claim that holds for either.

        Where the resamples give no bound by patient, that of `coarse` stands in for it: many frames
        of few patients say no more than so many patients.
        """
        bounded = math.isfinite(self.clustered.low)
        return float(np.fmin(self.wilson.low, (self.clustered if bounded else self.coarse).low))

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        return {
            **self.interval.to_dict(),
            "method": self.method,
            "successes": self.successes,
            "trials": self.trials,
            "patients": self.patients,
            "wilson": self.wilson.to_dict(),
        }


def count_cells(cell: Ints, cells: int, sample: Resampling) -> Floats:
    """Count the rows of each patient in each cell of a table.

    Args:
        cell: (N,) in [0, C); -1 leaves a row out.
        cells: C.
        sample: says whose each row is.

    Returns:
        (P, C) whole numbers.

    >>> sample = Resampling(np.array([0, 0, 1]), 2, 0, seed=0)
    >>> count_cells(np.array([1, 1, -1]), 2, sample).tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """
    kept = cell >= 0
    place = sample.index[kept] * cells + cell[kept]
    counts = np.bincount(place, minlength=sample.patients * cells)
    return counts.reshape(sample.patients, cells).astype(np.float64)


def measure_share(successes: Floats, trials: Floats, patients: int, confidence: float) -> Share:
    """Turn counts of the cohort and its resamples into a share.

    Args:
        successes: (1 + R,) the cohort's, then each resample's.
        trials: (1 + R,).
        patients: who have any trial.
        confidence: in (0, 1).

    Reference:
        Wilson 1927; Field & Welsh 2007 (bootstrap by patient).

    >>> share = measure_share(np.array([9.0, 8, 10]), np.array([10.0, 10, 10]), 5, 0.95)
    >>> share.value, share.method
    (0.9, 'bootstrap by patient')
    """
    count, of = round(float(successes[0])), round(float(trials[0]))
    wilson = wilson_interval(count, of, confidence)
    return Share(
        successes=count,
        trials=of,
        patients=patients,
        wilson=wilson,
        coarse=score_interval(count / of, patients, confidence) if of and patients else wilson,
        clustered=interval_by_patient(divide(successes, trials), patients, confidence),
    )


def interval_by_patient(samples: Floats, patients: int, confidence: float) -> Interval:
    """Give the percentile interval of values by patient.

    There are no bounds with fewer than two patients, nor where all resamples agree: an interval
    without width would claim a certainty that no sample gives.

    Args:
        samples: (1 + R,) the point value, then one a resample.
        patients: P.
        confidence: in (0, 1).

    >>> interval_by_patient(np.array([2.0, 1, 3]), 1, 0.95)
    Interval(value=2.0, low=nan, high=nan)
    """
    known = samples if patients >= PATIENTS and not is_still(samples) else samples[:1]
    return percentile_interval(known, confidence)
