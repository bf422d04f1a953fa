"""Information: how many bits about the subclass a teacher passes on, beyond the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.calibration import log_probabilities
from polypskd.metrics.classification import confusion_matrix, divide
from polypskd.metrics.intervals import number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INFORMATION = (
    "label_bits",
    "mutual_information",
    "soft_information",
    "subclass_accuracy",
    "subclass_accuracy_within_class",
    "conditional_entropy",
)


def entropy(probabilities: Floats) -> Floats:
    """Give the entropy in bits along the last axis, with 0 log 0 = 0.

    Args:
        probabilities: (..., S), each summing to 1.

    >>> entropy(np.array([0.5, 0.25, 0.25])).tolist()
    1.5
    """
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(-(probabilities * logs).sum(axis=-1)) + 0.0  # no minus zero


def channel_capacity(p_correct: float, s: int) -> float:
    """Give the capacity in bits of the s-ary symmetric channel: Mueller's label bits.

    It takes the s subclasses of a class as equally likely and every confusion as equally likely.
    It is 0 at chance, p = 1/s, and rises again below, where being wrong is informative.

    Args:
        p_correct: P, share of right subclasses, in [0, 1].
        s: subclasses, at least 1.

    Raises:
        ValueError: an argument is out of range.

    Reference:
        Müller, Kornblith & Hinton 2020: log₂ s + P log₂ P + (1-P) log₂((1-P)/(s-1)).

    >>> round(channel_capacity(0.730, 5), 4)
    0.9405
    """
    if not 0 <= p_correct <= 1 or s < 1:
        raise ValueError(f"p_correct is {p_correct}, s is {s}; need 0 <= p_correct <= 1 <= s")
    if s == 1:
        return 0.0
    wrong = (1 - p_correct) / (s - 1)
    row = np.array([p_correct, *[wrong] * (s - 1)])
    return max(0.0, float(np.log2(s) - entropy(row)))


def mutual_information(confusion: NDArray[np.number]) -> float:
    """Give I(S; Ŝ) in bits of a table of counts.

    Args:
        confusion: (s, s) counts, rows = reference; 0 if empty.

    >>> mutual_information(np.array([[2, 0], [0, 2]]))
    1.0
    """
    cells = np.asarray(confusion, dtype=np.float64)
    if not cells.sum():
        return 0.0
    joint = cells / cells.sum()
    shared = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint.ravel())
    return max(0.0, float(shared))


def conditional_mutual_information(confusions: Sequence[NDArray[np.number]]) -> float:
    """Give I(S; Ŝ | C) = Σ_c p(c) I(S; Ŝ | C = c) in bits: real priors, real confusions.

    Args:
        confusions: one (s_c, s_c) table of counts a class; p(c) is its share of all counts.

    >>> conditional_mutual_information([np.array([[1, 0], [0, 1]]), np.array([[2]])])
    0.5
    """
    totals = np.array([np.sum(table) for table in confusions], dtype=np.float64)
    if not totals.sum():
        return 0.0
    bits = np.array([mutual_information(table) for table in confusions])
    return float(totals @ bits / totals.sum())


def soft_information(probabilities: Floats) -> float:
    """Give H(E[P]) - E[H(P)] in bits: what soft predictions tell apart.

    Args:
        probabilities: (N, S), rows summing to 1; 0 if N is 0.

    >>> soft_information(np.array([[1.0, 0.0], [0.0, 1.0]]))
    1.0
    """
    if not len(probabilities):
        return 0.0
    gained = entropy(probabilities.mean(axis=0)) - entropy(probabilities).mean()
    return max(0.0, float(gained))


def utilization_entropy(probabilities: Floats, of: Literal["argmax", "mean"] = "argmax") -> float:
    """Give in bits how evenly S subclasses are used; log₂ S if all are used alike.

    Args:
        probabilities: (N, S), rows summing to 1; 0 if N is 0.
        of: "argmax": the histogram of the likeliest subclasses; "mean": the mean prediction.

    Reference:
        Müller, Kornblith & Hinton 2020: 1.87 bits without and 3.19 bits with the auxiliary loss, of
        log₂ 10 = 3.32 (argmax).

    >>> utilization_entropy(np.array([[0.5, 0.3, 0.2], [0.25, 0.75, 0.0]]))
    1.0
    """
    if not len(probabilities):
        return 0.0
    if of == "mean":
        return float(entropy(probabilities.mean(axis=0)))
    used = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    return float(entropy(used / used.sum()))


def score_information(
    subclasses: Ints, probabilities: Floats, class_of: Ints
) -> dict[str, float | None]:
    """Measure how many bits the teacher passes on about the subclass, given the class.

    All but `subclass_accuracy` are within the true class: probabilities are restricted to its
    subclasses and normalized anew, and classes are weighted by their share p(c) of the frames.

    Args:
        subclasses: (N,) true subclass of each training frame, in [0, S).
        probabilities: (N, S) of the teacher.
        class_of: (S,) class of each subclass.

    Returns:
        label_bits: Mueller's capacity C_s(P) with P the accuracy within the class; where classes
            have different numbers of subclasses, Σ_c p(c) C_{s_c}(P_c);
        mutual_information: I(S; Ŝ | C) of the confusions;
        soft_information: Σ_c p(c) (H(E[P]) - E[H(P)]);
        subclass_accuracy: share of frames whose likeliest of all S subclasses is the true one;
        subclass_accuracy_within_class: the same among the subclasses of the true class;
        conditional_entropy: H(S | C), what there is to pass on.
        None, all of them, without frames.

    >>> score_information(np.array([0, 1]), np.eye(2), np.array([0, 0]))["label_bits"]
    1.0
    """
    classes = [np.flatnonzero(class_of == c) for c in np.unique(class_of)]
    confusions, soft = [], []
    for members in classes:
        rows = np.isin(subclasses, members)
        inside = log_probabilities(np.log(np.maximum(probabilities[rows][:, members], 1e-300)))
        place = np.searchsorted(members, subclasses[rows])
        confusions.append(confusion_matrix(place, inside.argmax(axis=1), len(members)))
        soft.append(soft_information(np.exp(inside)))
    totals = np.array([table.sum() for table in confusions], dtype=np.float64)
    right = np.array([np.trace(table) for table in confusions], dtype=np.float64)
    if not totals.sum():
        return dict.fromkeys(INFORMATION)
    share = totals / totals.sum()
    within = float(right.sum() / totals.sum())
    sizes = [len(members) for members in classes]
    if len(set(sizes)) == 1:
        bits = channel_capacity(within, sizes[0])
    else:
        each = divide(right, totals)
        bits = sum(
            float(p) * channel_capacity(float(accuracy), s)
            for p, accuracy, s in zip(share, each, sizes, strict=True)
            if p
        )
    priors = [table.sum(axis=1) / max(1, table.sum()) for table in confusions]
    numbers = (
        bits,
        conditional_mutual_information(confusions),
        share @ soft,
        (probabilities.argmax(axis=1) == subclasses).mean(),
        within,
        share @ [float(entropy(prior)) for prior in priors],
    )
    return dict(zip(INFORMATION, map(number, numbers), strict=True))


def score_invention(
    subclasses: Ints, classes: Ints, probabilities: Floats, class_of: Ints
) -> dict[str, float | None]:
    """Measure what subclasses that a network invented are used for, and what they tell.

    Args:
        subclasses: (N,) subclass of each training frame by the labels, in [0, S).
        classes: (N,) class of each.
        probabilities: (N, S') over the invented subclasses.
        class_of: (S',) class of each invented subclass.

    Returns:
        utilization_entropy: of the likeliest invented subclass, in bits; log₂ S' at most;
        mutual_information: I(S; Ŝ | C) of the labels' subclass and the likeliest invented one of
            the true class;
        soft_information: Σ_c p(c) (H(E[P]) - E[H(P)]) within the true class.
        None, all of them, without frames.

    Reference:
        Müller, Kornblith & Hinton 2020: utilization, with and without the auxiliary loss.

    >>> p = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> found = score_invention(np.array([0, 1]), np.array([0, 0]), p, np.array([0, 0]))
    >>> found["utilization_entropy"], found["mutual_information"]
    (1.0, 1.0)
    """
    names = ("utilization_entropy", "mutual_information", "soft_information")
    if not len(classes):
        return dict.fromkeys(names)
    tables, soft, share = [], [], []
    for c in np.unique(classes):
        rows, members = classes == c, np.flatnonzero(class_of == c)
        inside = log_probabilities(np.log(np.maximum(probabilities[rows][:, members], 1e-300)))
        width = max(int(subclasses.max()) + 1, len(members))
        tables.append(confusion_matrix(subclasses[rows], inside.argmax(axis=1), width))
        soft.append(soft_information(np.exp(inside)))
        share.append(float(np.mean(rows)))
    numbers = (
        utilization_entropy(probabilities),
        conditional_mutual_information(tables),
        float(np.dot(share, soft)),
    )
    return dict(zip(names, map(number, numbers), strict=True))
