"""Several networks as one: the mean of their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Networks of equal outputs; gives the logarithm of their mean probabilities.

    Args:
        members: each (B, 3, H, W) → (B, S) logits.

    Reference:
        Lakshminarayanan, Pritzel & Blundell 2017, Deep ensembles, section 2.4.

    >>> pair = Ensemble([nn.Identity(), nn.Identity()])
    >>> z = torch.tensor([[0.0, 1.0]])
    >>> torch.allclose(pair(z).softmax(1), z.softmax(1))
    True
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, frames: Tensor) -> Tensor:
        """Give log mean probabilities, (B, S)."""
        each = torch.stack([member(frames).float().log_softmax(1) for member in self.members])
        return each.logsumexp(0) - math.log(len(self.members))
