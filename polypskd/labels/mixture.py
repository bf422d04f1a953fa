"""A mixture of multinomials: frames whose votes are drawn from one of a few distributions.

Reference:
    Dempster, Laird & Rubin 1977, Journal of the Royal Statistical Society B 39:1 (EM).
    McLachlan & Peel 2000, Finite Mixture Models, Wiley (several starts; choice of the number).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STARTS = 6
ITERATIONS = 200
TOLERANCE = 1e-7  # nats a frame; a smaller gain ends a start
SMOOTHING = 1.0  # pseudo-votes for each fine vote in each cluster, and pseudo-frames of each


@dataclass(frozen=True)
class VoteMixture:
    """C clusters of vote distributions over F fine votes.

    Args:
        share: (C,) of the frames.
        chance: (C, F) of each fine vote; rows sum to 1.
        log_likelihood: nats, of the frames fitted, without the multinomial coefficients.
    """

    share: Floats
    chance: Floats
    log_likelihood: float


def fit_vote_mixture(counts: Ints, clusters: int, *, seed: int) -> VoteMixture:
    """Fit a mixture of multinomials to votes, by EM from several starts.

    Shares and chances are smoothed by one pseudo-count a cell (Laplace), so none is 0. The first
    start sorts the frames by the share of their largest vote; the others start at frames drawn
    at random. The start of highest likelihood wins. A frame of many votes says more than one of
    few.

    Args:
        counts: (N, F) votes of each frame; N >= 1.
        clusters: C >= 1.
        seed: of the starts.

    Returns:
        The mixture; clusters in no order of meaning.

    >>> counts = np.array([[9, 0]] * 5 + [[5, 4]] * 5)
    >>> fit_vote_mixture(counts, 2, seed=0).chance.round(2)
    array([[0.98, 0.02],
           [0.56, 0.44]])
    """
    rows, size = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.default_rng([seed, clusters])
    starts = [_start_sorted(rows, size, clusters)]
    if clusters > 1:
        starts += [_start_at_frames(rows, size, clusters, rng) for _ in range(STARTS - 1)]
    fits = [_climb(rows, size, posterior) for posterior in starts]
    return max(fits, key=lambda fit: round(fit.log_likelihood, 6))


def score_clusters(mixture: VoteMixture, counts: Ints) -> Floats:
    """Give log(share × probability of the votes), without the multinomial coefficient.

    Args:
        mixture: C clusters.
        counts: (N, F) votes.

    Returns:
        (N, C) nats; the highest of a row is the cluster of maximum posterior.

    >>> even = VoteMixture(np.array([1.0]), np.array([[0.5, 0.5]]), 0.0)
    >>> score_clusters(even, np.array([[1, 1]])).round(3)
    array([[-1.386]])
    """
    return np.asarray(counts @ np.log(mixture.chance).T + np.log(mixture.share))


def log_sum(scores: Floats) -> Floats:
    """Give log(sum(exp(scores))) of each row.

    Args:
        scores: (N, C) nats.

    >>> log_sum(np.log([[0.25, 0.5]])).round(3)
    array([-0.288])
    """
    top = scores.max(axis=1)
    return np.asarray(top + np.log(np.exp(scores - top[:, None]).sum(axis=1)))


def measure_bic(mixture: VoteMixture, frames: int) -> float:
    """Give the Bayesian information criterion; lower is better.

    BIC = -2 log L + p log N with p = (C - 1) + C (F - 1) free parameters.

    Args:
        mixture: fitted.
        frames: N it was fitted to.

    Reference:
        Schwarz 1978, Annals of Statistics 6:461.

    >>> measure_bic(VoteMixture(np.array([1.0]), np.array([[0.5, 0.5]]), -10.0), 1)
    20.0
    """
    clusters, width = mixture.chance.shape
    free = clusters - 1 + clusters * (width - 1)
    return float(-2 * mixture.log_likelihood + free * np.log(frames))


def _start_sorted(rows: Ints, size: Ints, clusters: int) -> Floats:
    order = np.argsort(-rows.max(axis=1) / rows.sum(axis=1), kind="stable")
    before = np.cumsum(size[order]) - size[order]
    posterior = np.zeros((len(rows), clusters))
    posterior[order, before * clusters // size.sum()] = 1.0
    return posterior


def _start_at_frames(rows: Ints, size: Ints, clusters: int, rng: np.random.Generator) -> Floats:
    total = size @ rows
    chosen = rng.choice(len(rows), min(clusters, len(rows)), replace=False, p=size / size.sum())
    centers = np.resize(rows[chosen], (clusters, rows.shape[1]))
    own = centers / centers.sum(axis=1, keepdims=True)
    # Half of the overall distribution: a vote that the frame lacks must not be impossible.
    chance = (own + (total + SMOOTHING) / (total + SMOOTHING).sum()) / 2
    scores = rows @ np.log(chance).T
    return np.asarray(np.exp(scores - log_sum(scores)[:, None]))


def _climb(rows: Ints, size: Ints, posterior: Floats) -> VoteMixture:
    frames, clusters, width = int(size.sum()), posterior.shape[1], rows.shape[1]
    gained = -np.inf
    for _ in range(ITERATIONS):
        weight = size[:, None] * posterior
        share = (weight.sum(axis=0) + SMOOTHING) / (frames + clusters * SMOOTHING)
        votes = weight.T @ rows + SMOOTHING
        chance = votes / votes.sum(axis=1, keepdims=True)
        scores = rows @ np.log(chance).T + np.log(share)
        total = log_sum(scores)
        likelihood = float(size @ total)
        # With smoothing it is the penalized likelihood that climbs.
        climbed = likelihood + SMOOTHING * (np.log(chance).sum() + np.log(share).sum())
        posterior = np.exp(scores - total[:, None])
        if climbed - gained < TOLERANCE * frames:
            break
        gained = climbed
    return VoteMixture(share, chance.reshape(clusters, width), likelihood)
