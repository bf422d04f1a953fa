"""Opinions in DICOM structured reports."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from hospital_files import draw_frame, write_dicom, write_key
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, generate_uid

from polypskd.cohort.exports.reading import read_export
from polypskd.cohort.frames import read_frame
from polypskd.cohort.load import load_cohort
from polypskd.config import CohortConfig
from polypskd.errors import CohortError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
UID = "1.2.826.0.1.3680043.8.498.1"
CODES = {"SCT:1187375007": "adenoma", "99TEST:hp": "hyperplastic"}
ADENOMA, HYPERPLASTIC = ("1187375007", "SCT", "Adenoma"), ("hp", "99TEST", "Hyperplastic polyp")
FINDING = ("121071", "DCM", "Finding")
NAME = "Doe^Jane^^Dr"


def code(value: str, scheme: str, meaning: str) -> list:
    entry = Dataset()
    entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, scheme, meaning
    return [entry]


def item(kind: str, name: tuple, relation: str = "CONTAINS", **elements) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType = relation, kind
    made.ConceptNameCodeSequence = code(*name)
    for key, value in elements.items():
        setattr(made, key, value)
    return made


def image(uid: str, *frames: int) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
    reference.ReferencedSOPInstanceUID = uid
    if frames:
        reference.ReferencedFrameNumber = list(frames)
    return item("IMAGE", ("121112", "DCM", "Source"), ReferencedSOPSequence=[reference])


def answer(value: tuple, name: tuple = FINDING) -> Dataset:
    return item("CODE", name, ConceptCodeSequence=code(*value))


def group(*children: Dataset) -> Dataset:
    name = ("125007", "DCM", "Measurement Group")
    return item("CONTAINER", name, ContentSequence=list(children))


def observer(name: str) -> Dataset:
    kind = ("121008", "DCM", "Person Observer Name")
    return item("PNAME", kind, "HAS OBS CONTEXT", PersonName=name)


def write_report(path: Path, *groups: Dataset, who: str | None = NAME) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    report = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    report.SOPClassUID, report.SOPInstanceUID = ComprehensiveSRStorage, meta[0x20003].value
    report.PatientName, report.PatientID = "Roe^Richard", "4711"
    report.ValueType = "CONTAINER"
    report.ConceptNameCodeSequence = code("126000", "DCM", "Imaging Measurement Report")
    measured = item("CONTAINER", ("126010", "DCM", "Imaging Measurements"))
    measured.ContentSequence = list(groups)
    report.ContentSequence = [observer(who)] * (who is not None) + [measured]
    report.save_as(path, enforce_file_format=True)
    return path


def read(path, **more):
    votes = {"kind": "dicom_sr", "path": path, "codes": CODES, **more}
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": ["hyperplastic", "adenoma"]}
    return read_export(CohortConfig.model_validate(section).votes, None)


def rows(export) -> list:
    return export.table.cells.select("frame", "annotator", "vote").rows()


def told(path, **more) -> str:
    try:
        return str(CohortError(read(path, **more).faults))
    except CohortError as error:
        return str(error)


def test_a_finding_is_a_vote_on_the_image_or_on_each_frame_it_refers_to(tmp_path):
    write_report(tmp_path / "a.dcm", group(image(UID), answer(ADENOMA)))
    write_report(
        tmp_path / "b.dcm",
        group(image(f"{UID}.2", 3, 7), answer(HYPERPLASTIC)),
        group(image(f"{UID}.3"), answer(ADENOMA)),
        who="Smith^Ann",
    )
    found = read(tmp_path)
    assert rows(found) == [
        (UID, "annotator-1", "adenoma"),
        (f"{UID}.2#3", "annotator-2", "hyperplastic"),
        (f"{UID}.2#7", "annotator-2", "hyperplastic"),
        (f"{UID}.3", "annotator-2", "adenoma"),
    ]
    assert not {"Doe", "Smith", "Roe", "4711"} & set(str((found, rows(found))).split("'"))


def test_only_the_answers_to_the_question_count_where_one_is_named(tmp_path):
    question = ("opinion", "99TEST", "Opinion")
    both = group(image(UID), answer(HYPERPLASTIC), answer(ADENOMA, question))
    path = write_report(tmp_path / "a.dcm", both)
    assert "group 1: several choices of one annotator: 'hyperplastic, adenoma'" in told(path)
    assert rows(read(path, question="99TEST:opinion")) == [(UID, "annotator-1", "adenoma")]
    other = group(image(UID), answer(("x", "99TEST", "Other"), question))
    write_report(path, other)
    assert "unknown answer '99TEST:x'; add its code" in told(path, question="99TEST:opinion")
    assert "1 × answer 99TEST:x: cohort.votes.codes does not name it" in told(path)


def test_what_an_algorithm_found_and_what_is_said_of_a_region_is_no_vote(tmp_path):
    algorithm = item("TEXT", ("111001", "DCM", "Algorithm Name"), TextValue="net")
    device = answer(("121007", "DCM", "Device"), ("121005", "DCM", "Observer Type"))
    region = item("SCOORD", ("111030", "DCM", "Image Region"), GraphicType="POINT")
    path = write_report(
        tmp_path / "a.dcm",
        group(image(UID), answer(ADENOMA), algorithm),
        group(image(UID), answer(ADENOMA), device),
        group(image(UID), answer(ADENOMA), region),
    )
    text = told(path)
    assert "2 × measurement group: an algorithm made it" in text
    assert "1 × measurement group of a region" in text


def test_an_opinion_without_image_or_person_is_told(tmp_path):
    path = write_report(tmp_path / "a.dcm", group(answer(ADENOMA)))
    assert "a.dcm group 1: the group refers to no image" in told(path)
    write_report(path, group(image(UID), answer(ADENOMA)), who=None)
    assert "the report does not say who observed" in told(path)
    assert rows(read({"Dr A": path})) == [(UID, "Dr A", "adenoma")]


def test_files_that_are_no_reports_are_passed_over(tmp_path):
    write_report(tmp_path / "a.dcm", group(image(UID), answer(ADENOMA)))
    (tmp_path / "notes.txt").write_text("x")
    picture = Dataset()
    picture.SOPClassUID, picture.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", UID
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    picture.file_meta.MediaStorageSOPClassUID = picture.SOPClassUID
    picture.file_meta.MediaStorageSOPInstanceUID = UID
    picture.save_as(tmp_path / "p.dcm", enforce_file_format=True)
    notes = read(tmp_path).notes
    assert notes == [
        "not used: 1 × DICOM file: it is no structured report",
        "not used: 1 × file: it is not DICOM",
    ]


def test_cut_and_flipped_reports_are_read_or_told(tmp_path):
    path = write_report(tmp_path / "a.dcm", group(image(UID, 1), answer(ADENOMA)))
    whole = path.read_bytes()
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place])
        assert "a.dcm" in told(path)
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        text = told(path)
        assert "Roe" not in text
        assert "Doe" not in text


def test_a_report_of_highdicom_is_read(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    import highdicom.sr as hd
    from pydicom.sr.codedict import codes

    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1", f"{UID}.9"
    source.StudyInstanceUID, source.SeriesInstanceUID = f"{UID}.7", f"{UID}.8"
    source.PatientID = source.PatientName = source.PatientBirthDate = source.PatientSex = ""
    source.StudyID = source.StudyDate = source.StudyTime = source.AccessionNumber = ""
    source.ReferringPhysicianName = ""
    source.Modality, source.Rows, source.Columns = "ES", 8, 8
    tracking = hd.TrackingIdentifier(uid=f"{UID}.6", identifier="lesion 1")
    measured = hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=hd.CodedConcept("68496003", "SCT", "Polyp of colon"),
        qualitative_evaluations=[
            hd.QualitativeEvaluation(
                name=hd.CodedConcept("opinion", "99TEST", "Opinion"),
                value=hd.CodedConcept("1187375007", "SCT", "Adenoma"),
            )
        ],
        source_images=[hd.SourceImageForMeasurementGroup.from_source_image(source)],
    )
    context = hd.ObservationContext(
        observer_person_context=hd.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=hd.PersonObserverIdentifyingAttributes(name=NAME),
        )
    )
    content = hd.MeasurementReport(
        observation_context=context,
        procedure_reported=hd.CodedConcept("73761001", "SCT", "Colonoscopy"),
        imaging_measurements=[measured],
    )
    report = hd.ComprehensiveSR(
        evidence=[source],
        content=content,
        series_instance_uid=f"{UID}.10",
        series_number=1,
        sop_instance_uid=f"{UID}.11",
        instance_number=1,
        manufacturer="test",
    )
    report.save_as(tmp_path / "a.dcm")
    expected = [(f"{UID}.9", "annotator-1", "adenoma")]
    assert rows(read(tmp_path / "a.dcm")) == expected
    assert rows(read(tmp_path / "a.dcm", question="99TEST:opinion")) == expected


@pytest.mark.parametrize("take", ["all", "named"])
def test_opinions_on_frames_of_one_file_become_votes_on_these_frames(tmp_path, take):
    write_dicom(tmp_path / "frames" / "clip.dcm", [10, 11, 12, 13], uid=f"{UID}.7")
    write_dicom(tmp_path / "frames" / "still.dcm", [20], uid=f"{UID}.8")
    write_key(tmp_path)
    seen = group(image(f"{UID}.7", 2, 4), answer(ADENOMA))
    still = group(image(f"{UID}.8"), answer(HYPERPLASTIC))
    write_report(tmp_path / "reports" / "a.dcm", seen, still)
    second = group(image(f"{UID}.7", 4), answer(HYPERPLASTIC))
    write_report(tmp_path / "reports" / "b.dcm", second, who="Smith^Ann")
    frames = {"kind": "dicom", "root": tmp_path / "frames", "key_file": tmp_path / "key"}
    section = {
        "frames": frames | {"take": take},
        "votes": {"kind": "dicom_sr", "path": tmp_path / "reports", "codes": CODES},
        "classes": ["hyperplastic", "adenoma"],
    }
    cohort = load_cohort(CohortConfig.model_validate(section))
    assert cohort.frame_ids.tolist() == ["clip.dcm#2", "clip.dcm#4", "still.dcm"]
    assert cohort.counts.tolist() == [[0, 1], [1, 1], [1, 0]]
    for name, number in zip(cohort.paths, (11, 13, 20), strict=True):
        assert (read_frame(tmp_path / "frames" / name) == draw_frame(number)).all()
    left = {item.frame_id for item in cohort.exclusions}
    assert left == ({"clip.dcm#1", "clip.dcm#3"} if take == "all" else set())
    assert not any(name in str(cohort) for name in ("Doe", "Smith", "Roe", "4711"))


@pytest.mark.realdata
def test_opinions_find_real_frames_by_their_uids(tmp_path):
    source = SHARED / "dicom" / "endoscopy"
    (tmp_path / "frames").mkdir()
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    (tmp_path / "key").chmod(0o600)
    votes = []
    for place, (name, value) in enumerate({"VL1_UNC": ADENOMA, "VL3_UNC": HYPERPLASTIC}.items()):
        copy = tmp_path / "frames" / f"{place}.dcm"
        copy.write_bytes((source / name).read_bytes())
        uid = dcmread(copy, stop_before_pixels=True).SOPInstanceUID
        votes.append(group(image(uid), answer(value)))
    write_report(tmp_path / "reports" / "a.dcm", *votes)
    section = {
        "frames": {"kind": "dicom", "root": tmp_path / "frames", "key_file": tmp_path / "key"},
        "votes": {"kind": "dicom_sr", "path": tmp_path / "reports", "codes": CODES},
        "classes": ["hyperplastic", "adenoma"],
    }
    cohort = load_cohort(CohortConfig.model_validate(section))
    assert cohort.frame_ids.tolist() == ["0.dcm", "1.dcm"]
    assert cohort.counts.tolist() == [[0, 1], [1, 0]]
    assert cohort.annotators == ("annotator-1",)
