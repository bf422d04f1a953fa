from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from polypskd.artifacts import write_json
from polypskd.config import Network
from polypskd.errors import OutputError
from polypskd.models.networks import build_network
from polypskd.study.cams import SIDE, measure_heat, paint_heat, write_cams
from polypskd.study.frames import list_cams, remove_stale
from polypskd.study.student import Student


class Small(nn.Module):
    """One convolution, mean over places, linear: Grad-CAM has a closed form."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stage = nn.Conv2d(3, 4, 4, stride=4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.stage(x).mean(dim=(2, 3)))


def make_student(network, class_of):
    return Student(network.eval(), torch.tensor(class_of), 16, torch.device("cpu"))


def frame(seed=0, side=16):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_heat_is_the_closed_form_of_one_convolution(chosen):
    network = Small()
    heat, layer = measure_heat(make_student(network, [0, 1, 2]), frame(), chosen)
    from polypskd.cohort.preparation import normalize

    x = torch.from_numpy(normalize(frame()[None])).permute(0, 3, 1, 2)
    maps = network.stage(x)[0].detach()
    expected = (network.head.weight[chosen].detach()[:, None, None] * maps).sum(0).relu()
    expected = (expected / expected.max()).numpy() if expected.max() > 0 else expected.numpy()
    assert layer == "stage"
    np.testing.assert_allclose(heat, expected, atol=1e-5)


def test_subclasses_speak_for_their_class_by_their_share():
    network = Small()
    merged, _ = measure_heat(make_student(network, [0, 0, 1]), frame(), 1)
    alone, _ = measure_heat(make_student(network, [0, 1, 2]), frame(), 2)
    np.testing.assert_allclose(merged, alone, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [{"kind": "resnet10", "width": 16}, {"kind": "densenet121"}, {"kind": "efficientnet-b0"}],
)
def test_every_family_of_networks_has_a_stage_to_look_at(kind):
    network = build_network(TypeAdapter(Network).validate_python(kind), 2)
    student = make_student(network, [0, 1])
    pixels = frame(side=64)
    heat, layer = measure_heat(student, pixels, 1)
    assert heat.ndim == 2
    assert heat.size > 1
    assert 0 <= heat.min() <= heat.max() <= 1
    assert layer
    assert not any(module._forward_hooks for module in network.modules())
    assert np.array_equal(heat, measure_heat(student, pixels, 1)[0])


def test_a_map_is_a_small_picture_that_holds_no_pixel_of_the_frame():
    heat = np.array([[0, 1], [0.5, 0]], np.float32)
    picture = paint_heat(heat)
    read = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.shape == (SIDE, SIDE, 4)
    assert len(np.unique(read[..., :3].reshape(-1, 3), axis=0)) == 1
    assert read[5, -5, 3] > read[-5, 5, 3] > read[5, 5, 3] == 0
    assert picture == paint_heat(heat)
    assert len(picture) < 20_000


def test_maps_of_other_rows_are_removed_and_other_files_stay(tmp_path):
    (tmp_path / "cams").mkdir()
    for name in ("2.png", "7.png", "8.png", "99999.png", "mine.png", "7.txt"):
        (tmp_path / "cams" / name).write_text("x")
    write_json(tmp_path / "study.json", {"cams": {"rows": [2, 7]}})
    outputs = {"study.json": "", "cams/2.png": "", "cams/8.png": ""}
    write_json(tmp_path / ".steps" / "study.json", {"inputs": "", "outputs": outputs})
    remove_stale(tmp_path, [2])
    left = sorted(p.name for p in (tmp_path / "cams").iterdir())
    assert left == ["2.png", "7.txt", "99999.png", "mine.png"]
    assert (tmp_path / "study.json").exists()
    remove_stale(tmp_path / "nowhere", [])


def test_a_linked_folder_is_never_followed(tmp_path):
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    run.mkdir()
    (elsewhere / "7.png").write_text("x")
    (run / "cams").symlink_to(elsewhere)
    write_json(run / "study.json", {"cams": {"rows": [7]}})
    remove_stale(run, [])
    assert (elsewhere / "7.png").exists()
    with pytest.raises(OutputError, match="is a link"):
        write_cams(run, make_student(Small(), [0, 1, 2]), np.zeros((1, 16, 16, 3), np.uint8))
    assert [p.name for p in elsewhere.iterdir()] == ["7.png"]


def test_the_maps_are_those_of_the_gallery(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "reporting")
    from run_folder import make_run

    from polypskd.reporting.gallery import find_mistakes
    from polypskd.reporting.record import read_record

    run = make_run(tmp_path, n=120)
    record = read_record(run)
    frames = np.stack([frame(seed) for seed in range(len(record.examples))])
    network = Small()
    found = write_cams(run, make_student(network, [0, 1, 2]), frames)
    rows = [one.row for one in find_mistakes(record, None)]
    assert found["rows"] == rows
    assert sorted(list_cams(found)) == sorted(f"cams/{p.name}" for p in (run / "cams").iterdir())
    chosen = list(record.agreement["classes"])
    mistake = find_mistakes(record, None)[0]
    heat, _ = measure_heat(
        make_student(network, [0, 1, 2]), frames[rows[0] - 2], chosen.index(mistake.predicted)
    )
    assert (run / "cams" / f"{rows[0]}.png").read_bytes() == paint_heat(heat)


def test_heat_is_that_of_monai_on_a_residual_network():
    from monai.visualize import GradCAM

    from polypskd.models.predict import to_input

    torch.manual_seed(1)
    page = {"kind": "resnet10", "width": 16}
    network = build_network(TypeAdapter(Network).validate_python(page), 2).eval()
    pixels = frame(3, side=96)
    heat, layer = measure_heat(make_student(network, [0, 1]), pixels, 1)
    look = GradCAM(network, layer, lambda size: nn.Identity(), lambda maps: maps)
    theirs = look(to_input(pixels[None], torch.device("cpu")), class_idx=1)
    other = theirs.detach().numpy()[0, 0]
    assert heat.max() == 1
    np.testing.assert_allclose(heat, other / other.max(), atol=1e-4)
