"""Quicker forms of the student, each kept only if it stays close on the validation split."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.export.graph import INPUT, OUTPUTS
from polypskd.deployment.export.parity import BATCH, open_session
from polypskd.errors import ArtifactError
from polypskd.metrics.calibration import ece
from polypskd.metrics.classification import confusion_matrix, macro_f1, predict_classes
from polypskd.models.predict import Frames

Run = Callable[[NDArray[np.uint8]], NDArray[np.float64]]  # frames to class probabilities
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Margins:
    """How far a smaller form may fall behind on validation.

    Args:
        macro_f1: it may be so much lower.
        ece: it may be so much higher.
    """

    macro_f1: float = 0.01
    ece: float = 0.01


@dataclass(frozen=True)
class Judgement:
    """What a form of the student costs on N validation frames.

    Args:
        frames: N.
        macro_f1: of student.onnx, and of the form.
        ece: likewise.
        margins: within which it is kept.
    """

    frames: int
    macro_f1: tuple[float, float]
    ece: tuple[float, float]
    margins: Margins

    @property
    def kept(self) -> bool:
        """Whether it stays within its margins; a number that is not known does not."""
        # A hair more, so that a margin of 0 keeps an equal network.
        lost = self.macro_f1[0] - self.macro_f1[1] <= self.margins.macro_f1 + 1e-12
        return lost and self.ece[1] - self.ece[0] <= self.margins.ece + 1e-12

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "kept": self.kept,
            "frames": self.frames,
            "split": "val",
            "macro_f1": {"float32": self.macro_f1[0], "here": self.macro_f1[1]},
            "ece": {"float32": self.ece[0], "here": self.ece[1]},
            "margins": {"macro_f1": self.margins.macro_f1, "ece": self.margins.ece},
        }

    def __str__(self) -> str:
        did = "kept" if self.kept else "refused, and not in the bundle"
        return (
            f"{did}: macro-F1 {self.macro_f1[0]:.4f} to {self.macro_f1[1]:.4f}, ECE "
            f"{self.ece[0]:.4f} to {self.ece[1]:.4f} on {self.frames} validation frames "
            f"(margins {self.margins.macro_f1:g} and {self.margins.ece:g})"
        )


def quantize(model: bytes, frames: Frames) -> bytes:
    """Quantize convolutions and linear layers to int8, their ranges taken from frames.

    Args:
        model: student.onnx.
        frames: (N, size, size, 3) uint8 for the ranges.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = _cut(frames)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    logging.getLogger().addFilter(_drop_advice)
    try:
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            there, here = Path(name) / "float32.onnx", Path(name) / "int8.onnx"
            there.write_bytes(model)
            quantization.quantize_static(
                str(there),
                str(here),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                # Seven bits of weight: with eight, sums overflow on CPUs without VNNI, and two
                # hospitals would get two answers.
                reduce_range=True,
            )
            quantized = onnx.load(str(here))
    finally:
        logging.getLogger().removeFilter(_drop_advice)
    data: bytes = quantized.SerializeToString(deterministic=True)
    return data


def run_with_onnx(model: bytes) -> Run:
    """Give the function that runs a graph in onnxruntime, on one thread."""
    session = open_session(model)

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = session.run([OUTPUTS[0]], {INPUT: frames})[0].astype(
            np.float64
        )
        return found

    return run


def find_obstacle() -> str:
    """Say why bfloat16 cannot be judged here; empty where it can."""
    try:
        import openvino
    except ImportError:
        return "needs OpenVINO; pip install 'polypskd[openvino]' brings it"
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "this CPU does not compute in bfloat16; export on one with AVX512-BF16 or AMX"
    return ""


def run_with_bf16(model: bytes) -> Run:
    """Give the function that runs a graph in OpenVINO with bfloat16, on one thread.

    Raises:
        ArtifactError: OpenVINO cannot read the graph.
    """
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1}
    try:
        compiled = core.compile_model(core.read_model(model, b""), "CPU", settings)
    except RuntimeError:
        raise ArtifactError(
            f"--bf16: OpenVINO {openvino.__version__} cannot read student.onnx; leave it out"
        ) from None

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = compiled([frames])[OUTPUTS[0]].astype(np.float64)
        return found

    return run


def judge_forms(
    forms: dict[str, Run],
    frames: Frames,
    labels: NDArray[np.int64],
    margins: Margins,
    *,
    bins: int,
    progress: Progress = lambda done, total: None,
) -> dict[str, Judgement]:
    """Judge forms of the student beside the first one, reading each frame once.

    Args:
        forms: name to function; the first is student.onnx.
        frames: (N, size, size, 3) uint8 of the validation split.
        labels: (N,) classes by the reference standard, in [0, K).
        margins: within which a form is kept.
        bins: of the calibration error.
        progress: called with (frames done, N).
    """
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in forms}
    done = 0
    for batch in _cut(frames):
        for name, run in forms.items():
            found[name].append(run(batch))
        done += len(batch)
        progress(done, len(frames))
    scores = {}
    for name, parts in found.items():
        p = np.concatenate(parts)
        confusion = confusion_matrix(labels, predict_classes(p), p.shape[1])
        scores[name] = float(macro_f1(confusion)), ece(p, labels, bins)
    first, *others = scores
    return {
        name: Judgement(
            frames=len(frames),
            macro_f1=(scores[first][0], scores[name][0]),
            ece=(scores[first][1], scores[name][1]),
            margins=margins,
        )
        for name in others
    }


def _cut(frames: Frames) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(frames), BATCH):
        yield np.ascontiguousarray(frames[start : start + BATCH])


def _drop_advice(record: logging.LogRecord) -> bool:
    """Drop the library's advice to pre-process a graph that has no symbolic shapes."""
    return "pre-processing before quantization" not in record.getMessage()
