"""What a bundle's limits make of frames, and how frames of DICOM files and videos are answered."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from predicting import predict, rows_of
from small_bundle import CLASSES, SIZE, build_network, write_bundle

from polypskd.cohort.opened import Limits, read_of_many
from polypskd.cohort.preparation import prepare_frame
from polypskd.cohort.quality import measure_quality
from polypskd.config.preparation import FieldCrop
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.prediction.judging import Judge
from polypskd.deployment.predictor import Predictor
from polypskd.deployment.results import list_limits
from polypskd.errors import ArtifactError
from polypskd.spreadsheets import unescape_cell

sys.path.insert(0, str(Path(__file__).parents[1] / "cohort"))
from hospital_files import write_dicom, write_video


def mucosa(seed: int = 0, level: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, 30, (96, 128, 1))
    return np.clip((np.array([190.0, 110, 80]) + grain) * level, 0, 255).astype(np.uint8)


def judge(tmp_path: Path, pixels: np.ndarray, **limits: object) -> str:
    verdict = Judge(open_bundle(write_bundle(tmp_path / "b", **limits))).judge(pixels)
    assert (verdict.predicted == "") == bool(verdict.abstained)
    assert len(verdict.class_probabilities) == 2
    return verdict.abstained


RULES = {"min_brightness": 0.1, "max_outside_body": 0.5, "min_sharpness": 0.05, "max_noise": 40.0}


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (mucosa(), ""),
        (mucosa(level=0.05), "not assessable: too dark (brightness 0.0"),
        (cv2.GaussianBlur(mucosa(), (0, 0), 9), "not assessable: blurred (sharpness 0.0"),
        (mucosa()[:, :, ::-1], "not a colonoscopy frame (outside_body "),
        (
            np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8),
            "out of range (noise ",
        ),
        (mucosa()[:15], "not assessable: out of range (the shorter side has 15 pixels"),
    ],
)
def test_a_frame_beyond_a_limit_gets_no_class_but_the_reason(tmp_path, pixels, said):
    told = judge(tmp_path, np.ascontiguousarray(pixels), quality=RULES)
    assert (said in told) if said else told == ""


def test_the_reason_names_every_limit_with_the_cohorts_own_measure(tmp_path):
    dark = mucosa(level=0.05)
    rules = {"min_brightness": 0.5, "min_contrast": 0.4}
    told = judge(tmp_path, dark, quality=rules)
    found = measure_quality(dark)
    assert told == (
        f"not assessable: too dark (brightness {found.brightness:.3g} is below 0.5), "
        f"out of range (contrast {found.contrast:.3g} is below 0.4)"
    )


def test_a_word_is_said_once_with_all_its_measures_in_one_bracket(tmp_path):
    bright = np.full((96, 128, 3), 255, np.uint8)
    rules = {"max_overexposed": 0.1, "max_brightness": 0.9, "max_outside_body": 0.5}
    assert judge(tmp_path, bright, quality=rules) == (
        "not assessable: too bright (brightness 1 is above 0.9, overexposed 1 is above 0.1)"
    ) + judge(tmp_path / "c", bright, quality={"max_outside_body": 0.5}).replace(
        "not assessable: ", ", "
    )


def test_a_name_that_a_spreadsheet_would_run_is_shown_and_comes_back(tmp_path):
    (tmp_path / "in").mkdir()
    names = ["'quoted.png", "+2.png", "=1+1.png", "@SUM(A1).png", "plain.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / "in" / name), mucosa())
    (tmp_path / "in" / "-broken.png").write_bytes(b"no image")
    predict(write_bundle(tmp_path / "b"), tmp_path / "in", "--out", tmp_path / "out")
    written = [row["frame"] for row in rows_of(tmp_path / "out")]
    assert written == ["''quoted.png", "'+2.png", "'=1+1.png", "'@SUM(A1).png", "plain.png"]
    assert [unescape_cell(name) for name in written] == names
    assert rows_of(tmp_path / "out", "faults.csv")[0]["where"] == "'-broken.png"
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())["frames"]
    assert [one["frame"] for one in told] == names


def test_every_rule_a_bundle_may_have_is_a_measure_with_a_word():
    from polypskd.config.preparation import Quality

    measures = measure_quality(mucosa())
    for limit in list_limits(dict.fromkeys(Quality.model_fields, 0.5)):
        assert isinstance(getattr(measures, limit.measure), float)
        assert limit.word


def test_a_risk_within_the_band_is_unsure_and_one_on_its_edge_is_not(tmp_path):
    frame = mucosa()
    bundle = open_bundle(write_bundle(tmp_path / "a"))
    risk = Judge(bundle).judge(frame).class_probabilities[1]
    assert 0.002 < risk < 0.998
    band = {"fixed_on": "val", "unit": "frames", "negative_to": 0.001, "positive_from": 0.999}
    told = judge(tmp_path, frame, confidence=band)
    assert told == f"unsure: risk {risk:.6f} lies between 0.001 and 0.999"
    assert judge(tmp_path, frame, confidence=band | {"positive_from": risk - 1e-6}) == ""


@pytest.mark.parametrize("blank", [True, False])
def test_the_network_sees_what_training_prepared(tmp_path, blank):
    whole = np.zeros((140, 200, 3), np.uint8)
    whole[20:116, 40:168] = mucosa()
    crop = {"kind": "field", "margin": 0.02, "blank": blank}
    bundle = open_bundle(write_bundle(tmp_path / "b", crop=crop, quality={"min_brightness": 0.01}))
    prepared, refused = Judge(bundle).prepare(whole)
    wanted = prepare_frame(whole, SIZE, FieldCrop(margin=0.02, blank=blank))
    assert refused == ""
    np.testing.assert_array_equal(prepared, wanted)


def test_a_box_that_leaves_a_frame_is_a_fault_of_the_frame(tmp_path):
    box = {"kind": "box", "left": 10, "top": 10, "width": 100, "height": 80}
    bundle = write_bundle(tmp_path / "b", crop=box)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "large.png"), mucosa())
    cv2.imwrite(str(tmp_path / "in" / "small.png"), mucosa()[:70])
    assert predict(bundle, tmp_path / "in", "--out", tmp_path / "out")[0] == 1
    assert [row["frame"] for row in rows_of(tmp_path / "out")] == ["large.png"]
    assert "leaves the frame" in rows_of(tmp_path / "out", "faults.csv")[0]["what"]


def test_what_is_said_of_a_frame_hangs_on_no_other(tmp_path):
    predictor = Predictor(open_bundle(write_bundle(tmp_path / "b")))
    frames = np.random.default_rng(1).integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
    whole = predictor.predict(frames)
    assert whole.class_probabilities.shape == (9, 2)
    assert whole.subclass_probabilities.shape == (9, 4)
    for row in range(9):
        alone = predictor.predict(frames[row : row + 1])
        np.testing.assert_array_equal(alone.class_probabilities[0], whole.class_probabilities[row])
        assert alone.confidence[0] == whole.confidence[row] == whole.class_probabilities[row].max()
    assert predictor.predict(frames[:0]).class_probabilities.shape == (0, 2)


def test_frames_of_another_shape_or_type_are_refused(tmp_path):
    predictor = Predictor(open_bundle(write_bundle(tmp_path / "b")))
    for bad in (np.zeros((1, SIZE, SIZE + 1, 3), np.uint8), np.zeros((1, SIZE, SIZE, 3))):
        with pytest.raises(ValueError, match="uint8"):
            predictor.predict(bad)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (b"no network", "cannot load it"),
        (build_network(size=48), "its input is not frames"),
        (build_network(classes=3), "does not fit the classes"),
    ],
)
def test_a_network_that_is_not_the_bundles_is_refused_in_one_line(tmp_path, network, said):
    bundle = open_bundle(write_bundle(tmp_path / "b", network))
    with pytest.raises(ArtifactError, match=said) as raised:
        Predictor(bundle)
    assert "\n" not in str(raised.value)


def test_a_network_changed_after_the_bundle_was_opened_is_not_run(tmp_path):
    bundle = open_bundle(write_bundle(tmp_path / "b"))
    (bundle.folder / "student.onnx").write_bytes(build_network(classes=3))
    with pytest.raises(ArtifactError):
        Predictor(bundle)


def test_a_network_of_nans_says_so_instead_of_a_class(tmp_path):
    import onnx

    model = onnx.load_from_string(build_network())
    slopes = next(one for one in model.graph.initializer if one.name == "slopes")
    slopes.CopyFrom(onnx.numpy_helper.from_array(np.full((3, 4), np.nan, np.float32), "slopes"))
    bundle = write_bundle(tmp_path / "b", model.SerializeToString())
    cv2.imwrite(str(tmp_path / "a.png"), mucosa())
    code, said = predict(bundle, tmp_path / "a.png", "--out", tmp_path / "out")
    assert code == 1
    assert "gave no probabilities" in said


def test_frames_of_dicom_files_carry_their_number_and_their_files_uid(tmp_path):
    write_dicom(tmp_path / "in" / "one.dcm", [1], uid="1.2.3.4")
    write_dicom(tmp_path / "in" / "IM0002", [1, 2, 3], uid="1.2.3.5")
    bundle = write_bundle(tmp_path / "b")
    assert predict(bundle, tmp_path / "in", "--out", tmp_path / "out")[0] == 0
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())["frames"]
    told = [(one["frame"], one["number"], one["sop_instance_uid"]) for one in found]
    assert told == [
        ("IM0002#1", 1, "1.2.3.5"),
        ("IM0002#2", 2, "1.2.3.5"),
        ("IM0002#3", 3, "1.2.3.5"),
        ("one.dcm", None, "1.2.3.4"),
    ]
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    everything = b"".join(path.read_bytes() for path in written)
    assert b"SECRET" not in everything
    predictor = Predictor(open_bundle(bundle))
    for one in found:
        pixels = read_of_many(tmp_path / "in" / one["frame"], Limits())
        wanted = predictor.predict(prepare_frame(pixels, SIZE)[np.newaxis])
        given = [one["classes"][name] for name in CLASSES]
        assert given == pytest.approx(wanted.class_probabilities[0], abs=1e-6)


def test_a_report_among_the_images_is_no_fault(tmp_path):
    write_dicom(tmp_path / "in" / "one.dcm", [1], uid="1.2.3.4")
    report = pydicom.dcmread(tmp_path / "in" / "one.dcm")
    for name in ("PixelData", "Rows", "Columns"):
        delattr(report, name)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    report.save_as(tmp_path / "in" / "report.dcm")
    assert predict(write_bundle(tmp_path / "b"), tmp_path / "in", "--out", tmp_path / "out")[0] == 0
    assert len(rows_of(tmp_path / "out")) == 1


@pytest.mark.realdata
def test_real_files_of_one_picture_in_three_encodings_get_one_answer(tmp_path):
    given = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
    code, _ = predict(write_bundle(tmp_path / "b"), given, "--out", tmp_path / "out")
    rows = {row["frame"]: row for row in rows_of(tmp_path / "out")}
    faults = [row["where"] for row in rows_of(tmp_path / "out", "faults.csv")]
    assert code == 1
    assert faults
    assert all(where.startswith("broken/") for where in faults)
    shares = [f"p_{name}" for name in CLASSES]
    for exam in ("VL1", "VL3"):
        told = [
            [rows[f"endoscopy/{exam}_{way}"][p] for p in shares] for way in ("UNC", "RLE", "J2KR")
        ]
        assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("threads", [1, 3])
def test_videos_are_answered_frame_by_frame_by_their_stride(tmp_path, threads):
    pytest.importorskip("av")
    write_video(tmp_path / "in" / "clip.mp4", 150)
    bundle, out = write_bundle(tmp_path / "b"), tmp_path / "out"
    code, said = predict(
        bundle, tmp_path / "in", "--out", out, "--stride", 2, "--threads", threads, "--json"
    )
    rows = rows_of(out)
    assert (code, json.loads(said)["frames"]) == (0, 75)
    assert [row["frame"] for row in rows] == [f"clip.mp4#{n}" for n in range(0, 150, 2)]
    predictor = Predictor(open_bundle(bundle))
    for row in rows[::20]:
        pixels = read_of_many(tmp_path / "in" / row["frame"], Limits())
        wanted = predictor.predict(prepare_frame(pixels, SIZE)[np.newaxis])
        given = [float(row[f"p_{name}"]) for name in CLASSES]
        assert given == pytest.approx(wanted.class_probabilities[0], abs=1e-6)
    again = predict(bundle, tmp_path / "in", "--out", out, "--stride", 2, "--json")[1]
    assert json.loads(again)["known_before"] == 75
    assert "stride" in predict(bundle, tmp_path / "in", "--out", out)[1]
