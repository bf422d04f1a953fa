"""Nothing is sent to the makers of what we use, and nothing is written down to be sent."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from small_bundle import write_bundle


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def call(*words, home):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("XDG_") and name != "ORT_DISABLE_TELEMETRY"
    }
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr


def test_a_prediction_leaves_nothing_in_the_home_folder(tmp_path, home):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    bundle = write_bundle(tmp_path / "bundle")
    call(
        *("-m", "polypskd", "predict", bundle, tmp_path / "in", "--out", tmp_path / "out"),
        home=home,
    )
    assert (tmp_path / "out" / "predictions.csv").exists()
    assert [*home.rglob("*")] == []


def test_onnx_runtime_is_told_before_it_is_imported(home):
    call("-c", "import polypskd.deployment.bundle, onnxruntime", home=home)
    assert [*home.rglob("*")] == []
