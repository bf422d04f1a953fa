"""What a DICOM file holds besides a plain picture: reports, tables, hidden files."""

import copy
import shutil

import numpy as np
import pydicom
import pytest
from planting import DATE, MARKERS, ROOT, draw_dataset, draw_frame, fill_item, write_dicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian
from test_conformance import list_errors

from polypskd.deployment.deidentification.attributes import Cleaning, Patient, clean_attributes
from polypskd.deployment.deidentification.panel import Trust
from polypskd.deployment.deidentification.profile import decide_action
from polypskd.deployment.deidentify import Wish, deidentify

KEY = b"k" * 32
ALL = frozenset({"dates", "device", "patient"})
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
needs_validator = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) not found"
)


def clean(tmp_path, dataset, retained=frozenset(), **options):
    write_dicom(tmp_path / "in" / "a.dcm", dataset, **options)
    outcome = deidentify(
        tmp_path / "in", tmp_path / "out", Wish(KEY, retained, trust=Trust(pixels=True))
    )
    return outcome, list((tmp_path / "out").rglob("*.dcm"))


def make_item(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def draw_gray(**values):
    gray = np.arange(1280).astype(np.uint8)
    dataset = draw_dataset(
        PhotometricInterpretation="MONOCHROME2",
        SamplesPerPixel=1,
        Rows=32,
        Columns=40,
        PixelData=gray.tobytes(),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        ConversionType="DV",
        Modality="OT",
        **values,
    )
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.ImplementationClassUID = "1.2.3"
    del dataset.PlanarConfiguration
    return dataset


REPORT = "1.2.840.10008.5.1.4.1.1.88.22"
OTHERS = {
    REPORT: "report",
    "1.2.840.10008.5.1.4.1.1.88.59": "report",  # key objects
    "1.2.840.10008.5.1.4.1.1.11.1": "file of data",  # a presentation state
    "1.2.840.10008.5.1.4.1.1.9.1.1": "file of data",  # an ECG
    "1.2.840.10008.5.1.4.1.1.104.1": "document",
    "1.2.840.10008.5.1.4.1.1.77.1.1": "cut short",
}


@pytest.mark.parametrize(("identity", "word"), OTHERS.items())
def test_what_is_no_image_is_refused_and_nothing_of_it_written(tmp_path, identity, word):
    dataset = draw_dataset(SOPClassUID=identity)
    for element in dataset.group_dataset(0x0028):
        del dataset[element.tag]
    del dataset.PixelData
    if word == "report":
        age = make_item(NumericValue="93")
        dataset.ContentSequence = [
            make_item(ValueType="PNAME", PersonName="ZQ^Doe"),
            make_item(ValueType="NUM", MeasuredValueSequence=[age]),
        ]
    if word == "document":
        dataset.EncapsulatedDocument = b"%PDF ZQ"
    outcome, made = clean(tmp_path, dataset)
    assert word in str(outcome.refused[0])
    assert "ZQ" not in str(outcome.refused[0])
    assert made == []


def test_numbers_about_the_person_go_though_the_table_does_not_name_them():
    dataset = draw_dataset(OtherStudyNumbers="474747", PatientBodyMassIndex="47.4747")
    dataset.add_new(0x00109431, "FL", 47.0)
    dataset.add_new(0x00100022, "CS", "TEXT")
    dataset.PatientSizeCodeSequence = [fill_item(0)]
    dataset.add_new(0x00181110, "DS", "4" * 40)  # longer than a decimal may be
    dataset.ContentSequence = [make_item(ValueType="NUM", NumericValue="93")]
    for retained in (frozenset(), ALL):
        made = clean_attributes(dataset, Cleaning(KEY, retained), Patient("p", -9))
        for tag in (0x00201070, 0x00101022, 0x00109431, 0x00100022, 0x00101021, 0x0040A730):
            assert tag not in made
        assert made[0x00181110].value is None


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("104Y", "090Y"),
        ("011M", "011M"),
        ("93", ""),
        ("ZQY", ""),
    ],
)
def test_of_the_oldest_the_age_is_not_told(age, kept):
    item = make_item(PatientAge=age)
    dataset = draw_dataset(PatientAge=age, ReferencedSeriesSequence=[item])
    made = clean_attributes(dataset, Cleaning(KEY, frozenset({"patient"})), Patient("p", -9))
    for one in (made, made.ReferencedSeriesSequence[0]):
        assert (one.PatientAge or "") == kept
    assert "PatientAge" not in clean_attributes(dataset, Cleaning(KEY), Patient("p", -9))


@needs_validator
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_tables_that_show_gray_go_as_a_whole(tmp_path, syntax):
    dataset = draw_gray()
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    for name, kind in (("VOILUTSequence", "OW"), ("ModalityLUTSequence", "US")):
        item = make_item(LUTExplanation="ZQ table", ModalityLUTType="US")
        item.add_new(0x00283002, "US", [256, 0, 8])
        item.add_new(0x00283006, kind, bytes(512) if kind == "OW" else [1] * 256)
        setattr(dataset, name, [item])
    dataset.add_new(0x00280120, "US", 7)
    _, (made,) = clean(tmp_path, dataset)
    one = pydicom.dcmread(made)
    assert "VOILUTSequence" not in one
    assert "ModalityLUTSequence" not in one
    assert one.PixelPaddingValue == 7
    new = list_errors(made) - list_errors(tmp_path / "in" / "a.dcm")
    assert not [line for line in new if "LUT" in line or "Lookup" in line]


def test_letters_within_sequences_are_counted_too(tmp_path):
    equipment = make_item(DeviceSerialNumber="光学1", Manufacturer="光学")
    dataset = draw_dataset(
        SpecificCharacterSet="GB18030",
        Manufacturer="Optics",
        PatientName="王^小东=ZQ",
        ReferencedSeriesSequence=[equipment],
    )
    _, (made,) = clean(tmp_path, dataset, frozenset({"device"}))
    one = pydicom.dcmread(made)
    assert one.SpecificCharacterSet == "ISO_IR 192"
    assert one.ReferencedSeriesSequence[0].DeviceSerialNumber == "光学1"
    for charset in ("utf-8", "gb18030"):
        assert "小东".encode(charset) not in made.read_bytes()


def test_names_hidden_around_and_within_the_picture_go(tmp_path):
    icon = draw_dataset()
    del icon.file_meta
    dataset = draw_dataset(IconImageSequence=[icon])
    for tag, kind in (
        (0x60000010, "US"),
        (0x60003000, "OW"),
        (0x601E3000, "OB"),
        (0x50003000, "OW"),
        (0x50000005, "US"),
        (0x00282000, "OB"),
        (0xFFFCFFFC, "OB"),
        (0x00080001, "LO"),
        (0x00280401, "CS"),
        (0x00201F00, "IS"),
    ):
        value = 0x515A if kind == "US" else "ZQ" if kind in {"LO", "CS"} else b"ZQ"
        dataset.add_new(tag, kind, 474747 if kind == "IS" else value)
    tiff = b"II*\0\x08\0\0\0ZQ a picture of its own".ljust(128, b"\0")
    _, (made,) = clean(tmp_path, dataset, ALL, preamble=tiff, after=b"ZQ after" * 9)
    data = made.read_bytes()
    assert data[:128] == bytes(128)
    found = {
        marker
        for marker in MARKERS
        if marker in data.replace(b"ZQ Optics", b"").replace(b"ZQ-190", b"")
    }
    assert found <= {b"134759"}  # a time of the day
    tags = {element.tag.group for element in pydicom.dcmread(made)}
    assert not tags & {0x5000, 0x6000, 0x601E, 0xFFFC}


def test_a_sequence_that_calls_itself_unknown_is_cleaned_as_one(tmp_path):
    dataset = draw_dataset(
        ReferencedSeriesSequence=[make_item(SeriesInstanceUID=f"{ROOT}.8", PatientName="ZQ")]
    )
    source = write_dicom(tmp_path / "in" / "a.dcm", dataset)
    data = source.read_bytes()
    at = data.index(bytes.fromhex("08001511") + b"SQ")
    source.write_bytes(data[: at + 4] + b"UN" + data[at + 6 :])
    outcome = deidentify(tmp_path / "in", tmp_path / "out", Wish(KEY, trust=Trust(pixels=True)))
    assert not outcome.refused
    (made,) = (tmp_path / "out").rglob("*.dcm")
    assert not [marker for marker in MARKERS if marker in made.read_bytes()]


def test_functional_groups_keep_their_order_and_lose_dates_and_private_parts(tmp_path):
    frames = []
    for number in (1, 2):
        content = make_item(
            FrameReferenceDateTime=DATE + "101112",
            FrameComments="ZQ",
            FrameAcquisitionNumber=number,
            StackID="ZQ",
        )
        group = make_item(FrameContentSequence=[content])
        group.private_block(0x0019, "ZQ", create=True).add_new(1, "LO", "ZQ")
        frames.append(group)
    dataset = draw_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7.4",
        NumberOfFrames="2",
        PixelData=draw_frame().tobytes() * 2,
        SharedFunctionalGroupsSequence=[Dataset()],
        PerFrameFunctionalGroupsSequence=frames,
        ConcatenationUID=f"{ROOT}.5",
    )
    _, (made,) = clean(tmp_path, dataset)
    one = pydicom.dcmread(made)
    content = [group.FrameContentSequence[0] for group in one.PerFrameFunctionalGroupsSequence]
    assert [part.FrameAcquisitionNumber for part in content] == [1, 2]
    assert {part.FrameReferenceDateTime for part in content} == {"19000101000000"}
    assert one.ConcatenationUID.startswith("2.25.")
    assert not [marker for marker in MARKERS if marker in made.read_bytes()]


def test_dates_are_shifted_alike_in_every_type_and_birth_dates_never_stay():
    retained = frozenset({"dates"})
    dataset = draw_dataset(
        StudyDate="20240301",
        AcquisitionDateTime="20240301101112.5+0100",
        PatientBirthDate="19470813",
        TimezoneOffsetFromUTC="+0100",
        DateOfLastCalibration=["20240228", "20240301"],
        PatientBirthTime="101112",
    )
    made = clean_attributes(dataset, Cleaning(KEY, retained), Patient("p", -1))
    assert made.StudyDate == "20240229"
    assert made.AcquisitionDateTime == "20240229101112.5+0100"
    assert list(made.DateOfLastCalibration) == ["20240227", "20240229"]
    assert made.TimezoneOffsetFromUTC == "+0100"
    assert not made.get("PatientBirthDate")
    assert not made.get("PatientBirthTime")
    assert "TimezoneOffsetFromUTC" not in clean_attributes(
        copy.deepcopy(dataset), Cleaning(KEY), Patient("p", -1)
    )


@needs_validator
@pytest.mark.parametrize("retained", [frozenset(), ALL])
@pytest.mark.parametrize(
    ("identity", "values"),
    [
        ("1.2.840.10008.5.1.4.1.1.77.1.4", {"Modality": "XC"}),
        ("1.2.840.10008.5.1.4.1.1.7", {"ConversionType": "DV"}),
        (
            "1.2.840.10008.5.1.4.1.1.7.4",
            {"ConversionType": "DV", "FrameIncrementPointer": 0x00181063, "FrameTime": "40"},
        ),
        (
            "1.2.840.10008.5.1.4.1.1.77.1.1.1",
            {"FrameIncrementPointer": 0x00181065, "FrameTimeVector": ["0", "40"], "CineRate": "25"},
        ),
    ],
)
def test_images_of_each_class_stay_as_valid_as_they_were(tmp_path, identity, values, retained):
    local = make_item(CodeValue="W7", CodingSchemeDesignator="99WARD", CodeMeaning="Ward of ZQ")
    public = make_item(CodeValue="71854001", CodingSchemeDesignator="SCT", CodeMeaning="Colon")
    source = make_item(ReferencedSOPClassUID=identity, ReferencedSOPInstanceUID=f"{ROOT}.9")
    count = 2 if "FrameIncrementPointer" in values else 1
    dataset = draw_dataset(
        SOPClassUID=identity,
        PixelData=draw_frame().tobytes() * count,
        NumberOfFrames=str(count),
        ProcedureCodeSequence=[local],
        AnatomicRegionSequence=[public, local],
        SourceImageSequence=[source],
        AcquisitionDateTime="20240301101010",
        SeriesDate="20240301",
        StationName="ZQ",
        InstitutionName="ZQ",
        PatientAge="050Y",
        **values,
    )
    dataset.file_meta.MediaStorageSOPClassUID = identity
    dataset.file_meta.ImplementationClassUID = "1.2.3"
    _, (made,) = clean(tmp_path, dataset, retained)
    assert list_errors(made) - list_errors(tmp_path / "in" / "a.dcm") == set()
    one = pydicom.dcmread(made)
    assert "ProcedureCodeSequence" not in one
    assert [item.CodeValue for item in one.AnatomicRegionSequence] == ["71854001"]
    assert one.NumberOfFrames == count


@pytest.mark.parametrize("tag", [0x00080020, 0x00080050, 0x00200010, 0x00080090])
def test_what_must_be_there_though_empty_is_emptied(tag):
    assert decide_action(tag, "SH") == "empty"


def test_a_uid_made_of_a_date_and_a_number_is_replaced_at_every_depth():
    uid = f"1.2.276.{DATE}.4711"
    inner = make_item(ReferencedSOPInstanceUID=uid, ReferencedSOPClassUID=REPORT)
    dataset = draw_dataset(
        SOPInstanceUID=uid,
        ReferencedSeriesSequence=Sequence([make_item(ReferencedInstanceSequence=[inner])]),
    )
    made = clean_attributes(dataset, Cleaning(KEY), Patient("p", -1))
    deep = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert deep.ReferencedSOPInstanceUID == made.SOPInstanceUID != uid
    assert deep.ReferencedSOPClassUID == REPORT
    assert DATE not in str(made)
