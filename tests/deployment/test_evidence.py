import numpy as np
import pytest
import torch
from small_bundle import build_evidence as build_small
from small_bundle import build_network as build_small_network
from small_bundle import write_bundle
from torch import nn

from polypskd.cohort.preparation import normalize
from polypskd.config import OtherNetwork, ResNet
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.export import evidence
from polypskd.deployment.export.evidence import (
    build_evidence,
    check_maps,
    map_with_onnx,
    map_with_torch,
)
from polypskd.deployment.predictor import Predictor
from polypskd.errors import ArtifactError
from polypskd.models.checkpoint import Stored
from polypskd.models.networks import build_network, last_layer

CLASS_OF = (0, 1, 1, 0, 2)
TEMPERATURE = 1.7


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_student(config, size=64, network=None):
    torch.manual_seed(1)
    network = build_network(config, len(CLASS_OF)) if network is None else network
    return Stored(
        network=network.eval(),
        config=config,
        classes=("a", "b", "c"),
        subclasses=tuple("vwxyz"),
        class_of=CLASS_OF,
        size=size,
        extra={},
    )


def draw(count, size=64):
    random = np.random.default_rng(3)
    blobs = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.kron(blobs, np.ones((1, size // 4, size // 4, 1), np.uint8))


def differentiate(stored, frame, chosen):
    """Give the map by its definition: log p(class) of the whole network, in float64."""
    network = stored.network
    kept = []
    hook = network.avgpool.register_forward_hook(
        lambda module, given, made: kept.append((given, made))
    )
    pixels = torch.from_numpy(normalize(frame)).permute(2, 0, 1)[None]
    network(pixels)
    hook.remove()
    ((places,), pooled) = kept[0]
    pooled = pooled.detach().double().flatten(1).requires_grad_()
    head = last_layer(network)
    logits = nn.functional.linear(pooled, head.weight.double(), head.bias.double())[0]
    totals = torch.stack(
        [logits[[s for s, of in enumerate(CLASS_OF) if of == k]].logsumexp(0) for k in range(3)]
    )
    log_p = (totals / TEMPERATURE).log_softmax(0)[chosen]
    (slopes,) = torch.autograd.grad(log_p, pooled)
    found = (slopes[0, :, None, None] * places[0].double()).sum(0).clamp(min=0).detach().numpy()
    return found / found.max() if found.max() > 0 else found


def test_the_map_is_the_gradient_of_log_p_times_the_features():
    stored = make_student(ResNet(kind="resnet10", width=16))
    frames = draw(4)
    maps = map_with_onnx(build_evidence(stored, TEMPERATURE), frames)
    assert maps.shape[:2] == (4, 3)
    for row, frame in enumerate(frames):
        for k in range(3):
            np.testing.assert_allclose(maps[row, k], differentiate(stored, frame, k), atol=1e-3)
    assert maps.min() == 0
    assert np.isclose(maps.max((2, 3)), 1).any()
    assert np.ptp(maps, axis=1).max() > 0.1  # classes do differ
    assert np.ptp(maps, axis=0).max() > 0.1  # frames do too


@pytest.mark.parametrize("kind", ["densenet121", "efficientnet-b0", "seresnext50"])
def test_other_networks_with_an_average_before_one_linear_layer_have_a_map(kind):
    stored = make_student(OtherNetwork(kind=kind))
    frames = draw(2)
    graph = build_evidence(stored, TEMPERATURE)
    check_maps(map_with_torch(stored, TEMPERATURE, frames), map_with_onnx(graph, frames))


def test_a_certain_network_still_has_a_map():
    stored = make_student(ResNet(kind="resnet10", width=16))
    with torch.no_grad():
        last_layer(stored.network).bias[0] += 200  # p is 1 in float32, and log p has no slope
    frames = draw(3)
    found = map_with_onnx(build_evidence(stored, TEMPERATURE), frames)
    assert np.isfinite(found).all()
    check_maps(map_with_torch(stored, TEMPERATURE, frames), found)
    assert found[:, 0].max() == 1


class Deep(nn.Module):
    """A network whose head has two layers, so that no place has an exact share."""

    def __init__(self):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(3, 8)
        self.head = nn.Linear(8, len(CLASS_OF))

    def forward(self, x):
        return self.head(self.hidden(self.avgpool(x).flatten(1)).relu())


class Largest(Deep):
    """A network that takes the largest place, not the average of all."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, len(CLASS_OF))

    def forward(self, x):
        return self.head(self.avgpool(x).flatten(1) + x.amax((2, 3)))


@pytest.mark.parametrize("network", [Deep, Largest])
def test_a_network_without_an_exact_map_has_none(network):
    stored = make_student(ResNet(kind="resnet10", width=16), network=network())
    assert build_evidence(stored, TEMPERATURE) is None


def test_maps_that_differ_are_refused():
    maps = np.zeros((1, 2, 3, 3))
    assert check_maps(maps, maps + 1e-4) == pytest.approx(1e-4)
    with pytest.raises(ArtifactError, match=r"evidence\.onnx: differs from PyTorch by 0\.01"):
        check_maps(maps, maps + 0.01)
    for wrong in (maps * np.nan, maps[:, :1]):
        with pytest.raises(ArtifactError, match="differs"):
            check_maps(maps, wrong)


def test_the_same_student_gives_the_same_bytes():
    stored = make_student(ResNet(kind="resnet10", width=16))
    assert build_evidence(stored, 1.0) == build_evidence(stored, 1.0)
    assert evidence.find_places(stored) == (2, 2)


# --- the predictor ------------------------------------------------------------------------------


def test_the_predictor_maps_the_class_that_it_predicts(tmp_path):
    bundle = open_bundle(write_bundle(tmp_path / "b", more={"evidence.onnx": build_small()}))
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    frames[0, :8, :, 0] = 255  # red at the top: the first class
    frames[1, :8, :, 0] = 10
    frames[1, :, :, 2] = 255
    frames[1, 8:, :, 1] = 51
    predictor = Predictor(bundle)
    assert predictor.predict(frames).class_probabilities.argmax(1).tolist() == [0, 1]
    maps = predictor.map_evidence(frames)
    assert maps.shape == (2, 32, 32)
    assert maps.dtype == np.float32
    assert maps[0, :8].min() == 1
    assert maps[0, 8:].max() == 0
    np.testing.assert_allclose(maps[1, 8:], 0.2)
    np.testing.assert_allclose(predictor.map_evidence(frames[1:], [0])[0, :8], 10 / 255)
    assert predictor.map_evidence(frames[:0]).shape == (0, 32, 32)
    with pytest.raises(ValueError, match="uint8"):
        predictor.map_evidence(frames.astype(np.float32))


def test_a_bundle_without_a_map_predicts_and_says_so(tmp_path):
    predictor = Predictor(open_bundle(write_bundle(tmp_path / "b")))
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    assert len(predictor.predict(frames).confidence) == 1
    with pytest.raises(
        ArtifactError, match=r"evidence\.onnx: the bundle has no evidence map"
    ) as told:
        predictor.map_evidence(frames)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (b"none", "cannot load"),
        (build_small(16), "its input is not frames of uint8, 32 x 32"),
        (build_small_network(), "has another output than evidence_map"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(tmp_path, graph, says):
    bundle = open_bundle(write_bundle(tmp_path / "b", more={"evidence.onnx": graph}))
    with pytest.raises(ArtifactError, match=says):
        Predictor(bundle).map_evidence(np.zeros((1, 32, 32, 3), np.uint8))
