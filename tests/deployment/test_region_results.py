"""Presentation states, captures and PDFs: judged by dciodvfy, and held against what went in."""

import dataclasses
import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from drawn_study import MOMENT, draw_blob, list_errors, make_exam, needs_judge

from polypskd.deployment.dicom_objects import region_results
from polypskd.deployment.dicom_objects.encapsulated_pdf import build_document, read_pdf
from polypskd.deployment.dicom_objects.presentation_state import build_presentation, make_profile
from polypskd.deployment.dicom_objects.region_results import write_pictures
from polypskd.deployment.dicom_objects.regions import Box
from polypskd.deployment.dicom_objects.result_objects import RESEARCH, ResultWish, write_result
from polypskd.deployment.dicom_objects.secondary_capture import build_capture, draw_capture
from polypskd.deployment.prediction.shots import hash_file
from polypskd.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
BOX = Box(20, 10, 40, 30)
PDF = b"%PDF-1.4\n1 0 obj\nendobj\n%%EOF\n "
BOTH = ResultWish(MOMENT, presentation_state=True, secondary_capture=True)


def present(exam, folder, boxes=None):
    boxes = [BOX] * len(exam.findings) if boxes is None else boxes
    return write_result(build_presentation(exam, exam.findings, boxes), folder)


def capture(exam, folder, box=BOX):
    made = build_capture(exam, exam.findings[0], draw_blob(), box)
    return write_result(made, folder)


def polylines(state):
    """Give frame number → points; 0 where the file has one frame."""
    found = {}
    for item in state.GraphicAnnotationSequence:
        if "GraphicObjectSequence" in item:
            (line,) = item.GraphicObjectSequence
            (image,) = item.ReferencedImageSequence
            number = int(image.get("ReferencedFrameNumber") or 0)
            found[number] = [float(one) for one in line.GraphicData]
    return found


def of_hash(exam, path):
    """The exam with the answers that the file's own bytes were given."""
    sha256 = hash_file(path)
    findings = tuple(
        dataclasses.replace(one, answer=dataclasses.replace(one.answer, input_sha256=sha256))
        for one in exam.findings
    )
    return dataclasses.replace(exam, findings=findings)


@needs_judge
@pytest.mark.parametrize("frames", [(None,), (1, 2)])
def test_dciodvfy_finds_no_error_in_any_of_them(tmp_path, frames):
    exam = make_exam(tmp_path, frames)
    made = [present(exam, tmp_path), capture(exam, tmp_path)]
    made.append(write_result(build_document(exam, PDF), tmp_path))
    assert [list_errors(path) for path in made] == [[], [], []]


def test_the_polyline_is_the_box_closed_in_the_pixels_of_its_frame(tmp_path):
    exam = make_exam(tmp_path, (1, 2, 3))
    boxes = [BOX, None, Box(0, 0, 90, 60)]
    state = pydicom.dcmread(present(exam, tmp_path, boxes))
    assert state.SOPClassUID.name == "Color Softcopy Presentation State Storage"
    assert polylines(state) == {
        1: [20, 10, 40, 10, 40, 30, 20, 30, 20, 10],
        3: [0, 0, 90, 0, 90, 60, 0, 60, 0, 0],
    }
    assert {
        item.GraphicObjectSequence[0].GraphicAnnotationUnits
        for item in state.GraphicAnnotationSequence
        if "GraphicObjectSequence" in item
    } == {"PIXEL"}
    (series,) = state.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == exam.findings[0].image.series


def test_words_and_notice_stand_in_layers_of_their_own(tmp_path):
    exam = make_exam(tmp_path)
    state = pydicom.dcmread(present(exam, tmp_path))
    layers = {item.GraphicLayer for item in state.GraphicLayerSequence}
    assert layers == {"AI REGION", "AI TEXT", "AI NOTICE"}
    words = {
        item.GraphicLayer: item.TextObjectSequence[0].UnformattedTextValue
        for item in state.GraphicAnnotationSequence
        if "TextObjectSequence" in item
    }
    assert words == {"AI TEXT": "AI: adenoma (p = 0.75)", "AI NOTICE": RESEARCH}
    assert state.SeriesDescription == RESEARCH
    (finding,) = exam.findings
    tracked = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert tracked.TrackingUID == finding.tracking_uid


def test_colors_of_layers_are_those_that_highdicom_computes():
    from polypskd.deployment.dicom_objects.presentation_state import COLORS, LAB

    for name, color in COLORS.items():
        back = hd.color.CIELabColor(*LAB[name]).to_rgb(clip=True)
        assert np.abs(np.array(back) - color).max() <= 4


def test_the_profile_is_srgb_of_a_class_that_is_allowed_and_always_the_same():
    from PIL import ImageCms

    data = make_profile()
    assert data[12:16] == b"spac"
    assert make_profile.__wrapped__() == data
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize(("kind", "kept"), [(b"scnr", True), (b"spac", True), (b"mntr", False)])
def test_a_profile_of_the_frames_own_is_kept_where_it_is_allowed(tmp_path, kind, kept):
    own = bytearray(make_profile())
    own[12:16], own[90:92] = kind, b"zz"
    exam = make_exam(tmp_path, ICCProfile=bytes(own))
    state = pydicom.dcmread(present(exam, tmp_path))
    assert (state.ICCProfile == bytes(own)) is kept


def test_the_capture_is_the_frame_with_the_box_drawn_and_the_words_below(tmp_path):
    exam = make_exam(tmp_path)
    made = pydicom.dcmread(capture(exam, tmp_path))
    assert (made.BurnedInAnnotation, made.SeriesDescription) == ("YES", RESEARCH)
    pixels, frame = made.pixel_array, draw_blob()
    changed = (pixels[:60] != frame).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (20, 10, 40, 30)
    assert not changed[11:29, 21:39].any()
    assert (pixels[60:] > 200).any()
    (source,) = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == exam.findings[0].image.instance
    assert "ReferencedFrameNumber" not in source


def test_a_capture_of_one_frame_of_many_tells_which(tmp_path):
    exam = make_exam(tmp_path, (1, 2))
    made = build_capture(exam, exam.findings[1], draw_blob(), BOX)
    assert made.SourceImageSequence[0].ReferencedFrameNumber == 2
    assert made.InstanceNumber == 2


def test_a_capture_without_a_box_is_the_frame_itself(tmp_path):
    frame = draw_blob()
    drawn = draw_capture(frame, None, ["AI: unsure", RESEARCH])
    assert np.array_equal(drawn[:60], frame)
    assert drawn.shape[1] == 90


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(88, 58, 90, 60), Box(0, 0, 90, 60)])
def test_boxes_at_the_edge_or_of_one_pixel_are_drawn(box):
    drawn = draw_capture(draw_blob(), box, ["x"])
    assert tuple(drawn[box.top, box.left]) == (0, 255, 255)
    assert tuple(drawn[box.bottom - 1, box.right - 1]) == (0, 255, 255)


def test_captures_and_states_of_a_file_are_written_once_and_alike(tmp_path):
    exam = make_exam(tmp_path, (1, 2, 3), abstained=("", "unsure: risk 0.5"))
    exam = of_hash(exam, exam.findings[0].image.path)
    faults = []
    first = write_pictures(exam, tmp_path / "1", BOTH, faults)
    second = write_pictures(exam, tmp_path / "2", BOTH, faults)
    assert faults == []
    assert len(first) == 4
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    # "adenoma" looks at green, of which there is as much everywhere but in the blob.
    assert set(polylines(pydicom.dcmread(first[0]))) == {1, 3}
    first[1].unlink()
    assert write_pictures(exam, tmp_path / "1", BOTH, faults) == first
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_many_frames_are_divided_among_states(tmp_path, monkeypatch):
    monkeypatch.setattr(region_results, "MOST", 2)
    exam = make_exam(tmp_path, (1, 2, 3))
    exam = of_hash(exam, exam.findings[0].image.path)
    wish = ResultWish(MOMENT, presentation_state=True)
    made = [pydicom.dcmread(path) for path in write_pictures(exam, tmp_path / "1", wish, [])]
    assert [set(polylines(state)) for state in made] == [{1, 2}, {3}]
    assert [state.InstanceNumber for state in made] == [1, 3]


def test_a_file_that_changed_since_is_told_of_and_left_out(tmp_path):
    exam = make_exam(tmp_path)
    faults = []
    assert write_pictures(exam, tmp_path / "1", BOTH, faults) == []
    assert [fault.what for fault in faults] == ["changed since it was answered"]


def test_gray_frames_get_a_capture_and_a_word_on_why_no_state(tmp_path):
    gray = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": draw_blob()[..., 0].tobytes(),
    }
    exam = make_exam(tmp_path, **gray)
    exam = of_hash(exam, exam.findings[0].image.path)
    faults = []
    made = write_pictures(exam, tmp_path / "1", BOTH, faults)
    assert [pydicom.dcmread(path).Modality for path in made] == ["OT"]
    assert [fault.what.partition(",")[0] for fault in faults] == ["is no color image"]


def test_the_pdf_comes_out_of_its_study_as_it_went_in(tmp_path):
    (tmp_path / "a.pdf").write_bytes(PDF)
    exam = make_exam(tmp_path)
    data = read_pdf(tmp_path / "a.pdf")
    document = pydicom.dcmread(write_result(build_document(exam, data), tmp_path))
    length = document.EncapsulatedDocumentLength
    assert (document.EncapsulatedDocument[:length], length) == (PDF, len(PDF))
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert "RESEARCH USE ONLY" in document.DocumentTitle
    assert document.StudyInstanceUID == exam.study


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4 cut", b"GIF89a %%EOF", None])
def test_what_is_no_whole_pdf_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "a.pdf"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as told:
        read_pdf(path)
    assert len(told.value.lines) == 1
    with pytest.raises(ConfigError, match="not a plain file"):
        read_pdf(tmp_path)
