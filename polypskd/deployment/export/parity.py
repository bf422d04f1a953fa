"""Parity: onnxruntime's answers beside PyTorch's on the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polypskd.deployment.export.graph import INPUT, OUTPUTS
from polypskd.errors import ArtifactError
from polypskd.metrics.calibration import log_probabilities
from polypskd.models.checkpoint import Stored
from polypskd.models.predict import Frames, predict_logits

TOLERANCE = 1e-4
MAP_TOLERANCE = 1e-3  # of an evidence map's strongest place
BATCH = 32
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a network says of N frames.

    Args:
        classes: (N, K) probabilities.
        subclasses: (N, S) probabilities.
        confidence: (N,) the largest probability of a class.
    """

    classes: Floats
    subclasses: Floats
    confidence: Floats


@dataclass(frozen=True)
class Parity:
    """The largest differences between two networks' answers.

    Args:
        frames: how many were compared.
        origin: what they are, in words.
        classes: largest difference of a class probability.
        subclasses: of a subclass probability.
        confidence: of the confidence.
        evidence: of the evidence map, at its strongest place 1; None where there is no map.
    """

    frames: int
    origin: str
    classes: float
    subclasses: float
    confidence: float
    evidence: float | None = None

    @property
    def largest(self) -> float:
        """The largest difference of a probability."""
        return max(self.classes, self.subclasses, self.confidence)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        told: dict[str, Any] = {
            "frames": self.frames,
            "origin": self.origin,
            "max_difference": {
                "class_probabilities": self.classes,
                "subclass_probabilities": self.subclasses,
                "confidence": self.confidence,
            },
            "tolerance": TOLERANCE,
        }
        if self.evidence is not None:
            told["evidence_map"] = {
                "max_difference": self.evidence,
                "tolerance": MAP_TOLERANCE,
            }
        return told


def answer_with_torch(stored: Stored, temperature: float, frames: Frames) -> Answers:
    """Answer as the evaluation does: PyTorch for the logits, float64 for what follows.

    Args:
        stored: the student.
        temperature: fitted on validation.
        frames: (N, size, size, 3) uint8.
    """
    found = predict_logits(
        stored.network, frames, device=torch.device("cpu"), batch_size=BATCH
    ).astype(np.float64)
    class_of = np.array(stored.class_of)
    members = [class_of == k for k in range(len(stored.classes))]
    of_class = np.stack([np.logaddexp.reduce(found[:, own], axis=1) for own in members], axis=1)
    classes = np.exp(log_probabilities(of_class / temperature))
    subclasses = np.exp(found - of_class[:, class_of]) * classes[:, class_of]
    return Answers(classes, subclasses, classes.max(axis=1))


def answer_with_onnx(model: bytes, frames: Frames) -> Answers:
    """Answer with onnxruntime on one thread.

    Args:
        model: the graph.
        frames: (N, size, size, 3) uint8; the last one goes alone, as a batch of its own.
    """
    session = open_session(model)
    edges = [*range(0, len(frames) - 1, BATCH), max(len(frames) - 1, 0), len(frames)]
    parts: list[Sequence[Any]] = [
        session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(frames[start:stop])})
        for start, stop in pairwise(edges)
        if stop > start
    ]
    return Answers(*(np.concatenate(one).astype(np.float64) for one in zip(*parts, strict=True)))


def open_session(model: bytes) -> Any:
    """Open a graph in onnxruntime, on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare_answers(expected: Answers, found: Answers, origin: str) -> Parity:
    """Measure how far two networks' answers are apart; NaN is infinitely far."""

    def apart(a: Floats, b: Floats) -> float:
        if a.shape != b.shape:
            return float("inf")
        return float(np.nan_to_num(np.abs(a - b), nan=np.inf).max(initial=0.0))

    return Parity(
        frames=len(expected.classes),
        origin=origin,
        classes=apart(expected.classes, found.classes),
        subclasses=apart(expected.subclasses, found.subclasses),
        confidence=apart(expected.confidence, found.confidence),
    )


def check_parity(parity: Parity) -> None:
    """Refuse a graph that does not answer as the network does.

    Raises:
        ArtifactError: no frame was compared, or a probability is too far off.
    """
    if not parity.frames:
        raise ArtifactError("student.onnx: no frame to compare with PyTorch; give --parity-frames")
    if not parity.largest <= TOLERANCE:
        raise ArtifactError(
            f"student.onnx: differs from PyTorch by {parity.largest:.2g} in probability on "
            f"{parity.frames} frames, more than {TOLERANCE:g}; nothing was exported; try other "
            "versions of torch and onnxruntime"
        )
