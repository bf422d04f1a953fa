import json
import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from predicting import predict, rows_of
from small_bundle import SLOPES, build_network, write_bundle

from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.forms import choose_form
from polypskd.deployment.prediction.run import Wish, describe_run
from polypskd.deployment.predictor import Predictor
from polypskd.errors import ArtifactError, ConfigError

KEPT = {"int8": {"kept": True, "file": "student.int8.onnx"}, "bf16": {"kept": True}}


def turn_round() -> bytes:
    """Give a network that says the opposite, so that the form that answered can be told."""
    model = onnx.load_model_from_string(build_network())
    for one in model.graph.initializer:
        if one.name == "slopes":
            one.CopyFrom(numpy_helper.from_array(-SLOPES.astype(np.float32), "slopes"))
    return bytes(model.SerializeToString())


@pytest.fixture
def bundle(tmp_path):
    more = {"student.int8.onnx": turn_round()}
    return write_bundle(tmp_path / "bundle", more=more, precisions=KEPT)


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "red.png"), np.full((40, 40, 3), (20, 60, 200), np.uint8))
    return tmp_path / "in"


def test_the_form_that_is_asked_for_answers_and_is_told(bundle, frames, tmp_path):
    assert predict(bundle, frames, "--out", tmp_path / "a")[0] == 0
    assert predict(bundle, frames, "--out", tmp_path / "b", "--precision", "int8")[0] == 0
    plain, small = (rows_of(tmp_path / name)[0] for name in "ab")
    assert plain["predicted"] != small["predicted"]
    told = [
        json.loads((tmp_path / name / "predictions.json").read_text())["bundle"] for name in "ab"
    ]
    assert [one["precision"] for one in told] == ["float32", "int8"]
    entries = open_bundle(bundle).manifest.files
    assert told[0]["model_sha256"] == entries["student.onnx"].sha256
    assert told[1]["model_sha256"] == entries["student.int8.onnx"].sha256


def test_results_of_one_form_are_not_gone_on_with_by_another(bundle, frames, tmp_path):
    assert predict(bundle, frames, "--out", tmp_path / "a")[0] == 0
    code, said = predict(bundle, frames, "--out", tmp_path / "a", "--precision", "int8")
    assert code == 1
    assert "another bundle" in said


def test_the_audit_log_tells_forms_apart(bundle):
    opened = open_bundle(bundle)
    told = [
        describe_run(choose_form(opened, one), Wish())["config_sha256"]
        for one in ("float32", "int8", "bfloat16")
    ]
    assert len({*told}) == 3


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
@pytest.mark.parametrize("precisions", [{}, {"int8": {"kept": False}, "bf16": {"kept": False}}])
def test_a_form_that_the_bundle_lacks_is_one_line(tmp_path, frames, precision, precisions):
    bundle = write_bundle(tmp_path / "bundle", precisions=precisions)
    code, said = predict(bundle, frames, "--out", tmp_path / "a", "--precision", precision)
    assert code == 1
    assert f"holds no {precision} form of the student" in said
    assert "\n" not in said.strip()
    assert not (tmp_path / "a").exists()


def test_a_form_whose_file_is_not_in_the_manifest_is_refused(tmp_path):
    opened = open_bundle(write_bundle(tmp_path / "bundle", precisions=KEPT))
    with pytest.raises(ArtifactError, match="holds no int8 form"):
        choose_form(opened, "int8")


# --- bfloat16, which needs OpenVINO and a processor: a stand-in plays both -----------------------


def stand_in(capabilities):
    """Give what is used of OpenVINO, with ONNX Runtime behind it."""

    class Request:
        def __init__(self, session):
            self.session = session

        def infer(self, inputs):
            names = [one.name for one in self.session.get_outputs()]
            return dict(zip(names, self.session.run(names, inputs), strict=True))

    class Core:
        def get_property(self, device, name):
            return capabilities

        def read_model(self, data, weights):
            return data

        def compile_model(self, data, device, settings):
            import onnxruntime

            assert settings["INFERENCE_PRECISION_HINT"] == "bf16"
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            return SimpleNamespace(create_infer_request=lambda: Request(session))

    found = ModuleType("openvino")
    found.Core = Core
    return found


def test_bfloat16_is_computed_by_openvino(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", stand_in(["FP32", "BF16"]))
    opened = open_bundle(bundle)
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = Predictor(choose_form(opened, "bfloat16")).predict(frames)
    expected = Predictor(opened).predict(frames)
    np.testing.assert_array_equal(found.class_probabilities, expected.class_probabilities)


@pytest.mark.parametrize(
    ("module", "says"),
    [(None, "needs OpenVINO"), (stand_in(["FP32"]), "this processor does not compute in it")],
)
def test_bfloat16_that_cannot_be_had_is_one_line(
    bundle, frames, tmp_path, monkeypatch, module, says
):
    monkeypatch.setitem(sys.modules, "openvino", module)
    code, said = predict(bundle, frames, "--out", tmp_path / "a", "--precision", "bfloat16")
    assert code == 1
    assert says in said
    with pytest.raises(ConfigError, match="bfloat16"):
        Predictor(choose_form(open_bundle(bundle), "bfloat16"))
