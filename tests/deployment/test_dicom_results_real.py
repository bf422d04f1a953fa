"""DICOM results of real endoscopies and color files, judged by dciodvfy."""

import shutil
from pathlib import Path

import pydicom
import pytest
from drawn_study import list_errors, make_bundle, needs_judge, read_json, read_reports, said_in
from predicting import predict, rows_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
ALL = ("--dicom", "--presentation-state", "--secondary-capture")


@pytest.mark.realdata
@needs_judge
def test_the_real_samples_are_answered_without_an_error(tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(SAMPLES / "endoscopy", folder / "endoscopy")
    (folder / "endoscopy").chmod(0o755)
    for path in sorted((SAMPLES / "multiframe").iterdir()):
        shutil.copy(path, folder / path.name)
    bundle = make_bundle(tmp_path / "bundle")
    code, said = predict(bundle, folder, "--out", tmp_path / "out", *ALL)
    assert code == 1
    faults = {row["where"]: row["what"] for row in rows_of(tmp_path / "out", "dicom_faults.csv")}
    assert faults == {
        "SC_rgb_2frame.dcm": "has the SOP instance UID of another file SC_rgb_rle_2frame.dcm",
        "SC_rgb_rle_2frame.dcm": "has the SOP instance UID of another file SC_rgb_2frame.dcm",
        "SC_rgb_jls_lossy_sample.dcm": "no DICOM result: has no StudyInstanceUID",
    }
    told = {}
    for report in read_reports(tmp_path / "out"):
        told |= said_in(report)
    wanted = {
        (frame["sop_instance_uid"], frame["number"])
        for frame in read_json(tmp_path / "out")
        if frame["file"] not in faults
    }
    assert set(told) == wanted
    assert len(wanted) == 105
    kinds = {}
    for path in (tmp_path / "out" / "dicom").rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        # One capture, report and state of each study: the judge takes a while.
        if kinds.setdefault((dataset.StudyInstanceUID, dataset.Modality), path) == path:
            assert list_errors(path) == [], path
    assert said.count("Traceback") == 0
