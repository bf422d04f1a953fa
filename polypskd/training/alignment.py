"""Invented subclasses of several networks, brought into one order.

Each network numbers the subclasses that it invents as it likes: averaged as they stand, what one
tells apart another would blur.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from polypskd.models.networks import last_layer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def match_outputs(first: Floats, other: Floats, class_of: Ints) -> Ints:
    """Find the order of a network's outputs that agrees most with another's, within each class.

    Args:
        first: (N, S) probabilities of the network whose order is kept.
        other: (N, S) of the one to be ordered.
        class_of: (S,) class of each output; no output leaves its class.

    Returns:
        (S,) index into `other`'s outputs: `other[:, order]` goes with `first`.

    Reference:
        Kuhn 1955, the Hungarian method, on the mean product of the probabilities.

    >>> p = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    >>> match_outputs(p, p[:, [1, 0, 2]], np.array([0, 0, 1])).tolist()
    [1, 0, 2]
    """
    from scipy.optimize import linear_sum_assignment

    order = np.arange(first.shape[1])
    for c in np.unique(class_of):
        own = np.flatnonzero(class_of == c)
        gain = first[:, own].T @ other[:, own] / len(first)
        _, taken = linear_sum_assignment(gain, maximize=True)
        order[own] = own[taken]
    return order


@torch.no_grad()
def reorder_outputs(network: nn.Module, order: Ints) -> None:
    """Put a network's outputs into another order, in its last layer."""
    head = last_layer(network)
    head.weight.copy_(head.weight[torch.from_numpy(order)].clone())
    if head.bias is not None:
        head.bias.copy_(head.bias[torch.from_numpy(order)].clone())
