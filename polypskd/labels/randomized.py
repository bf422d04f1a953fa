"""Random subclasses: the control that asks whether it is only more outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def shuffle_within(subclass: Ints, class_index: Ints, part: Ints, seed: int) -> Ints:
    """Shuffle subclasses among the frames of one class and one part of the split.

    Args:
        subclass: (N,) subclass index of each frame.
        class_index: (N,) class index of each frame.
        part: (N,) part of the split, 0...
        seed: of the shuffling; what other classes and parts hold changes nothing.

    Returns:
        (N,) subclass index; every class has in every part as many frames of each as before.

    >>> same = np.zeros(4, dtype=np.int64)
    >>> sorted(shuffle_within(np.array([0, 0, 0, 1]), same, same, 0).tolist())
    [0, 0, 0, 1]
    """
    out = subclass.copy()
    for index in np.unique(class_index).tolist():
        for own in np.unique(part).tolist():
            rows = np.flatnonzero((class_index == index) & (part == own))
            rng = np.random.default_rng([seed, index, own])
            out[rows] = subclass[rng.permutation(rows)]
    return out
