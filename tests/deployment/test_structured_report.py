"""The structured report: read back by highdicom, and judged by dciodvfy."""

import dataclasses

import highdicom as hd
import pydicom
import pytest
from drawn_study import list_errors, make_exam, needs_judge
from pydicom.sr.codedict import codes

from polypskd.deployment import structured_report
from polypskd.deployment.dicom_objects import result_objects
from polypskd.deployment.dicom_objects.result_objects import (
    MANUFACTURER,
    RESEARCH,
    derive_device,
    write_result,
)
from polypskd.deployment.structured_report import (
    build_structured_report,
    find_subclass,
    list_parts,
    name_report,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
TOO_DARK = "not assessable: too dark (brightness 0.01 is below 0.1), blurred (blur 1 is above 0.5)"
UNSURE = "unsure: risk 0.500000 lies between 0.4 and 0.6"
OURS = "99POLYPSKD"


def write(exam, folder, part=0):
    return write_result(build_structured_report(exam, part), folder)


def read(path):
    return hd.sr.srread(path)


def groups_of(report):
    return report.content.get_image_measurement_groups()


def evaluation(group, name):
    found = [
        item.value
        for item in group.get_qualitative_evaluations()
        if item.name.value == f"skd:{name}"
    ]
    return [(code.value, code.scheme_designator, code.meaning) for code in found]


def numbers(group):
    """Give class code → probability, and the confidence."""
    shares, confidence = {}, None
    for item in group.get_measurements():
        assert (item.unit.value, item.unit.scheme_designator) == ("1", "UCUM")
        if item.name == codes.DCM.Probability:
            (of,) = [one.value.value for one in item[0].ContentSequence if one.ValueType == "CODE"]
            shares[of] = item.value
        else:
            assert (item.name.value, item.name.scheme_designator) == ("skd:confidence", OURS)
            confidence = item.value
    return shares, confidence


def comments(dataset):
    return [
        item.TextValue
        for item in dataset.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ]


@needs_judge
@pytest.mark.parametrize(
    ("frames", "unread", "abstained"),
    [((None,), 0, ()), ((None,), 2, (UNSURE,)), ((1, 2, 3), 0, (TOO_DARK, UNSURE))],
)
def test_dciodvfy_finds_no_error(tmp_path, frames, unread, abstained):
    exam = make_exam(tmp_path, frames, unread, abstained)
    assert list_errors(write(exam, tmp_path)) == []


def test_what_was_answered_is_read_back_equal(tmp_path):
    exam = make_exam(tmp_path, (1, 2, 3), abstained=("", TOO_DARK))
    groups = groups_of(read(write(exam, tmp_path)))
    assert len(groups) == 3
    coded = exam.bundle.codebook
    for group, finding in zip(groups, exam.findings, strict=True):
        said = finding.answer
        shares, confidence = numbers(group)
        wanted = dict(
            zip((one.code.value for one in coded.classes), said.class_probabilities, strict=True)
        )
        assert (shares, confidence) == (wanted, said.confidence)
        if said.predicted:
            finding_type = group.finding_type
            assert (finding_type.value, finding_type.scheme_designator) == ("P1", OURS)
            assert evaluation(group, "subclass") == [("P13", OURS, "Class 13")]
            assert evaluation(group, "withheld") == []
        else:
            assert group.finding_type is None
            assert evaluation(group, "subclass") == []
            found = [code for code, *_ in evaluation(group, "withheld")]
            assert found == ["skd:too-dark", "skd:blurred"]
            assert comments(group[0]) == [TOO_DARK]


def test_each_group_refers_to_its_frame_and_has_a_tracking_id_of_its_own(tmp_path):
    exam = make_exam(tmp_path, (1, 4))
    groups = groups_of(read(write(exam, tmp_path)))
    image = exam.findings[0].image
    for group, number in zip(groups, (1, 4), strict=True):
        (source,) = group.source_images
        assert source.referenced_sop_instance_uid == image.instance
        assert source.referenced_sop_class_uid == image.sop_class
        assert source.referenced_frame_numbers == [number]
        assert group.tracking_identifier == f"{image.instance} frame {number}"
    assert len({group.tracking_uid for group in groups}) == 2


def test_the_evidence_is_each_image_once_in_its_own_study_and_series(tmp_path):
    exam = make_exam(tmp_path, (1, 2, 3))
    image = exam.findings[0].image
    report = read(write(exam, tmp_path))
    assert report.get_evidence() == [(image.study, image.series, image.instance, image.sop_class)]
    assert report.StudyInstanceUID == image.study
    assert report.SeriesInstanceUID != image.series


def test_the_algorithm_says_who_it_is_and_within_which_limits(tmp_path):
    limits = {
        "quality": {"max_blur": 0.5},
        "confidence": {
            "negative_to": 0.4,
            "positive_from": 0.6,
            "fixed_on": "val",
            "unit": "lesions",
        },
    }
    exam = make_exam(tmp_path, limits=limits)
    (group,) = groups_of(read(write(exam, tmp_path)))
    said = {}
    for item in group[0].ContentSequence:
        if item.RelationshipType == "HAS CONCEPT MOD":
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            value = item.get("TextValue") or item.ConceptCodeSequence[0].CodeValue
            said.setdefault(name, []).append(value)
    assert said["Algorithm Name"] == ["small"]
    assert said["Algorithm Version"][0].startswith("0.1.0 (polypskd ")
    assert said["Algorithm Family"] == ["123110"]
    parameters = " | ".join(said["Algorithm Parameters"])
    for part in (exam.bundle.model_hash, "max_blur 0.5", "0.4 and 0.6", "research use only"):
        assert part in parameters


def test_research_use_only_is_said_in_the_series_and_in_the_content(tmp_path):
    report = read(write(make_exam(tmp_path), tmp_path))
    assert report.SeriesDescription == RESEARCH
    assert len(RESEARCH) <= 64
    assert RESEARCH in comments(report)[0]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == OURS
    procedure = [
        item.ConceptCodeSequence[0]
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Procedure reported"
    ]
    assert [(one.CodeValue, one.CodingSchemeDesignator) for one in procedure] == [
        ("73761001", "SCT")
    ]


def test_the_model_is_a_device_with_a_uid_of_its_own(tmp_path):
    exam = make_exam(tmp_path)
    report = read(write(exam, tmp_path))
    source, model = report.ContributingEquipmentSequence
    assert model.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert (model.Manufacturer, model.ManufacturerModelName) == (MANUFACTURER, "small")
    assert model.SoftwareVersions[1] == "model 0.1.0"
    assert model.DeviceUID == derive_device(exam.bundle)
    assert model.DeviceUID.is_valid
    assert (source.Manufacturer, source.ManufacturerModelName) == ("ZQ Optics", "ZQ-190")
    assert "InstitutionName" not in source


def test_another_model_is_another_device_and_another_result(tmp_path):
    first, second = make_exam(tmp_path / "1"), make_exam(tmp_path / "2", limits={"min_side": 17})
    assert derive_device(first.bundle) == derive_device(second.bundle)
    assert name_report(first, 0) != name_report(second, 0)


def test_a_series_holds_results_of_one_version_and_form_alone(tmp_path, monkeypatch):
    exam = make_exam(tmp_path)
    other = dataclasses.replace(exam.bundle, precision="bfloat16")
    found = {exam.derive_series("SR"), dataclasses.replace(exam, bundle=other).derive_series("SR")}
    monkeypatch.setattr(result_objects, "own_version", lambda: "99")
    found |= {exam.derive_series("SR"), exam.derive_series("PR")}
    assert len(found) == 4


def test_what_could_not_be_read_makes_the_report_partial(tmp_path):
    report = read(write(make_exam(tmp_path, unread=3), tmp_path))
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription.startswith("3 ")
    assert "3 files or frames" in comments(report)[0]
    assert read(write(make_exam(tmp_path / "b"), tmp_path)).CompletionFlag == "COMPLETE"


def test_many_frames_are_divided_among_reports_of_one_series(tmp_path, monkeypatch):
    monkeypatch.setattr(structured_report, "MOST", 2)
    exam = make_exam(tmp_path, (1, 2, 3, 4, 5))
    reports = [read(write(exam, tmp_path, part)) for part in range(len(list_parts(exam.findings)))]
    assert [len(groups_of(report)) for report in reports] == [2, 2, 1]
    assert len({report.SOPInstanceUID for report in reports}) == 3
    assert len({report.SeriesInstanceUID for report in reports}) == 1
    assert [report.InstanceNumber for report in reports] == [1, 2, 3]
    assert "Part 2 of 3" in comments(reports[1])[0]


def test_a_file_of_more_frames_than_its_class_allows_is_still_referred_to_by_frame(tmp_path):
    single = "1.2.840.10008.5.1.4.1.1.7"  # as some exporters write it
    exam = make_exam(tmp_path, (1, 2), SOPClassUID=single)
    for number, group in enumerate(groups_of(read(write(exam, tmp_path))), start=1):
        assert group.source_images[0].referenced_frame_numbers == [number]


def test_the_same_answers_are_the_same_bytes(tmp_path):
    exam = make_exam(tmp_path, (1, 2), abstained=(UNSURE,))
    first = write(exam, tmp_path / "1")
    second = write(exam, tmp_path / "2")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_subclass_is_one_of_the_class_that_was_named(tmp_path):
    exam = make_exam(tmp_path)
    said = exam.findings[0].answer
    # "hyperplastic hard" has less than "adenoma hard", and "adenoma easy" less than both.
    assert exam.bundle.subclasses[find_subclass(said, exam.bundle)] == "adenoma hard"
    assert max(said.subclass_probabilities) == said.subclass_probabilities[3]


def test_letters_of_any_alphabet_are_read_back(tmp_path):
    exam = make_exam(
        tmp_path, SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jürgen=山田^太郎"
    )
    report = pydicom.dcmread(write(exam, tmp_path))
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == "Müller^Jürgen=山田^太郎"
