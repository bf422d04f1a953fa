"""The MONAI files by MONAI's own verifiers, and by what they compute."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from polypskd.config import BoxCrop, CohortConfig, FieldCrop, Network, NoCrop
from polypskd.deployment.export.frames import list_folder
from polypskd.deployment.export.graph import build_graph
from polypskd.deployment.export.monai_files import (
    describe_inference,
    describe_metadata,
    verify_files,
)
from polypskd.deployment.export.parity import (
    TOLERANCE,
    answer_with_onnx,
    answer_with_torch,
    compare_answers,
)
from polypskd.deployment.manifest import write_canonical
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import Stored, write_network
from polypskd.models.networks import build_network

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FIELDS = {
    "string": ["schema", "version", "monai_version", "pytorch_version", "numpy_version", "task"],
    "object": ["required_packages_version", "changelog", "network_data_format"],
}
FIELDS["string"] += ["description", "authors", "copyright", "intended_use"]
TENSOR = ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"]


def draw_student(kind="resnet10", size=48, **more):
    """Give a student with weights and statistics drawn at random."""
    torch.manual_seed(5)
    config = TypeAdapter(Network).validate_python({"kind": kind} | more)
    network = build_network(config, 5).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    # Subclasses of a class need not stand side by side.
    names = ("a/0", "b/0", "a/1", "c", "b/1")
    return Stored(network, config, ("a", "b", "c"), names, (0, 1, 0, 2, 1), size, {})


def write_pages(folder, stored, crop=NoCrop()):  # noqa: B008
    (folder / "configs").mkdir()
    write_network(folder / "student.safetensors", stored.network, {})
    pages = {
        "metadata": describe_metadata(stored, "small", "0.1.0"),
        "inference": describe_inference(stored, 1.7, crop),
    }
    for name, page in pages.items():
        (folder / "configs" / f"{name}.json").write_bytes(write_canonical(page))


def draw_images(folder, count=5):
    import cv2

    folder.mkdir()
    random = np.random.default_rng(2)
    for number in range(count):
        low = random.integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(low, (100, 80)))
    return folder


def read_cohort_config(root, crop):
    return CohortConfig.model_validate(
        {
            "frames": {"kind": "image_folder", "root": str(root)},
            "votes": {"kind": "long", "path": "votes.csv"},
            "classes": ["a", "b", "c"],
            "crop": crop.model_dump(),
        }
    )


@pytest.mark.parametrize(
    "crop",
    [NoCrop(), FieldCrop(margin=0.02), BoxCrop(left=3, top=5, width=60, height=70)],
    ids=lambda crop: crop.kind,
)
def test_monai_gives_the_probabilities_of_the_graph(tmp_path, crop):
    from monai.bundle import ConfigParser

    stored, images = draw_student(width=16), draw_images(tmp_path / "images")
    write_pages(tmp_path, stored, crop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = ConfigParser()
        parser.read_config(str(tmp_path / "configs" / "inference.json"))
        parser["bundle_root"], parser["dataset_dir"] = str(tmp_path), str(images)
        parser["device"] = "cpu"
        parser.get_parsed_content("initialize")
        with torch.inference_mode():
            found = torch.cat(parser.get_parsed_content("probabilities")).numpy()
    frames = list_folder(images, read_cohort_config(images, crop), stored.size)
    expected = answer_with_onnx(build_graph(stored, 1.7), frames)
    assert np.abs(found - expected.classes).max() < TOLERANCE
    assert np.ptp(found, axis=0).max() > 20 * TOLERANCE


def test_monais_verifier_of_networks_is_content_and_would_not_be_with_others(tmp_path):
    write_pages(tmp_path, draw_student(width=16))
    verify_files(tmp_path)
    path = tmp_path / "configs" / "metadata.json"
    page = json.loads(path.read_text())
    page["network_data_format"]["outputs"]["pred"]["num_channels"] = 4
    path.write_bytes(write_canonical(page))
    with pytest.raises(ArtifactError, match="MONAI does not verify it"):
        verify_files(tmp_path)


@pytest.mark.parametrize("spoil", [None, "numpy_version"])
def test_monais_verifier_of_metadata_is_content(tmp_path, spoil):
    # MONAI would load its schema from the network; a file that is there already is taken instead.
    from monai.bundle import verify_metadata

    write_pages(tmp_path, draw_student(width=16))
    tensor = {"type": "object", "required": TENSOR}
    both = {
        side: {"type": "object", "minProperties": 1, "additionalProperties": tensor}
        for side in ("inputs", "outputs")
    }
    schema = {
        "type": "object",
        "required": [*FIELDS["string"], *FIELDS["object"]],
        "properties": {name: {"type": kind} for kind, names in FIELDS.items() for name in names}
        | {"network_data_format": {"type": "object", "required": [*both], "properties": both}},
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    path = tmp_path / "configs" / "metadata.json"
    page = json.loads(path.read_text())
    if spoil:
        page[spoil] = 2
    path.write_bytes(write_canonical(page))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if spoil is None:
            verify_metadata(meta_file=str(path), filepath=str(tmp_path / "schema.json"))
            return
        with pytest.raises(ValueError, match="Failed validating"):
            verify_metadata(meta_file=str(path), filepath=str(tmp_path / "schema.json"))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("resnet10", {"width": 16, "stem_stride": 1, "max_pool": False}),
        ("efficientnet-b0", {}),
        ("densenet121", {}),
    ],
)
def test_every_kind_of_network_answers_in_onnx_as_in_torch(kind, more):
    stored = draw_student(kind, size=32, **more)
    frames = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), np.uint8)
    model = build_graph(stored, 0.7)
    expected, found = answer_with_torch(stored, 0.7, frames), answer_with_onnx(model, frames)
    assert compare_answers(expected, found, "drawn").largest < TOLERANCE
    for k, members in enumerate([[0, 2], [1, 4], [3]]):
        np.testing.assert_allclose(
            found.subclasses[:, members].sum(1), found.classes[:, k], atol=1e-6
        )


def test_logits_far_apart_give_probabilities_still():
    stored = draw_student(width=16)
    head = [module for module in stored.network.modules() if isinstance(module, torch.nn.Linear)]
    with torch.no_grad():
        head[-1].bias.copy_(torch.tensor([300.0, -300.0, 0.0, 100.0, -80.0]))
    frames = np.zeros((2, 48, 48, 3), np.uint8)
    expected = answer_with_torch(stored, 1.0, frames)
    found = answer_with_onnx(build_graph(stored, 1.0), frames)
    assert compare_answers(expected, found, "drawn").largest < TOLERANCE
    assert np.isfinite(found.subclasses).all()


@pytest.mark.realdata
def test_the_graph_answers_as_torch_on_real_frames():
    root = SHARED / "hyperkvasir" / "frames"
    frames = list_folder(root, read_cohort_config(root, NoCrop()), 96).pick(48)
    stored = draw_student(width=16, size=96)
    expected = answer_with_torch(stored, 0.8, frames)
    found = answer_with_onnx(build_graph(stored, 0.8), frames)
    assert compare_answers(expected, found, frames.origin).largest < TOLERANCE
