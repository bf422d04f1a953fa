"""Averaged weights: an exponential moving average beside the network that is trained."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """The moving average of a network's weights.

    Args:
        network: whose weights are averaged, from now on.
        decay: in (0, 1); early steps forget faster, so that the start does not linger:
            min(decay, (1 + step) / (10 + step)).

    Reference:
        Polyak & Juditsky 1992; Tarvainen & Valpola 2017, section 3 (the mean teacher).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.steps = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards the network's present weights; counters are copied."""
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        given = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(given[name], 1 - decay)
            else:
                value.copy_(given[name])
