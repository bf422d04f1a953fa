import json
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from polypskd.artifacts import RunLog, write_json
from polypskd.config import Config
from polypskd.labels.examples import Examples
from polypskd.runs import Run
from polypskd.study.data import NotAssessableError
from polypskd.study.frames import describe_frames, open_pixels

N = 6


@pytest.fixture
def run(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(N):
        cv2.imwrite(str(frames / f"secret{i}.png"), np.full((20, 20, 3), 40 * i, np.uint8))
    page = {
        "name": "x",
        "cohort": {
            "frames": {"kind": "image_folder", "root": str(frames)},
            "votes": {"kind": "long", "path": str(tmp_path / "votes.csv")},
            "classes": ["low", "high"],
        },
        "augment": {"size": 16},
    }
    folder = tmp_path / "run"
    folder.mkdir()
    return Run(folder, Config.model_validate(page), RunLog(folder / "log.jsonl"))


@pytest.fixture
def data():
    words = np.array([f"secret{i}.png" for i in range(N)])
    numbers = np.zeros(N, np.int64)
    examples = Examples(
        *(words, words, words, np.full(N, "test"), words, words),
        *(numbers, numbers, np.ones(N), numbers),
        votes={},
        carried={},
    )
    return SimpleNamespace(examples=examples, patients_known=True)


def test_all_frames_are_given_as_the_network_sees_them(run, data):
    examples, pixels = open_pixels(run, data)
    assert examples is data.examples
    assert np.asarray(pixels[0:N]).shape == (N, 16, 16, 3)
    assert np.asarray(pixels[2:3]).mean() == 80


def test_a_lost_frame_is_no_fault_of_the_study_and_is_not_named(run, data):
    (run.config.cohort.frames.root / "secret2.png").unlink()
    (run.folder / "cams").mkdir()
    write_json(run.folder / "study.json", {"cams": {"rows": [9]}})
    (run.folder / "cams" / "9.png").write_text("stale")
    found = describe_frames(run, data)
    assert set(found) == {"robustness", "cams"}
    assert "cannot be read" in found["cams"]["not_assessable"]
    assert "secret" not in json.dumps(found)
    assert not list((run.folder / "cams").iterdir())


def test_votes_without_frames_are_told(run, data):
    cohort = run.config.cohort.model_copy(update={"frames": None})
    page = run.config.model_copy(update={"cohort": cohort})
    with pytest.raises(NotAssessableError, match="without frames"):
        open_pixels(replace(run, config=page), data)
