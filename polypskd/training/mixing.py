"""Mixup: a frame and its label, blended with another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """How a batch is blended.

    Args:
        share: of each example itself, in [0.5, 1].
        partner: (B,) position in the batch of the example that it is blended with.
    """

    share: float
    partner: Tensor


def draw_mix(strength: float, size: int, seed: list[int]) -> Mix | None:
    """Draw a batch's mix; None where mixup is off.

    The loss of a blend is the same blend of the two losses, so any loss may be mixed.

    Args:
        strength: a of Beta(a, a); 0 is off.
        size: B.
        seed: of this batch alone.

    Reference:
        Zhang et al. 2018, mixup, eq. 1; the larger share is the example's own.

    >>> draw_mix(0.0, 4, [1]) is None
    True
    """
    if not strength:
        return None
    generator = np.random.default_rng([*seed, 2])
    share = float(generator.beta(strength, strength))
    return Mix(max(share, 1 - share), torch.from_numpy(generator.permutation(size)))
