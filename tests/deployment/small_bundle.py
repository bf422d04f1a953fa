"""A bundle without training: its network looks at the mean color of a frame."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from polypskd.deployment.manifest import write_canonical

SIZE = 32
CLASSES = ("hyperplastic", "adenoma")
SUBCLASSES = ("hyperplastic easy", "hyperplastic hard", "adenoma easy", "adenoma hard")
SLOPES = np.array([[0.06, 0.01, 0.0, -0.05], [0.0, 0.02, -0.01, 0.0], [-0.06, 0, 0.02, 0.05]])


def build_network(size: int = SIZE, classes: int = 2) -> bytes:
    """Give an ONNX model: mean of each color → subclasses → classes."""
    belongs = np.repeat(np.eye(classes, dtype=np.float32), 2, axis=0)
    slopes = np.resize(SLOPES, (3, 2 * classes)).astype(np.float32)
    weights = [numpy_helper.from_array(slopes, "slopes")]
    weights += [numpy_helper.from_array(belongs, "belongs")]
    weights += [numpy_helper.from_array(np.array([1, 2], np.int64), "sides")]
    weights += [numpy_helper.from_array(np.array([1], np.int64), "last")]
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "sides"], ["colors"], keepdims=0),
        helper.make_node("MatMul", ["colors", "slopes"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["subclass_probabilities"], axis=1),
        helper.make_node("MatMul", ["subclass_probabilities", "belongs"], ["class_probabilities"]),
        helper.make_node("ReduceMax", ["class_probabilities", "last"], ["confidence"], keepdims=0),
    ]
    shapes: dict[str, list[Any]] = {
        "class_probabilities": ["B", classes],
        "subclass_probabilities": ["B", 2 * classes],
        "confidence": ["B"],
    }
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["B", size, size, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def build_evidence(size: int = SIZE) -> bytes:
    """Give an ONNX model of maps: the first class looks at red, the second at green."""
    weights = [numpy_helper.from_array(np.array([0, 1], np.int64), "chosen")]
    weights += [numpy_helper.from_array(np.array(255, np.float32), "most")]
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["colors"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["colors", "chosen"], ["two"], axis=1),
        helper.make_node("Div", ["two", "most"], ["evidence_map"]),
    ]
    graph = helper.make_graph(
        nodes,
        "maps",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["B", size, size, 3])],
        [helper.make_tensor_value_info("evidence_map", TensorProto.FLOAT, ["B", 2, size, size])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_bundle(
    folder: Path,
    network: bytes | None = None,
    *,
    more: dict[str, bytes] | None = None,
    precisions: dict[str, Any] | None = None,
    **limits: Any,
) -> Path:
    """Write a bundle folder as `open_bundle` wants it.

    `more` are files beside the usual ones, such as `{"evidence.onnx": build_evidence()}`;
    `precisions` is that section of the manifest; `limits` replace those of limits.json.
    """

    def code(number: int) -> dict[str, str]:
        return {"value": f"P{number}", "scheme": "99POLYPSKD", "meaning": f"Class {number}"}

    codebook = {
        "classes": [
            {"name": name, "code": code(turn), "definition": "", "positive": turn == 1}
            for turn, name in enumerate(CLASSES)
        ],
        "subclasses": [
            {"name": name, "code": code(10 + turn), "of": name.partition(" ")[0]}
            for turn, name in enumerate(SUBCLASSES)
        ],
    }
    page = {
        "size": SIZE,
        "crop": {"kind": "none"},
        "min_side": 16,
        "max_megapixels": 4.0,
        "positive": ["adenoma"],
        "confidence": None,
        "thresholds": [],
        "quality": {},
        "quality_fixed_on": "nothing",
    } | limits
    files = {
        "student.onnx": build_network() if network is None else network,
        "student.safetensors": b"none",
        "model_card.md": b"# Small\n",
        "codebook.json": write_canonical(codebook),
        "limits.json": write_canonical(page),
        "configs/metadata.json": b"{}\n",
        "configs/inference.json": b"{}\n",
    } | (more or {})
    manifest = {
        "format": "polypskd-bundle",
        "format_version": 1,
        "name": "small",
        "version": "0.1.0",
        "research_use_only": True,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in files.items()
        },
        "model": {},
        "parity": {},
        "precisions": precisions or {},
        "provenance": {},
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "manifest.json").write_bytes(write_canonical(manifest))
    return folder
