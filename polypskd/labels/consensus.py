"""Consensus: the class that most annotators voted for; ties go to the class of higher risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Consensus:
    """The votes of N frames, condensed.

    Args:
        consensus: (N,) class index.
        agreement: (N,) share of the votes that went to the consensus, in (0, 1].
        distribution: (N, K) shares of the votes; rows sum to 1.
        tied: (N,) whether another class had as many votes.
    """

    consensus: Ints
    agreement: Floats
    distribution: Floats
    tied: NDArray[np.bool_]


def derive_consensus(counts: Ints) -> Consensus:
    """Give every frame the class with most votes.

    A tie goes to the class of higher risk, never to a coin: the same votes give the same label.

    Args:
        counts: (N, K) votes for each class, K ordered from the lowest to the highest risk.

    Raises:
        ValueError: a frame has no votes, or a count is negative.

    >>> derive_consensus(np.array([[3, 1], [2, 2]])).consensus
    array([0, 1])
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or (counts < 0).any():
        raise ValueError("counts must be an (N, K) table of numbers of votes, none negative")
    totals = counts.sum(axis=1)
    if (totals == 0).any():
        first = int(np.flatnonzero(totals == 0)[0])
        raise ValueError(f"{int((totals == 0).sum())} frames have no votes; the first is {first}")
    last = counts.shape[1] - 1
    consensus = (last - counts[:, ::-1].argmax(axis=1)).astype(np.int64)
    most = counts.max(axis=1, initial=0)
    return Consensus(
        consensus=consensus,
        agreement=most / totals,
        distribution=counts / totals[:, None],
        tied=(counts == most[:, None]).sum(axis=1) > 1,
    )
