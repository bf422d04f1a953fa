"""The student as an ONNX graph: bytes of a frame in, calibrated probabilities out."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from polypskd.cohort.preparation import MEAN, STD
from polypskd.deployment.bundle import MODEL
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import Stored

OPSET = 17  # known to every onnxruntime since 1.12 and to OpenVINO
INPUT = "frames"
OUTPUTS = ("class_probabilities", "subclass_probabilities", "confidence")


class Calibrated(nn.Module):
    """A student with what stands before and after it.

    The temperature divides class logits, the logsumexp of each class's subclass logits, as in the
    evaluation; a class then shares its probability among its subclasses as the network does.

    Args:
        stored: the student.
        temperature: fitted on validation.
    """

    def __init__(self, stored: Stored, temperature: float) -> None:
        super().__init__()
        self.network = stored.network
        self.temperature = temperature
        classes = range(len(stored.classes))
        self.members = [[s for s, of in enumerate(stored.class_of) if of == k] for k in classes]
        grouped = [s for own in self.members for s in own]
        self.order = [grouped.index(s) for s in range(len(grouped))]
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn (B, size, size, 3) bytes into (B, K), (B, S) probabilities and (B,) confidence."""
        totals, shares = self.split(frames)
        classes = totals.softmax(1)
        subclasses = torch.cat(
            [share.exp() * classes[:, k : k + 1] for k, share in enumerate(shares)], dim=1
        )
        return classes, subclasses[:, self.order], classes.amax(1)

    def split(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Turn (B, size, size, 3) bytes into what the probabilities are made of.

        Returns:
            (B, K) calibrated class logits, and K times (B, members) logarithms of the shares that
            the subclasses have in their class.
        """
        pixels = frames.permute(0, 3, 1, 2).float()
        logits = self.network((pixels - self.mean) / self.std)
        own = [logits[:, members] for members in self.members]
        shares = [of_class.log_softmax(1) for of_class in own]
        # z - log_softmax(z) is the logsumexp, in every place; OpenVINO misreads ReduceLogSumExp.
        totals = [z[:, :1] - share[:, :1] for z, share in zip(own, shares, strict=True)]
        return torch.cat(totals, 1) / self.temperature, shares


def build_graph(stored: Stored, temperature: float) -> bytes:
    """Build the graph; one student gives the same bytes every time.

    Args:
        stored: the student.
        temperature: fitted on validation.

    Raises:
        ArtifactError: the graph is not valid ONNX.
    """
    return write_graph(Calibrated(stored, temperature), stored.size, OUTPUTS, MODEL)


def write_graph(whole: nn.Module, size: int, outputs: Sequence[str], name: str) -> bytes:
    """Write a network as ONNX; one network gives the same bytes every time.

    Args:
        whole: (B, size, size, 3) uint8 to one tensor for each output.
        size: side of the frames in pixels.
        outputs: their names; the first axis of each is that of the frames.
        name: of the file, for messages.

    Raises:
        ArtifactError: the graph is not valid ONNX.
    """
    import onnx

    sample = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / MODEL
        # The exporter by tracing: the newer one needs two packages more, takes ten times as long,
        # and writes the paths of source files into the graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole.eval(),
            (sample,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_axes={one: {0: "batch"} for one in (INPUT, *outputs)},
        )
        model = onnx.load(path)
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        raise ArtifactError(
            f"{name}: torch wrote a graph that ONNX does not accept; this is our fault"
        ) from None
    data: bytes = model.SerializeToString(deterministic=True)
    return data
