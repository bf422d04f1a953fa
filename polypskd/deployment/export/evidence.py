"""The evidence map: which places of a frame speak for a class, as a graph of its own.

Where a network averages its last features over all places and one linear layer follows, the class
activation map is exact: the gradient of log p(class) at the averaged features, times the features
of each place; the positive part, divided by its maximum. It is a graph of its own because ONNX
Runtime computes outputs that were not asked for, and few predictions ask for a map.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polypskd.deployment.bundle import EVIDENCE
from polypskd.deployment.export.graph import INPUT, Calibrated, write_graph
from polypskd.deployment.export.parity import BATCH, MAP_TOLERANCE, open_session
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import Stored
from polypskd.models.networks import last_layer
from polypskd.models.predict import Frames

MAP = "evidence_map"
LEAST = 1e-6  # of a place in the odds; where no place reaches it, none speaks for the class
Maps = NDArray[np.float64]


class Evidence(nn.Module):
    """A student that tells the places which speak for each class.

    Args:
        calibrated: the student, with an average over all places before its last layer.
        places: (h, w) of these.
    """

    def __init__(self, calibrated: Calibrated, places: tuple[int, int]) -> None:
        super().__init__()
        self.calibrated, self.places = calibrated, places
        self.own: Tensor  # (K, S): whether a subclass is the class's
        count, outputs = len(calibrated.members), len(calibrated.order)
        own = torch.zeros(count, outputs)
        for k, members in enumerate(calibrated.members):
            own[k, members] = 1
        self.register_buffer("own", own)
        self.register_buffer("never", -1e30 * torch.eye(count))
        self.never: Tensor

    def forward(self, frames: Tensor) -> Tensor:
        """Turn (B, size, size, 3) bytes into (B, K, h, w) in [0, 1]."""
        with _watch(self.calibrated.network) as seen:
            totals, parts = self.calibrated.split(frames)
        features = seen["places"].flatten(2)
        shares = torch.cat(parts, 1).exp()[:, self.calibrated.order].unsqueeze(1)
        # d log p / d logit, divided by 1 - p, which no map depends on: it stays exact where p is 1.
        others = (totals.unsqueeze(1) + self.never).softmax(2)
        slopes = shares * (self.own - others @ self.own)
        gradient = slopes @ last_layer(self.calibrated.network).weight
        strength = (gradient @ features).relu()
        scaled = strength / strength.amax(2, keepdim=True).clamp(min=LEAST)
        return cast(Tensor, nn.Unflatten(2, self.places)(scaled))


def build_evidence(stored: Stored, temperature: float) -> bytes | None:
    """Build the graph of the evidence map; None where the network has no exact one.

    Args:
        stored: the student.
        temperature: fitted on validation.

    Raises:
        ArtifactError: the graph is not valid ONNX.
    """
    places = find_places(stored)
    if places is None:
        return None
    whole = Evidence(Calibrated(stored, temperature), places)
    return write_graph(whole, stored.size, (MAP,), EVIDENCE)


def find_places(stored: Stored) -> tuple[int, int] | None:
    """Find the places (h, w) whose average gives the logits by one linear layer; or None."""
    probe = torch.rand(1, 3, stored.size, stored.size, generator=torch.Generator().manual_seed(0))
    network = stored.network.eval()
    with torch.inference_mode(), _watch(network) as seen:
        logits = network(probe)
    if "places" not in seen or "pooled" not in seen:
        return None
    places, pooled = seen["places"], seen["pooled"]
    if pooled.ndim != 2 or places.ndim != 4 or places.shape[1] != pooled.shape[1]:
        return None
    again = last_layer(network)(places.mean((2, 3)))
    if not torch.allclose(again, logits, rtol=1e-4, atol=1e-5):
        return None
    return places.shape[2], places.shape[3]


def map_with_torch(stored: Stored, temperature: float, frames: Frames) -> Maps:
    """Give the maps by automatic differentiation, in float64 from the features on.

    Args:
        stored: the student, whose places `find_places` finds.
        temperature: fitted on validation.
        frames: (N, size, size, 3) uint8.

    Returns:
        (N, K, h, w) in [0, 1].
    """
    calibrated = Calibrated(stored, temperature).eval()
    head = last_layer(stored.network)
    weight, bias = head.weight.detach().double(), head.bias.detach().double()
    found = []
    for start in range(0, len(frames), BATCH):
        block = torch.from_numpy(np.ascontiguousarray(frames[start : start + BATCH]))
        with torch.no_grad(), _watch(stored.network) as seen:
            calibrated(block)
        places = seen["places"].double()
        pooled = places.mean((2, 3)).requires_grad_()
        logits = pooled @ weight.T + bias
        totals = [logits[:, own].logsumexp(1) / temperature for own in calibrated.members]
        for k, total in enumerate(totals):
            rest = torch.stack([one for other, one in enumerate(totals) if other != k]).logsumexp(0)
            # The logarithm of the odds has the direction of log p, and never stops to grow.
            (gradient,) = torch.autograd.grad((total - rest).sum(), pooled, retain_graph=True)
            strength = torch.einsum("bc,bchw->bhw", gradient, places).relu()
            found.append(strength / strength.amax((1, 2), keepdim=True).clamp(min=LEAST))
    count = len(calibrated.members)
    blocks = [
        torch.stack(found[turn : turn + count], 1).numpy() for turn in range(0, len(found), count)
    ]
    return np.concatenate(blocks)


def map_with_onnx(model: bytes, frames: Frames) -> Maps:
    """Give the maps by onnxruntime on one thread.

    Args:
        model: the graph.
        frames: (N, size, size, 3) uint8.
    """
    session = open_session(model)
    parts: list[Any] = [
        session.run([MAP], {INPUT: np.ascontiguousarray(frames[start : start + BATCH])})[0]
        for start in range(0, len(frames), BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)


def check_maps(expected: Maps, found: Maps) -> float:
    """Refuse a graph whose maps are not those of the network.

    Args:
        expected: (N, K, h, w) by PyTorch.
        found: by onnxruntime.

    Returns:
        The largest difference.

    Raises:
        ArtifactError: it is more than the tolerance, or NaN.
    """
    apart = float("inf")
    if expected.shape == found.shape:
        apart = float(np.nan_to_num(np.abs(expected - found), nan=np.inf).max(initial=0.0))
    if not apart <= MAP_TOLERANCE:
        raise ArtifactError(
            f"{EVIDENCE}: differs from PyTorch by {apart:.2g} of the strongest place, more than "
            f"{MAP_TOLERANCE:g}; nothing was exported; try other versions of torch and onnxruntime"
        )
    return apart


@contextmanager
def _watch(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """See what goes into the last average over places, and into the last layer."""
    seen: dict[str, Tensor] = {}

    def see_places(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen["places"] = given[0]

    def see_pooled(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen["pooled"] = given[0]

    hooks = [last_layer(network).register_forward_pre_hook(see_pooled)]
    for module in network.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            hooks.append(module.register_forward_pre_hook(see_places))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
