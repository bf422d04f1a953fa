"""What a bundle's manifest tells of the student, its export and its training."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from polypskd.artifacts import fingerprint
from polypskd.deployment.bundle import INT8, MODEL
from polypskd.deployment.export.graph import OPSET
from polypskd.deployment.export.material import Material
from polypskd.deployment.export.parity import Parity
from polypskd.deployment.export.smaller import Judgement
from polypskd.models.networks import count_parameters

# Of provenance.json: how the student was made, and nothing of where or by whom.
TOLD = (
    "polypskd",
    "python",
    "packages",
    "decoders",
    "device",
    "processes",
    "seed",
    "training_seed",
    "frames",
    "frames_sha256",
    "examples_sha256",
    "student_sha256",
    "teacher_sha256",
    "votes_sha256",
    "metadata_sha256",
)


def describe_export(
    material: Material, parity: Parity, forms: Mapping[str, Judgement]
) -> dict[str, Any]:
    """Describe the student, how it was compared, and how it was made.

    Args:
        material: the run.
        parity: student.onnx beside PyTorch.
        forms: what smaller forms cost, by name.
    """
    return {
        "model": _describe_model(material),
        "parity": parity.to_dict(),
        "precisions": _describe_forms(forms),
        "provenance": _describe_training(material),
    }


def _describe_forms(forms: Mapping[str, Judgement]) -> dict[str, Any]:
    how = {
        "int8": {"file": INT8, "runtime": "onnxruntime", "how": "static, QDQ, 7-bit weights"},
        "bf16": {"file": MODEL, "runtime": "openvino", "how": "INFERENCE_PRECISION_HINT bf16"},
    }
    return {
        name: judgement.to_dict() | (how[name] if judgement.kept else {})
        for name, judgement in forms.items()
    }


def _describe_model(material: Material) -> dict[str, Any]:
    stored, record = material.stored, material.record
    return {
        "network": stored.config.kind,
        "parameters": count_parameters(stored.network),
        "macs": record["model"]["macs"],
        "size": stored.size,
        "opset": OPSET,
        "temperature": record["calibration"]["temperature"],
        "precision": "float32",
        "classes": list(stored.classes),
    }


def _describe_training(material: Material) -> dict[str, Any]:
    told, record = material.provenance, material.record
    page = material.source.config.model_dump(mode="json")
    after = record["calibration"]["after"] or record["calibration"]["before"]
    return {name: told[name] for name in TOLD if told.get(name) is not None} | {
        "config_sha256": fingerprint(page),
        "method": page["student"]["method"],
        "exported_with": {
            name: metadata.version(name) for name in ("torch", "onnx", "onnxruntime", "polypskd")
        },
        "test": {
            "frames": record["n_frames"],
            "macro_f1": record["macro_f1"],
            "ece": after["ece"],
        },
    }
