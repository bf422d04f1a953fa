import json

import numpy as np
import pytest

from polypskd.data.corruption import corrupt
from polypskd.study.data import NotAssessableError
from polypskd.study.robustness import Corrupted, describe_robustness, draw_patients

SIDE = 16


class Brightness:
    """Calls a frame by its mean: dark frames 0, bright ones the last class."""

    def __init__(self, classes=3):
        self.classes, self.seen = classes, []

    def predict(self, frames, progress=lambda done, total: None):
        found = []
        for start in range(0, len(frames), 7):
            part = np.asarray(frames[start : start + 7])
            self.seen.append(part)
            found += (part.mean(axis=(1, 2, 3)) * self.classes // 256).astype(int).tolist()
            progress(min(start + 7, len(frames)), len(frames))
        return np.array(found)


@pytest.fixture(scope="module")
def asked():
    return {"kinds": ["underexposure", "jpeg"], "strengths": [3, 1], "frames": 100}


@pytest.fixture(scope="module")
def data(make_data, asked):
    return make_data(240, corruptions=asked, resamples=50)


@pytest.fixture(scope="module")
def frames(data):
    noise = np.random.default_rng(0).integers(0, 30, (len(data.test), SIDE, SIDE, 3))
    return (noise + 30 + 85 * data.test.labels[:, None, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def found(data, frames):
    return describe_robustness(data, frames, Brightness())


def test_each_condition_is_what_a_loop_over_corrupted_frames_gives(data, frames, found):
    rows = draw_patients(data.test.patients, 100, data.seed)
    ids = data.test.frame_ids
    clean = Brightness().predict(frames[rows])
    for kind, told in found["kinds"].items():
        assert [one["strength"] for one in told["strengths"]] == [1, 3]
        for one in told["strengths"]:
            changed = np.stack(
                [corrupt(frames[i], kind, one["strength"], str(ids[i]), data.seed) for i in rows]
            )
            labels = data.test.labels[rows]
            right = Brightness().predict(changed) == labels
            metric = one["metrics"]["accuracy"]
            assert metric["value"]["value"] == pytest.approx(right.mean())
            assert metric["change"]["value"] == pytest.approx(
                right.mean() - (clean == labels).mean()
            )
    assert found["clean"]["accuracy"]["value"] == 1.0


def test_darker_light_takes_sensitivity_and_compression_nothing(found):
    dark = found["kinds"]["underexposure"]["strengths"][1]
    assert dark["metrics"]["sensitivity"]["change"]["value"] < -0.5
    assert dark["number"] == -1.5
    jpeg = found["kinds"]["jpeg"]["strengths"][0]
    assert jpeg["metrics"]["accuracy"]["change"]["value"] == 0


def test_the_same_data_give_the_same_bytes(data, frames, found):
    text = json.dumps(found, allow_nan=False)
    assert text == json.dumps(describe_robustness(data, frames, Brightness()), allow_nan=False)
    assert "test-0" not in text
    assert "patient 0" not in text


def test_all_frames_of_a_patient_are_drawn_or_none(data, found):
    patients = data.test.patients
    rows = draw_patients(patients, 100, data.seed)
    assert 0 < len(rows) <= 100
    assert len(rows) == found["n_frames"]
    assert np.isin(patients, patients[rows]).sum() == len(rows)
    assert found["n_patients"] == len(np.unique(patients[rows]))
    assert draw_patients(patients, 240, 0).tolist() == list(range(240))
    assert not np.array_equal(rows, draw_patients(patients, 100, data.seed + 1))


def test_progress_counts_every_condition(data, frames):
    told = []
    describe_robustness(data, frames, Brightness(), lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] == 5 * len(draw_patients(data.test.patients, 100, data.seed))


def test_strength_zero_leaves_the_frames_as_they_are(frames):
    rows = np.array([3, 1])
    same = Corrupted(frames, rows, np.array(["a", "b"]), "blur", 0, 0)
    assert np.array_equal(same[0:2], frames[rows])
    changed = Corrupted(frames, rows, np.array(["a", "b"]), "blur", 5, 0)
    assert not np.array_equal(changed[0:2], frames[rows])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"frames": 1}, "more frames than"),
        ({"kinds": []}, "no corruption is asked for"),
    ],
)
def test_why_nothing_is_corrupted_is_told(make_data, frames, settings, told):
    data = make_data(240, patients=10, corruptions=settings)
    with pytest.raises(NotAssessableError, match=told):
        describe_robustness(data, frames, Brightness())
