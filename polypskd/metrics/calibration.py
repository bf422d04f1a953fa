"""Calibration: whether a probability of 0.8 is right eight times in ten.

The errors in bins are sums over frames of gaps (confidence minus correctness), bin by bin, so a
bootstrap needs the gaps once and a weighted sum for each resample. Each is the naive estimate,
which is biased upwards in small samples; compare networks on the same frames only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.classification import divide, predict_classes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOG_T = (np.log(0.05), np.log(20.0))  # a temperature at a bound says that none fits
STEPS = 60  # of the bisection; the bracket shrinks below the precision of a float


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability curve; nan where no frame falls into it.

    Args:
        low: lower edge, not included (but 0 is).
        high: upper edge, included.
        confidence: mean top-label probability.
        accuracy: share of correct predictions.
        count: frames.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def log_probabilities(logits: Floats) -> Floats:
    """Normalize logits, (N, K), to log probabilities.

    >>> np.exp(log_probabilities(np.zeros((1, 4)))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


# --- errors in bins -------------------------------------------------------------------------------


def equal_width_bins(confidence: Floats, bins: int) -> Ints:
    """Give the bin of each value: (0, 1/B], (1/B, 2/B]...; 0 goes to the first.

    Args:
        confidence: (N,) in [0, 1].
        bins: B.

    >>> equal_width_bins(np.array([0.0, 0.5, 0.51, 1.0]), 2).tolist()
    [0, 0, 1, 1]
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def equal_mass_bins(confidence: Floats, bins: int) -> Ints:
    """Give the bin of each value, edges at the quantiles; equal values share a bin.

    Args:
        confidence: (N,).
        bins: B.

    >>> equal_mass_bins(np.array([0.9, 0.6, 0.7, 0.8]), 2).tolist()
    [1, 0, 0, 1]
    """
    if not len(confidence):
        return np.zeros(0, dtype=np.int64)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def top_label(probabilities: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Give the probability of the predicted class, and whether it is right (0 or 1), (N,) each.

    >>> top_label(np.array([[0.25, 0.75]]), np.array([0]))
    (array([0.75]), array([0.]))
    """
    predicted = predict_classes(probabilities)
    correct = (predicted == labels).astype(np.float64)
    return probabilities[np.arange(len(labels)), predicted], correct


def gaps(confidence: Floats, correct: Floats, index: Ints, bins: int) -> Floats:
    """Spread confidence minus correctness over bins.

    Args:
        confidence: (N,).
        correct: (N,) 0 or 1.
        index: (N,) bin of each frame, in [0, B).
        bins: B.

    Returns:
        (N, B); the calibration error of any weighting w of frames is `|w @ gaps|.sum() / w.sum()`.

    >>> gaps(np.array([0.75]), np.array([1.0]), np.array([1]), 2).tolist()
    [[0.0, -0.25]]
    """
    table = np.zeros((len(confidence), bins))
    table[np.arange(len(confidence)), index] = confidence - correct
    return table


def top_gaps(probabilities: Floats, labels: Ints, bins: int) -> Floats:
    """Give the gaps of the top label in equal-width bins, (N, B)."""
    confidence, correct = top_label(probabilities, labels)
    return gaps(confidence, correct, equal_width_bins(confidence, bins), bins)


def mass_gaps(probabilities: Floats, labels: Ints, bins: int) -> Floats:
    """Give the gaps of the top label in equal-mass bins, (N, B)."""
    confidence, correct = top_label(probabilities, labels)
    return gaps(confidence, correct, equal_mass_bins(confidence, bins), bins)


def class_gaps(probabilities: Floats, labels: Ints, bins: int) -> Floats:
    """Give the gaps of every class in equal-width bins, (N, K, B)."""
    columns = [
        gaps(p, (labels == k).astype(np.float64), equal_width_bins(p, bins), bins)
        for k, p in enumerate(probabilities.T)
    ]
    return np.stack(columns, axis=1)


def calibration_error(sums: Floats, total: Floats) -> Floats:
    """Sum the absolute gaps of the bins.

    Args:
        sums: (..., B) weighted sums of gaps.
        total: (...) sum of the weights.

    >>> float(calibration_error(np.array([0.5, -0.5]), np.array(10.0)))
    0.1
    """
    return divide(np.abs(sums).sum(axis=-1), total)


def ece(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Give the expected calibration error of the top label, equal-width bins.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).
        bins: B.

    Reference:
        Guo et al. 2017, eq. 3: Σ_b n_b/N |accuracy_b - confidence_b|.

    >>> ece(np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([1, 0]))
    0.25
    """
    sums = top_gaps(probabilities, labels, bins).sum(axis=0)
    return float(calibration_error(sums, np.array(float(len(labels)))))


def ece_equal_mass(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Give the calibration error of the top label, bins of (nearly) equal numbers of frames.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).
        bins: B.

    Reference:
        Nixon et al. 2019, adaptive calibration error, here of the top label.

    >>> ece_equal_mass(np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([1, 0]))
    0.25
    """
    sums = mass_gaps(probabilities, labels, bins).sum(axis=0)
    return float(calibration_error(sums, np.array(float(len(labels)))))


def ece_classwise(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Give the mean over classes of the calibration error of that class's probability.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).
        bins: B.

    Reference:
        Kull et al. 2019, class-wise ECE; Nixon et al. 2019, static calibration error.

    >>> ece_classwise(np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([1, 0]))
    0.25
    """
    sums = class_gaps(probabilities, labels, bins).sum(axis=0)
    return float(calibration_error(sums, np.array(float(len(labels)))).mean())


def reliability_curve(
    probabilities: Floats, labels: Ints, bins: int = 15
) -> tuple[ReliabilityBin, ...]:
    """Compare mean confidence with accuracy, bin by bin.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).
        bins: B, of equal width.

    >>> reliability_curve(np.array([[0.25, 0.75]]), np.array([1]), bins=2)[1]
    ReliabilityBin(low=0.5, high=1.0, confidence=0.75, accuracy=1.0, count=1)
    """
    confidence, correct = top_label(probabilities, labels)
    index = equal_width_bins(confidence, bins)
    count = np.bincount(index, minlength=bins).astype(np.float64)
    mean, right = (
        divide(np.bincount(index, weights=part, minlength=bins).astype(np.float64), count)
        for part in (confidence, correct)
    )
    edges = np.linspace(0, 1, bins + 1)
    return tuple(
        ReliabilityBin(
            float(edges[b]), float(edges[b + 1]), float(mean[b]), float(right[b]), int(count[b])
        )
        for b in range(bins)
    )


# --- proper scores --------------------------------------------------------------------------------


def brier(probabilities: Floats, labels: Ints) -> Floats:
    """Give each frame's squared error summed over classes, in [0, 2]; the score is the mean.

    For K = 2 it is twice the binary form.

    Args:
        probabilities: (N, K).
        labels: (N,) in [0, K).

    Reference:
        Brier 1950: Σ_k (p_k - [y = k])².

    >>> brier(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])).tolist()
    [0.5, 0.0]
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def nll(logits: Floats, labels: Ints) -> Floats:
    """Give each frame's negative log likelihood in nats; the score is the mean.

    Args:
        logits: (N, K).
        labels: (N,) in [0, K).

    >>> nll(np.zeros((1, 2)), np.array([0])).round(4).tolist()
    [0.6931]
    """
    return np.asarray(-log_probabilities(logits)[np.arange(len(labels)), labels])


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Find the T for which softmax(logits / T) has the least NLL; use validation frames only.

    The NLL is convex in 1/T, so its slope changes sign once; the sign is bisected on log T within
    [0.05, 20]. Where every T is as good (all logits of a frame equal, or no frames), T is 1.

    Args:
        logits: (N, K) class logits.
        labels: (N,) in [0, K).

    Reference:
        Guo et al. 2017, section 4.2. d NLL / d(1/T) = mean(Σ_k p_k z_k - z_y).

    >>> round(fit_temperature(np.array([[0.0, 4.0]] * 4), np.array([1, 1, 1, 0])), 3)
    3.641
    """
    centered = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
    chosen = centered[np.arange(len(labels)), labels]
    if not np.any(centered):
        return 1.0

    def slope(log_t: float) -> float:
        p = np.exp(log_probabilities(centered * np.exp(-log_t)))
        return float(((p * centered).sum(axis=1) - chosen).mean())

    low, high = LOG_T
    for _ in range(STEPS):
        middle = (low + high) / 2
        if slope(middle) > 0:  # 1/T too large
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
