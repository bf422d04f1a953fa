"""`predict --dicom` as a user runs it: studies in, results out, whatever lies among them."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pydicom
import pytest
from drawn_study import (
    MOMENT,
    PATIENT,
    REPORT,
    answer,
    draw_blob,
    draw_file,
    list_errors,
    make_bundle,
    needs_judge,
    read_json,
    read_reports,
    results_of,
    said_in,
)
from predicting import predict, rows_of
from small_bundle import CLASSES

from polypskd.cohort.damage import DamageError
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.dicom_objects.dicom_results import write_dicom_results
from polypskd.deployment.dicom_objects.result_objects import ResultWish
from polypskd.deployment.prediction import shots
from polypskd.deployment.prediction.shots import Shot
from polypskd.errors import CohortError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
ALL = ("--dicom", "--presentation-state", "--secondary-capture")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    band = {"negative_to": 0.45, "positive_from": 0.55, "fixed_on": "val", "unit": "frames"}
    return make_bundle(tmp_path_factory.mktemp("bundle"), confidence=band, quality={})


@pytest.fixture(autouse=True)
def same_moment(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(MOMENT.timestamp())))


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "in"
    for number, color in enumerate([(230, 20, 20), (20, 20, 230), (70, 70, 70)], start=1):
        draw_file(folder / f"ZQfile{number}.dcm", number, frame=draw_blob(color=color))
    draw_file(folder / "many.dcm", 1, frames=3, study=2)
    return folder


def classes_of(out):
    names = [pydicom.dcmread(path).SOPClassUID.name for path in (out / "dicom").rglob("*.dcm")]
    return {name: names.count(name) for name in sorted(set(names))}


def test_reports_say_what_predictions_json_says(bundle, studies, tmp_path):
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 0, said
    assert "2 files for 2 studies" in said
    told = {}
    for report in read_reports(tmp_path / "out"):
        told |= said_in(report)
    wanted = {}
    for frame in read_json(tmp_path / "out"):
        named = f"P{CLASSES.index(frame['predicted'])}" if frame["predicted"] else None
        numbers = [*frame["classes"].values(), frame["confidence"]]
        key = (frame["sop_instance_uid"], frame["number"])
        wanted[key] = (named, bool(frame["abstained"]), numbers)
    assert told == wanted
    assert {named for named, *_ in wanted.values()} >= {"P0", "P1"}


@needs_judge
def test_nothing_that_is_written_has_an_error(bundle, studies, tmp_path):
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(b"%PDF-1.4\n%%EOF\n")
    code, _ = predict(bundle, studies, "--out", tmp_path / "out", *ALL, "--report", pdf)
    assert code == 0
    assert classes_of(tmp_path / "out") == {
        "Color Softcopy Presentation State Storage": 3,  # the gray frame has no class
        REPORT: 2,
        "Encapsulated PDF Storage": 2,
        "Secondary Capture Image Storage": 6,
    }
    for path in (tmp_path / "out" / "dicom").rglob("*.dcm"):
        assert list_errors(path) == [], path


def test_files_are_named_by_their_uids_below_their_studies(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "out", *ALL)
    for path in (tmp_path / "out" / "dicom").rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        assert path.name == f"{dataset.SOPInstanceUID}.dcm"
        assert path.parent.name == dataset.StudyInstanceUID
        assert dataset.SOPInstanceUID.startswith("2.25.")
        assert dataset.SOPInstanceUID.is_valid


def test_no_word_of_the_patient_stands_anywhere_but_in_the_objects(bundle, studies, tmp_path):
    draw_file(studies / "empty.dcm", 9, study=9, StudyInstanceUID="")
    draw_file(studies / "other.dcm", 8, PatientID="ZQ4712")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "polypskd", "predict", bundle, studies, *ALL, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    plain = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    text = done.stdout + done.stderr + "".join(str(path) for path in out.rglob("*"))
    text += "".join(path.read_text() for path in plain)
    for word in (*PATIENT, "ZQ4712", "ZQ1", "ZQ2"):
        assert word not in text.replace("ZQfile", "")
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("options", [("--dicom",), ALL])
def test_the_same_command_gives_the_same_bytes(bundle, studies, tmp_path, options):
    predict(bundle, studies, "--out", tmp_path / "one", *options)
    predict(bundle, studies, "--out", tmp_path / "two", *options, "--threads", 3)
    first = results_of(tmp_path / "one")
    assert first
    assert results_of(tmp_path / "two") == first
    predict(bundle, studies, "--out", tmp_path / "one", *options)
    assert results_of(tmp_path / "one") == first


def test_names_and_order_of_files_change_nothing(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "one", *ALL)
    for turn, path in enumerate(sorted(studies.iterdir(), reverse=True)):
        path.rename(studies / f"{turn}.dcm")
    predict(bundle, studies, "--out", tmp_path / "two", *ALL)
    assert results_of(tmp_path / "two") == results_of(tmp_path / "one")


def test_a_later_run_repeats_the_moment_of_the_first(bundle, studies, tmp_path, monkeypatch):
    predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    first = results_of(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "dicom")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert results_of(tmp_path / "out") == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    code, said = predict(bundle, studies, "--out", tmp_path / "new", "--dicom")
    assert (code, said.count("\n")) == (1, 0)
    assert "SOURCE_DATE_EPOCH" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("given", ["", "-1", "1.5", "1" * 12, "-62135590000", "\u0663"])
def test_a_moment_that_is_none_is_refused_before_the_work(
    bundle, studies, tmp_path, monkeypatch, given
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert (code, "must be seconds since 1970" in said) == (1, True)
    assert not (tmp_path / "out").exists()


def test_images_have_no_study_and_are_counted(bundle, studies, tmp_path):
    cv2.imwrite(str(studies / "a.png"), draw_blob())
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 0
    assert "no DICOM, and so of no study: 1 file\n" in f"{said}\n"
    assert len(results_of(tmp_path / "out")) == 2


def test_one_bad_study_does_not_stop_the_others(bundle, studies, tmp_path):
    draw_file(studies / "x1.dcm", 1, study=3, StudyInstanceUID="")
    draw_file(studies / "x2.dcm", 1, study=4, SeriesInstanceUID=None)
    draw_file(studies / "x3.dcm", 1, study=5)
    draw_file(studies / "x4.dcm", 2, study=5, PatientID="SOMEONE")
    draw_file(studies / "x5.dcm", 1, study=6)
    draw_file(studies / "x6.dcm", 1, study=6, frame=draw_blob(color=(1, 2, 3)))
    (studies / "x7.dcm").write_bytes((studies / "x6.dcm").read_bytes()[:900])
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 1
    faults = {row["where"]: row["what"] for row in rows_of(tmp_path / "out", "dicom_faults.csv")}
    assert faults == {
        "x1.dcm": "no DICOM result: has no StudyInstanceUID",
        "x2.dcm": "no DICOM result: has no SeriesInstanceUID",
        "x3.dcm": "files of one study name different patients, so that no DICOM result is made",
        "x5.dcm": "has the SOP instance UID of another file x6.dcm",
        "x6.dcm": "has the SOP instance UID of another file x5.dcm",
    }
    assert [row["where"] for row in rows_of(tmp_path / "out", "faults.csv")] == ["x7.dcm"]
    assert "Traceback" not in said
    assert len(results_of(tmp_path / "out")) == 2


def test_captures_of_gray_frames_stay_where_no_state_can_be_made(bundle, tmp_path):
    gray = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": draw_blob()[..., 0].tobytes(),
    }
    draw_file(tmp_path / "in" / "gray.dcm", **gray)
    for _ in range(2):
        code, said = predict(bundle, tmp_path / "in", "--out", tmp_path / "out", *ALL)
        assert code == 1
        assert "gray.dcm: is no color image" in said
        assert set(classes_of(tmp_path / "out")) == {REPORT, "Secondary Capture Image Storage"}


def test_a_copy_of_a_file_is_reported_once(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "one", *ALL)
    (studies / "copy.dcm").write_bytes((studies / "ZQfile1.dcm").read_bytes())
    code, _ = predict(bundle, studies, "--out", tmp_path / "two", *ALL)
    assert code == 0
    assert results_of(tmp_path / "two") == results_of(tmp_path / "one")


def test_a_frame_that_cannot_be_read_makes_its_report_partial(bundle, studies, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    every = (*ALL, "--report", tmp_path / "a.pdf")
    whole = (studies / "ZQfile2.dcm").read_bytes()
    (studies / "ZQfile2.dcm").write_bytes(whole[:-500])
    code, _ = predict(bundle, studies, "--out", tmp_path / "out", *every)
    before = set(results_of(tmp_path / "out"))
    assert code == 1
    flags = [report.CompletionFlag for report in read_reports(tmp_path / "out")]
    assert sorted(flags) == ["COMPLETE", "PARTIAL"]
    (studies / "ZQfile2.dcm").write_bytes(whole)
    predict(bundle, studies, "--out", tmp_path / "out", *every)
    predict(bundle, studies, "--out", tmp_path / "fresh", *every)
    mended = results_of(tmp_path / "out")
    assert results_of(tmp_path / "fresh") == mended
    # An archive gets what is new alone: one report, and the picture and the state of one frame.
    assert (len(before - set(mended)), len(set(mended) - before)) == (1, 3)


def test_a_frame_of_a_file_that_cannot_be_read_makes_its_report_partial(
    bundle, tmp_path, monkeypatch
):
    draw_file(tmp_path / "in" / "many.dcm", frames=3)
    read = shots.read_dicom

    def read_but_one(*given):
        for shot in read(*given):
            yield Shot(2, None, damage=DamageError("cut short")) if shot.number == 2 else shot

    monkeypatch.setattr(shots, "read_dicom", read_but_one)
    code, _ = predict(bundle, tmp_path / "in", "--out", tmp_path / "out", "--dicom")
    assert code == 1
    (report,) = read_reports(tmp_path / "out")
    assert [frame for _, frame in said_in(report)] == [1, 3]
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription.startswith("1 ")


def test_a_report_that_is_there_is_not_made_again(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "out", *ALL)
    paths = sorted((tmp_path / "out" / "dicom").rglob("*.dcm"))
    before = [path.stat().st_ino for path in paths]
    predict(bundle, studies, "--out", tmp_path / "out", *ALL)
    assert [path.stat().st_ino for path in paths] == before


def test_results_among_the_inputs_are_not_judged_again(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "one", *ALL)
    shutil.copytree(tmp_path / "one" / "dicom", studies / "back")
    code, said = predict(bundle, studies, "--out", tmp_path / "two", *ALL)
    assert code == 0, said
    assert len(read_json(tmp_path / "two")) == 6
    assert results_of(tmp_path / "two") == results_of(tmp_path / "one")


def test_what_was_asked_for_and_cannot_be_is_told_before_the_work(bundle, studies, tmp_path):
    from small_bundle import write_bundle

    plain = write_bundle(tmp_path / "plain")
    for option in ALL[1:]:
        code, said = predict(plain, studies, "--out", tmp_path / "out", option)
        assert code == 1
        assert "no region can be shown" in said
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--report", tmp_path / "no")
    assert code == 1
    assert "check --report" in said
    assert not (tmp_path / "out").exists()


def test_no_result_is_written_through_a_link(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "dicom").symlink_to(tmp_path / "elsewhere")
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 1
    assert "is a link" in said
    assert not list((tmp_path / "elsewhere").iterdir())


def draw_video(tmp_path, width=96):
    """Draw a video whose header tells its width."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    from pydicom.encaps import encapsulate

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for turn in range(9):
            frame = np.full((64, 96, 3), 20 + turn, np.uint8)
            frame[10:30, 20:50] = (230, 20, 20)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        made.mux(stream.encode())
    data = path.read_bytes()
    file = draw_file(
        tmp_path / "in" / "clip.dcm",
        frame=draw_blob(64, width),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        NumberOfFrames="9",
        PhotometricInterpretation="YBR_PARTIAL_420",
    )
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    dataset.PixelData = encapsulate([data + b"\0" * (len(data) % 2)])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(file)
    return file


def test_frames_of_a_video_are_referred_to_by_their_numbers(bundle, tmp_path):
    file = draw_video(tmp_path)
    code, said = predict(bundle, file, "--out", tmp_path / "out", *ALL, "--stride", 4)
    assert code == 0, said
    (report,) = read_reports(tmp_path / "out")
    assert [frame for _, frame in said_in(report)] == [1, 5, 9]
    states = [
        pydicom.dcmread(path)
        for path in (tmp_path / "out" / "dicom").rglob("*.dcm")
        if pydicom.dcmread(path).Modality == "PR"
    ]
    lines = [
        (
            int(item.ReferencedImageSequence[0].ReferencedFrameNumber),
            [float(one) for one in item.GraphicObjectSequence[0].GraphicData][:6:5],
        )
        for item in states[0].GraphicAnnotationSequence
        if "GraphicObjectSequence" in item
    ]
    assert [number for number, _ in lines] == [1, 5, 9]
    if shutil.which("dciodvfy"):
        for path in (tmp_path / "out" / "dicom").rglob("*.dcm"):
            assert list_errors(path) == [], path
    for _, (left, bottom) in lines:
        assert (left, bottom) == (pytest.approx(20, abs=4), pytest.approx(30, abs=4))


def test_a_video_of_another_size_than_its_header_says_gets_no_region(bundle, tmp_path):
    file = draw_video(tmp_path, width=98)
    code, said = predict(bundle, file, "--out", tmp_path / "out", *ALL, "--stride", 4)
    assert code == 1
    assert "frames have another size than its header says '96x64'" in said
    assert len(results_of(tmp_path / "out")) == 1


def test_another_caller_gets_files_or_one_error(bundle, studies, tmp_path):
    opened = open_bundle(bundle)
    path = studies / "ZQfile1.dcm"
    told = [answer("whatever")]
    files = {"whatever": path, "unanswered": studies / "ZQfile2.dcm"}
    made = write_dicom_results(opened, told, files, tmp_path / "to", ResultWish(MOMENT))
    assert [one.parent for one in made] == [tmp_path / "to"]
    assert pydicom.dcmread(made[0]).CompletionFlag == "PARTIAL"
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    files = {"whatever": tmp_path / "broken.dcm"}
    with pytest.raises(CohortError) as error:
        write_dicom_results(opened, told, files, tmp_path / "to", ResultWish(MOMENT))
    assert error.value.count == 1
    mixed = {"a": path, "b": studies / "many.dcm"}
    with pytest.raises(CohortError, match="another study"):
        write_dicom_results(
            opened, [answer("a"), answer("b", 1)], mixed, tmp_path / "to", ResultWish(MOMENT)
        )


def test_what_breaks_in_one_study_does_not_stop_the_others(bundle, studies, tmp_path, monkeypatch):
    from polypskd.deployment.dicom_objects import dicom_results

    build = dicom_results.build_structured_report

    def fail_once(exam, part):
        if exam.study.endswith(".2"):
            raise ValueError("ZQ4711")
        return build(exam, part)

    monkeypatch.setattr(dicom_results, "build_structured_report", fail_once)
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 1
    assert "many.dcm: a DICOM result of its study cannot be made (ValueError)" in said
    assert "ZQ4711" not in said
    assert len(results_of(tmp_path / "out")) == 1


def test_a_full_disk_is_told_in_one_line(bundle, studies, tmp_path, monkeypatch):
    predict(bundle, studies, "--out", tmp_path / "out")

    def fail(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pydicom, "dcmwrite", fail)
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert code == 1
    assert "free some space" in said
    monkeypatch.undo()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(MOMENT.timestamp())))
    assert predict(bundle, studies, "--out", tmp_path / "out", "--dicom")[0] == 0
    assert len(results_of(tmp_path / "out")) == 2


def test_without_the_library_predictions_are_made_and_results_are_refused_in_one_line(
    bundle, studies, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    assert predict(bundle, studies, "--out", tmp_path / "plain")[0] == 0
    code, said = predict(bundle, studies, "--out", tmp_path / "out", "--dicom")
    assert (code, said.count("\n")) == (1, 0)
    assert "pip install 'polypskd[serve]'" in said
    assert not (tmp_path / "out").exists()


def test_results_hang_on_the_pixels_and_not_on_how_an_archive_wraps_them(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "one", *ALL)
    for path in studies.glob("ZQfile*.dcm"):
        source = pydicom.dcmread(path)
        source.file_meta.ImplementationVersionName = "ANOTHER"
        source.RetrieveAETitle = "ANOTHER"
        source.save_as(path)
    predict(bundle, studies, "--out", tmp_path / "two", *ALL)
    assert [*results_of(tmp_path / "two")] == [*results_of(tmp_path / "one")]


def test_other_pixels_under_the_same_uid_are_another_result(bundle, studies, tmp_path):
    predict(bundle, studies, "--out", tmp_path / "one", "--dicom")
    (path,) = studies.glob("ZQfile2.dcm")
    source = pydicom.dcmread(path)
    source.PixelData = bytes(source.PixelData[:-1]) + bytes([source.PixelData[-1] ^ 1])
    source.save_as(path)
    predict(bundle, studies, "--out", tmp_path / "two", "--dicom")
    one, two = (set(results_of(tmp_path / name)) for name in ("one", "two"))
    assert (len(one - two), len(two - one)) == (1, 1)
