"""Pseudo-subclasses from the teacher's last layer, for a teacher that knows classes only.

A reconstruction from secondary sources; the paper's own code and text were not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import ConfigError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FLAT = 1e-10  # a direction whose spread is below this share of the features' is empty


@dataclass(frozen=True)
class PseudoSubclasses:
    """How features of the teacher's last layer divide each of K classes in S parts.

    Args:
        mu: (K, D) mean feature of each class.
        V: (K, D, S) its principal directions, within the null space of the head's weights.
        R: (K, S, S) a random rotation of each class.
        std: (K, S) spread of the class's own frames along each rotated direction.
        sharpness: β of the softmax; the smaller, the sharper.
    """

    mu: Floats
    V: Floats
    R: Floats
    std: Floats
    sharpness: float

    def split(self, features: Floats) -> Floats:
        """Divide every class's mass among its parts: log softmax_s(g / β).

        Every frame is divided by every class's directions, not only by its own class's, so that
        the masses of all parts of all classes sum to 1.

        Args:
            features: (N, D) input of the teacher's head.

        Returns:
            (N, K, S) log-probabilities; logsumexp over S is 0.
        """
        features = np.asarray(features, dtype=np.float64)
        parts = []
        for mu, directions, rotation, std in zip(self.mu, self.V, self.R, self.std, strict=True):
            g = (features - mu) @ directions @ rotation.T / std / self.sharpness
            g -= g.max(axis=1, keepdims=True)
            parts.append(g - np.log(np.exp(g).sum(axis=1, keepdims=True)))
        return np.stack(parts, axis=1)


def embed_subclasses(
    features: Floats,
    weight: Floats,
    classes: Ints,
    *,
    subclasses: int,
    sharpness: float,
    seed: int,
) -> PseudoSubclasses:
    """Find the directions in which the frames of a class differ, unseen by the teacher's head.

    u = (I - W⁺ W)(h - μ_c); V_c the S first principal directions of u in class c; R a random
    rotation that spreads the variances; g = R V_cᵀ u over its standard deviation in class c. The
    log-probability of part s is log softmax_s(g / β).

    Args:
        features: (N, D) input h of the teacher's head for the training frames.
        weight: (K, D) weights W of the head; its bias does not matter.
        classes: (N,) class index of each frame, in [0, K).
        subclasses: S parts a class, at least 2.
        sharpness: β > 0; the smaller, the sharper.
        seed: of the rotations.

    Raises:
        ConfigError: a class has fewer than S + 1 frames, or its features vary in fewer than S
            directions.
        ValueError: an argument is out of range.

    Reference:
        Loo et al. 2024, Linear Projections of Teacher Embeddings for Few-Class Distillation (a
        reconstruction).

    >>> rng = np.random.default_rng(0)
    >>> h, y = rng.normal(size=(40, 6)), np.repeat([0, 1], 20)
    >>> found = embed_subclasses(h, np.eye(2, 6), y, subclasses=3, sharpness=1.0, seed=0)
    >>> found.split(h).shape
    (40, 2, 3)
    """
    if subclasses < 2 or not sharpness > 0:
        raise ValueError(f"subclasses is {subclasses}, sharpness {sharpness}; need >= 2 and > 0")
    features = np.asarray(features, dtype=np.float64)
    weight = np.asarray(weight, dtype=np.float64)
    unseen = np.eye(weight.shape[1]) - np.linalg.pinv(weight) @ weight
    rng = np.random.default_rng(seed)
    found = []
    for index in range(len(weight)):
        own = features[classes == index]
        if len(own) <= subclasses:
            raise ConfigError(
                f"student.method: lelp cannot divide class {index} of {len(own)} training frames "
                f"in {subclasses}; set student.method.invented to less than {max(len(own), 1)}"
            )
        mu = own.mean(axis=0)
        directions = _principal_directions((own - mu) @ unseen, own - mu, subclasses, index)
        rotation = _draw_rotation(subclasses, rng)
        spread = ((own - mu) @ directions @ rotation.T).std(axis=0)
        found.append((mu, directions, rotation, spread))
    mu, directions, rotation, spread = (np.stack(parts) for parts in zip(*found, strict=True))
    return PseudoSubclasses(mu, directions, rotation, spread, sharpness)


def _principal_directions(unseen: Floats, centered: Floats, count: int, index: int) -> Floats:
    """Give the (D, S) directions of greatest variance, each signed by its largest entry."""
    values, vectors = np.linalg.eigh(unseen.T @ unseen)
    largest = float((centered**2).sum())
    rank = int((values > FLAT * largest).sum())
    if rank < count:
        raise ConfigError(
            f"student.method: lelp finds {rank} directions that the teacher's head does not see in "
            f"class {index}, {count} are asked for; lower student.method.invented, or give the "
            "teacher a wider network"
        )
    top = vectors[:, ::-1][:, :count]
    sign = np.sign(top[np.abs(top).argmax(axis=0), np.arange(count)])
    return np.asarray(top * sign)


def _draw_rotation(size: int, rng: np.random.Generator) -> Floats:
    """Draw a rotation uniformly: QR of a Gaussian matrix, signs fixed, determinant 1."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return np.asarray(q)


def pseudo_subclass_log_probabilities(class_log_p: Floats, split: Floats) -> Floats:
    """Divide the teacher's class probabilities among the parts: P = p_c(T) · softmax_s.

    Soften the class probabilities before; the parts have β. The student then learns the result as
    it is, at temperature 1, with no hard term.

    Args:
        class_log_p: (N, K) log-probabilities of the teacher's classes.
        split: (N, K, S) as from `PseudoSubclasses.split`.

    Returns:
        (N, K · S) log-probabilities, the parts of a class side by side; logsumexp of a row is 0.

    >>> parts = np.log([[[0.5, 0.5], [0.25, 0.75]]])
    >>> p = np.exp(pseudo_subclass_log_probabilities(np.log([[0.2, 0.8]]), parts))
    >>> p.round(2).tolist()
    [[0.1, 0.1, 0.2, 0.6]]
    """
    joint = class_log_p[:, :, None] + split
    return np.asarray(joint.reshape(len(joint), -1))
