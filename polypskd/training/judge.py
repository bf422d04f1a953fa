"""The judge of each epoch: loss and macro-F1 on the validation split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from polypskd.metrics.classification import confusion_matrix, macro_f1, predict_classes
from polypskd.models.predict import predict_logits
from polypskd.training.losses import class_logits


def build_judge(
    pixels: NDArray[np.uint8],
    classes: NDArray[np.int64],
    class_of: NDArray[np.int64],
    device: torch.device,
    *,
    bf16: bool,
) -> Callable[[nn.Module], tuple[float, float]]:
    """Build a function network → (class cross entropy, macro-F1).

    Args:
        pixels: (N, H, W, 3) validation frames, not augmented.
        classes: (N,) class indices.
        class_of: (S,) class index of each output.
        device: where the network is.
        bf16: whether to run under bfloat16 autocast, as in training.
    """
    mapping = torch.from_numpy(class_of)
    labels = torch.from_numpy(classes)
    count = int(class_of.max()) + 1

    def judge(network: nn.Module) -> tuple[float, float]:
        outputs = torch.from_numpy(predict_logits(network, pixels, device=device, bf16=bf16))
        logits = class_logits(outputs, mapping)
        loss = nn.functional.cross_entropy(logits, labels).item()
        confusion = confusion_matrix(classes, predict_classes(logits.numpy()), count)
        return loss, float(macro_f1(confusion))

    return judge
