"""The student, asked again: about other pixels than those that it was judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from polypskd.metrics.classification import predict_classes
from polypskd.models.checkpoint import read_network
from polypskd.models.predict import Frames, choose_device, predict_logits
from polypskd.runs import STUDENT
from polypskd.training.losses import class_logits

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Student:
    """A run's student, ready to answer.

    Args:
        network: in evaluation mode, on the device.
        class_of: (S,) class of each output.
        size: side of its input in pixels.
        device: where it is.
    """

    network: nn.Module
    class_of: torch.Tensor
    size: int
    device: torch.device

    @classmethod
    def read(cls, folder: Path, device: str) -> Student:
        """Read the student of a run folder; the device is named as in a config."""
        stored = read_network(folder / STUDENT[0], "distill")
        place = choose_device(device)
        return cls(stored.network.to(place), torch.tensor(stored.class_of), stored.size, place)

    def predict(
        self, frames: Frames, progress: Progress = lambda done, total: None
    ) -> NDArray[np.int64]:
        """Predict the class of each frame, (N,), as the evaluation did."""
        logits = predict_logits(self.network, frames, device=self.device, progress=progress)
        merged = class_logits(torch.from_numpy(logits).double(), self.class_of)
        return predict_classes(merged.numpy())
