"""Effort for hard classes: a weight for each class from what was measured of it.

A reconstruction: of the method's paper only the abstract is public. Recalls come from examples that
the student does not train on, and never from the test split. The weight of an example is that of
its class, and goes into both terms of `distillation_loss`. Classes may as well be subclasses.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Signal = Literal["student", "teacher", "gap"]
Form = Literal["graded", "two_level"]

CLIP = (0.5, 3.0)
NEARLY = 1e-12  # equal hardness stays equal whatever the rounding of its mean


def class_hardness(own_recall: Floats, teacher_recall: Floats | None, signal: Signal) -> Floats:
    """Say how hard each class is for the student.

    student: 1 - own recall. teacher: 1 - its recall. gap: teacher's less own recall, at least 0,
    which finds the classes that distillation leaves behind.

    Args:
        own_recall: (K,) of the student, in [0, 1]; nan where a class is absent.
        teacher_recall: (K,) alike; None serves the signal "student" only.
        signal: which of the three.

    Returns:
        (K,) at least 0; where a recall is nan, the mean of the others (0 if there are none).

    Raises:
        ValueError: the teacher's recall is needed and missing.

    Reference:
        Li & Yang 2023, abstract ("find the hard classes"); the three signals are ours.

    >>> class_hardness(np.array([0.75, 0.5, np.nan]), None, "student").tolist()
    [0.25, 0.5, 0.375]
    """
    if signal == "student":
        raw = 1 - np.asarray(own_recall, dtype=np.float64)
    elif teacher_recall is None:
        raise ValueError(f"hardness by {signal} needs the teacher's recall")
    elif signal == "teacher":
        raw = 1 - np.asarray(teacher_recall, dtype=np.float64)
    else:
        raw = np.asarray(teacher_recall - own_recall, dtype=np.float64)
    hardness = np.maximum(raw, 0)  # hands nan on
    known = np.isfinite(hardness)
    mean = hardness[known].mean() if known.any() else 0.0
    return np.where(known, hardness, mean)


def effort_weights(hardness: Floats, priors: Floats, *, gamma: float, form: Form) -> Floats:
    """Give hard classes more weight.

    graded: w = (h / mean h)^γ. two_level: w = 1 + γ where h > mean h, else 1. Weights are clipped
    to [0.5, 3], then divided by Σ prior · w, so that the mean weight of an example, and with it the
    learning rate, stays 1. After that division a weight may lie outside of the clip's bounds.

    Args:
        hardness: (K,) at least 0, as from `class_hardness`.
        priors: (K,) share of the training examples, or their number.
        gamma: γ; 0 gives ones to the bit, hence plain KD; below 0 hard classes count for less.
        form: which of the two.

    Returns:
        (K,) with Σ prior · w = 1; ones too where no class is harder than another.

    Raises:
        ValueError: shapes differ, or a number is out of range.

    Reference:
        A reconstruction of Li & Yang 2023 ("more effort to learn these hard classes"); the graded
        form after Sinha et al., class-wise difficulty balanced (CDB) loss, w = d^τ.

    >>> hardness, priors = np.array([0.125, 0.375]), np.array([0.5, 0.5])
    >>> effort_weights(hardness, priors, gamma=1.0, form="graded").tolist()
    [0.5, 1.5]
    """
    hardness = np.asarray(hardness, dtype=np.float64)
    priors = np.asarray(priors, dtype=np.float64)
    if hardness.shape != priors.shape or hardness.ndim != 1:
        raise ValueError(f"hardness is {hardness.shape}, priors {priors.shape}; need (K,) both")
    if not (hardness >= 0).all() or not (priors >= 0).all() or not priors.sum() > 0:
        raise ValueError("hardness and priors must be numbers of at least 0, priors not all 0")
    mean = hardness.mean()
    if gamma == 0 or np.ptp(hardness) <= NEARLY:
        return np.ones_like(hardness)
    if form == "graded":
        with np.errstate(divide="ignore", over="ignore", under="ignore"):  # is clipped
            raw = (hardness / mean) ** gamma
    else:
        raw = 1 + gamma * (hardness > mean + NEARLY)
    clipped = np.clip(raw, *CLIP)
    return np.asarray(clipped / (priors @ clipped / priors.sum()))
