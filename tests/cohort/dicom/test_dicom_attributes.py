import pytest
from pydicom.dataset import Dataset

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import open_dicom, read_attributes
from polypskd.cohort.dicom.attributes import DEFAULTS, LONGEST, check_map, clean_value
from polypskd.errors import ConfigError


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def test_the_default_columns_are_read(make, picture):
    path = make(
        picture,
        PatientID=" P-0042 ",
        StudyInstanceUID="2.25.10",
        SeriesInstanceUID="2.25.11",
        Modality="ES",
        Manufacturer="OLYMPUS",
        ManufacturerModelName="CV-190",
        SoftwareVersions=["1.0", "2.1"],
        AnatomicRegionSequence=[code("60184004", "Sigmoid colon")],
        AcquisitionDateTime="20240102030405",
        PatientBirthDate="19500101",
        BurnedInAnnotation="YES",
        NumberOfFrames=1,
    )
    found = read_attributes(path)
    assert dict(found.columns) == {
        "patient": "P-0042",
        "study": "2.25.10",
        "series": "2.25.11",
        "instance": "2.25.1",
        "modality": "ES",
        "region": "Sigmoid colon",
        "region_code": "60184004",
        "laterality": "",
        "manufacturer": "OLYMPUS",
        "device": "CV-190",
        "software": "1.0/2.1",
        "illumination": "",
    }
    assert (found.patient, found.study, found.series) == ("P-0042", "2.25.10", "2.25.11")
    assert (found.frames, found.width, found.height) == (1, 53, 37)
    assert (found.syntax, found.photometric) == ("explicit VR little endian", "RGB")
    assert found.burned_in == "YES"


def test_no_default_column_is_a_date_or_a_name():
    for path in DEFAULTS.values():
        assert not {"Date", "Time", "Name"} & set(
            path.replace("ManufacturerModelName", "").split(".")
        )
        assert "Date" not in path
        assert "PatientName" not in path


@pytest.mark.parametrize(("tag", "told"), [("NO", "NO"), ("", "unknown"), ("MAYBE", "unknown")])
def test_burned_in_text_is_unknown_unless_stated(make, picture, tag, told):
    assert read_attributes(make(picture, BurnedInAnnotation=tag)).burned_in == told
    assert read_attributes(make(picture)).burned_in == "unknown"


def test_a_date_is_read_where_it_is_asked_for(make, picture):
    path = make(picture, AcquisitionDateTime="20240102030405", ContentDate="20240103")
    columns = {"day": "AcquisitionDate|ContentDate", "at": "AcquisitionDateTime"}
    assert dict(read_attributes(path, columns).columns) == {
        "day": "20240103",
        "at": "20240102030405",
    }


def test_paths_lead_into_items_and_alternatives_are_tried_in_order(make, picture):
    inner = code("1", "outer")
    inner.AnatomicRegionModifierSequence = [code("7", "left"), code("8", "right")]
    path = make(picture, AnatomicRegionSequence=[inner], Laterality="L")
    columns = {
        "side": "ImageLaterality|Laterality",
        "modifier": "AnatomicRegionSequence.AnatomicRegionModifierSequence.CodeMeaning",
        "none": "ViewCodeSequence.CodeMeaning",
        "through": "Laterality.CodeMeaning",
        "whole": "AnatomicRegionSequence",
    }
    found = read_attributes(path, columns).columns
    assert found["side"] == "L"
    assert found["modifier"] == "left"
    assert found["none"] == found["through"] == ""
    assert found["whole"] == ""


@pytest.mark.parametrize(
    "path", ["Patient", "AnatomicRegionSequence.Meaning", "", "A|B", "__class__"]
)
def test_an_unknown_keyword_is_told(path):
    with pytest.raises(ConfigError, match="unknown DICOM keyword"):
        check_map({"x": path})


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("a\0\x1b[31mb\r\nc\u202ed", "a [31mb c d"),
        ("  ", ""),
        (None, ""),
        (b"\0\1", ""),
        (3, "3"),
        (["a", "b"], "a/b"),
        ("x" * 10_000, "x" * LONGEST),
        (["y" * 10_000] * 3, "y" * LONGEST),
    ],
)
def test_values_become_one_short_plain_line(value, clean):
    assert clean_value(value) == clean


def test_names_in_other_scripts_are_kept(make, picture):
    path = make(picture, SpecificCharacterSet="ISO_IR 192", Manufacturer="富士フイルム")
    assert read_attributes(path).columns["manufacturer"] == "富士フイルム"


def test_the_attributes_of_a_video_are_read(make):
    path = make([b"stream"], "1.2.840.10008.1.2.4.102", Rows=8, Columns=9, NumberOfFrames=250)
    found = read_attributes(path)
    assert (found.frames, found.width, found.height) == (250, 9, 8)
    assert found.syntax == "H.264 high profile 4.1"
    with pytest.raises(DamageError, match="is a video"):
        open_dicom(path)
