"""Bounds: values of a cohort and of its resamples become an interval, where there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.intervals import Interval, percentile_interval, pivotal_interval

Floats = NDArray[np.float64]

PATIENTS = 2  # with fewer there is no interval


@dataclass(frozen=True)
class Bounds:
    """What turns samples, (1 + R,) with the point value first, into an interval.

    Args:
        confidence: in (0, 1).
        patients: P; with one, there are no bounds, as all resamples are equal.
    """

    confidence: float
    patients: int

    def of(self, samples: Floats) -> Interval:
        """Give the percentile interval.

        >>> Bounds(0.5, patients=1).of(np.array([2.0, 2.0, 2.0]))
        Interval(value=2.0, low=nan, high=nan)
        """
        return percentile_interval(self._known(samples), self.confidence)

    def of_error(self, samples: Floats) -> Interval:
        """Give the interval of an error of probabilities, a norm: pivotal on its square, cut at 1.

        Chance adds a variance to the square of a norm, and resampling adds it once more, so the
        reflection of squares takes off just what chance added, also where the true error is 0;
        that of the errors themselves takes off too little there.

        Args:
            samples: (1 + R,) errors in [0, 1].

        >>> Bounds(0.5, patients=2).of_error(np.array([0.5, 0.5, 0.5, 0.625, 0.625]))
        Interval(value=0.5, low=0.33071891388307384, high=0.5)
        """
        found = self.of_square(samples**2)
        # The order of the arguments keeps a nan bound nan.
        return Interval(float(samples[0]), math.sqrt(found.low), min(math.sqrt(found.high), 1.0))

    def of_square(self, samples: Floats) -> Interval:
        """Give the pivotal interval of a mean square, such as reliability.

        >>> Bounds(0.5, patients=2).of_square(np.array([0.5, 0.5, 0.625, 0.75]))
        Interval(value=0.5, low=0.3125, high=0.5)
        """
        return pivotal_interval(self._known(samples), self.confidence)

    @staticmethod
    def widen(found: Interval, debiased: Floats) -> Interval:
        """Give a debiased value with the interval of the plug-in metric, widened to hold it.

        That interval is reflected, so the bias is off it already; debiased resamples, reflected,
        would have it taken off twice.

        Args:
            found: of the plug-in metric.
            debiased: (1, ...) the debiased value first; nan gives nan bounds.

        >>> Bounds.widen(Interval(0.5, 0.375, 0.5), np.array([0.25]))
        Interval(value=0.25, low=0.25, high=0.5)
        """
        value = float(debiased[0])
        if math.isnan(value):
            return Interval(value, math.nan, math.nan)
        # The order of the arguments keeps nan bounds nan.
        return Interval(value, min(found.low, value), max(found.high, value))

    def _known(self, samples: Floats) -> Floats:
        return samples if self.patients >= PATIENTS else samples[:1]
