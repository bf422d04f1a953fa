"""Levels: an axis between easy and hard, cut by thresholds or by quantiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import CohortError, Fault

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TOLERANCE = 1e-9  # a threshold of 0.666666667 lets 2/3 pass


def cut_thresholds(levels: dict[str, float], axis: Floats, axis_name: str) -> Ints:
    """Give each frame the first level whose lowest value it reaches.

    Args:
        levels: name → lowest value, falling.
        axis: (N,) 1 = easiest, 0 = hardest.
        axis_name: what the axis is, for the message.

    Raises:
        CohortError: a frame is below the last threshold.

    >>> cut_thresholds({"easy": 0.8, "hard": 0.5}, np.array([1.0, 0.6]), "agreement")
    array([0, 1])
    """
    bounds = np.array(list(levels.values()))
    below = axis < bounds[-1] - TOLERANCE
    if below.any():
        fits = math.floor(float(axis.min()) * 1000) / 1000
        raise CohortError(
            [
                Fault(
                    where=f"labels.subclasses.levels.{list(levels)[-1]}",
                    what=f"the {axis_name} of {int(below.sum())} of {len(axis)} frames is below "
                    "this last threshold",
                    value=f"{bounds[-1]:g}",
                    todo=f"lower it to {fits:g} or less, or add a level",
                )
            ]
        )
    return _count_bounds_above(axis, bounds)


def cut_quantiles(axis: Floats, train: NDArray[np.bool_], quantiles: int) -> tuple[Ints, list[str]]:
    """Cut into parts of about equal numbers of training frames; equal values are never split.

    Args:
        axis: (N,) the higher, the easier.
        train: (N,) whether a frame is in the training split; bounds look at no other.
        quantiles: how many parts, at least 2; fewer come back where values are equal.

    Returns:
        (N,) level, 0 = easiest; the levels' names.

    >>> cut_quantiles(np.array([0.9, 0.5, 0.7, 0.6]), np.ones(4, dtype=bool), 2)
    (array([0, 1, 0, 1]), ['q1', 'q2'])
    """
    falling = np.sort(axis[train])[::-1]
    last = [math.ceil(len(falling) * part / quantiles) - 1 for part in range(1, quantiles)]
    bounds = np.unique(falling[last])[::-1]
    # A bound that every frame reaches would leave the last quantile empty.
    bounds = bounds[bounds > falling[-1]]
    return _count_bounds_above(axis, bounds), [f"q{part + 1}" for part in range(len(bounds) + 1)]


def _count_bounds_above(axis: Floats, bounds: Floats) -> Ints:
    return np.asarray((axis[:, None] < bounds - TOLERANCE).sum(axis=1), dtype=np.int64)


def explain_quantiles(
    axis: Floats, train: NDArray[np.bool_], quantiles: int, found: int
) -> tuple[str, ...]:
    """Say why fewer levels came of quantiles than were asked for; nothing if none is lacking.

    Args:
        axis: (N,) agreement, 1 = easiest.
        train: (N,) whether a frame is in the training split.
        quantiles: levels asked for.
        found: levels that came of it.

    >>> explain_quantiles(np.array([1.0, 0.5, 0.5, 0.5]), np.ones(4, dtype=bool), 2, 1)[0]
    '2 quantiles became 1 level, because 75 % of training frames have agreement 0.5; give levels'
    """
    if found >= quantiles:
        return ()
    values, counts = np.unique(np.round(axis[train], 9), return_counts=True)
    most = int(np.argmax(counts))
    share = f"{100 * counts[most] / counts.sum():.0f} %"
    return (
        f"{quantiles} quantiles became {found} level{'s' if found > 1 else ''}, because {share} of "
        f"training frames have agreement {values[most]:.2g}; give levels",
    )
