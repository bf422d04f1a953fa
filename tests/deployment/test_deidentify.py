"""The verb's story: names, keys, resuming, links, refusals, the record."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from planting import ENDOSCOPIC, ROOT, draw_dataset, draw_frame, write_dicom
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.deployment.deidentification.mapping import check_mapping, write_mapping
from polypskd.deployment.deidentification.panel import Trust
from polypskd.deployment.deidentify import RECORD, Wish, deidentify
from polypskd.errors import OutputError

KEY = b"k" * 32
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def run(root, out, key=KEY, trust=None, **options):
    trust = Trust(field=True, pixels=False) if trust is None else trust
    return deidentify(root, out, Wish(key, trust=trust, **options))


def write_jpeg(path, frame=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = draw_frame() if frame is None else frame
    path.write_bytes(cv2.imencode(".jpg", frame)[1].tobytes())
    return path


def read_tree(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def read_one(out):
    (file,) = out.rglob("*.dcm")
    return pydicom.dcmread(file)


@pytest.fixture
def cohort(tmp_path):
    root = tmp_path / "in"
    for patient, exam in (("ZQ1", 1), ("ZQ1", 2), ("ZQ2", 3)):
        for number in (1, 2):
            dataset = draw_dataset(
                PatientID=patient,
                StudyInstanceUID=f"{ROOT}.{exam}",
                SeriesInstanceUID=f"{ROOT}.{exam}.1",
                SOPInstanceUID=f"{ROOT}.{exam}.1.{number}",
                StudyDate="20240301" if exam == 1 else "20240311",
            )
            item = pydicom.Dataset()
            item.ReferencedSOPClassUID = ENDOSCOPIC
            item.ReferencedSOPInstanceUID = f"{ROOT}.{exam}.1.{3 - number}"
            dataset.ReferencedImageSequence = [item]
            write_dicom(root / f"ZQ exam {exam}" / f"{number}.dcm", dataset)
    write_jpeg(root / "ZQ photo.jpg")
    return root


def test_two_runs_with_one_key_agree_byte_for_byte_and_another_key_differs(cohort, tmp_path):
    run(cohort, tmp_path / "a")
    run(cohort, tmp_path / "b")
    run(cohort, tmp_path / "c", key=b"another key of good length")
    first, second, other = (read_tree(tmp_path / name) for name in "abc")
    assert len(first) == 6 + 1 + 2  # files, the image, the record and its lock
    assert first == second
    assert set(first) & set(other) == {RECORD, ".steps/lock"}


def test_references_between_files_still_meet(cohort, tmp_path):
    run(cohort, tmp_path / "out")
    files = [pydicom.dcmread(file) for file in (tmp_path / "out").rglob("*.dcm")]
    assert len({one.SOPInstanceUID for one in files}) == 6
    assert len({one.StudyInstanceUID for one in files}) == 3
    assert len({one.PatientID for one in files}) == 2
    there = {one.SOPInstanceUID: one for one in files}
    for one in files:
        other = there[one.ReferencedImageSequence[0].ReferencedSOPInstanceUID]
        assert other.SOPInstanceUID != one.SOPInstanceUID
        assert other.StudyInstanceUID == one.StudyInstanceUID
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert str(one.PatientName) == one.PatientID


def test_shifted_dates_keep_the_days_between_exams(cohort, tmp_path):
    run(cohort, tmp_path / "out", retained=frozenset({"dates"}))
    dates = {}
    for file in (tmp_path / "out").rglob("*.dcm"):
        one = pydicom.dcmread(file)
        dates.setdefault(one.PatientID, set()).add(one.StudyDate)
        assert one.LongitudinalTemporalInformationModified == "MODIFIED"
        assert one.StudyTime == "134759"
    early, late = sorted(next(found for found in dates.values() if len(found) == 2))
    assert (
        np.datetime64(f"{late[:4]}-{late[4:6]}-{late[6:]}")
        - np.datetime64(f"{early[:4]}-{early[4:6]}-{early[6:]}")
    ).astype(int) == 10
    assert "20240301" not in {early, late}


def test_a_file_says_how_it_was_cleaned(tmp_path):
    write_dicom(tmp_path / "in" / "a", draw_dataset())
    run(tmp_path / "in", tmp_path / "out", retained=frozenset({"device", "dates"}))
    one = read_one(tmp_path / "out")
    assert one.PatientIdentityRemoved == "YES"
    assert one.BurnedInAnnotation == "NO"
    codes = [item.CodeValue for item in one.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113107", "113109"]
    assert one.ManufacturerModelName == "ZQ-190"
    assert one.preamble == bytes(128)
    assert "SourceApplicationEntityTitle" not in one.file_meta
    assert one.ImageType == ["ORIGINAL", "PRIMARY"]
    assert one.LossyImageCompression == "00"


def test_names_in_other_letters_leave_a_readable_file(tmp_path):
    dataset = draw_dataset(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        Manufacturer="光学",
    )
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    run(tmp_path / "in", tmp_path / "out", retained=frozenset({"device"}))
    one = read_one(tmp_path / "out")
    assert one.SpecificCharacterSet == "ISO_IR 192"
    assert one.Manufacturer == "光学"
    assert "山田".encode() not in next((tmp_path / "out").rglob("*.dcm")).read_bytes()


def test_an_exam_without_a_patients_id_is_a_patient_of_its_own(tmp_path):
    for exam in (1, 2):
        dataset = draw_dataset(PatientID="", StudyInstanceUID=f"{ROOT}.{exam}")
        write_dicom(tmp_path / "in" / f"{exam}.dcm", dataset)
    run(tmp_path / "in", tmp_path / "out")
    found = {pydicom.dcmread(file).PatientID for file in (tmp_path / "out").rglob("*.dcm")}
    assert len(found) == 2
    assert all(found)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_gray_stays_as_stored_whatever_its_window(tmp_path, photometric):
    gray = np.random.default_rng(0).integers(0, 256, (32, 40), np.uint8)
    dataset = draw_dataset(
        PhotometricInterpretation=photometric,
        SamplesPerPixel=1,
        Rows=32,
        Columns=40,
        WindowCenter="40",
        WindowWidth="80",
        PixelData=gray.tobytes(),
    )
    del dataset.PlanarConfiguration
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    run(tmp_path / "in", tmp_path / "out", trust=Trust(pixels=True))
    one = read_one(tmp_path / "out")
    assert np.array_equal(np.frombuffer(one.PixelData, np.uint8).reshape(32, 40), gray)
    assert (one.PhotometricInterpretation, one.WindowWidth) == (photometric, 80)


def test_every_frame_of_a_clip_is_cleaned(tmp_path):
    clip = np.stack([draw_frame() // (1 + number % 2) for number in range(5)])
    dataset = draw_dataset(
        NumberOfFrames="5", PixelData=clip.tobytes(), SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.1.1"
    )
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    run(tmp_path / "in", tmp_path / "out")
    stored = np.frombuffer(read_one(tmp_path / "out").PixelData, np.uint8).reshape(clip.shape)
    assert not stored[:, :, :40].any()
    assert np.array_equal(stored[:, 14:80, 48:116], clip[:, 14:80, 48:116])


def test_without_a_word_on_text_in_the_picture_frames_are_refused(cohort, tmp_path):
    outcome = run(cohort, tmp_path / "out", trust=Trust())
    assert len(outcome.refused) == 7
    assert all("burned-in text" in str(fault) for fault in outcome.refused)
    assert not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize(("said", "written"), [("NO", 1), ("YES", 0), ("no idea", 0), (None, 0)])
def test_only_a_clear_no_vouches_for_a_file(tmp_path, said, written):
    dataset = draw_dataset()
    if said:
        dataset.BurnedInAnnotation = said
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    outcome = run(tmp_path / "in", tmp_path / "out", trust=Trust())
    assert sum(outcome.ways.values()) == written


def test_one_bad_file_does_not_stop_the_rest(cohort, tmp_path):
    (cohort / "bad.dcm").write_bytes(b"not DICOM")
    (cohort / "cut.jpg").write_bytes((cohort / "ZQ photo.jpg").read_bytes()[:300])
    (cohort / "notes.txt").write_text("ZQ")
    directory = draw_dataset(SOPClassUID="1.2.840.10008.1.3.10")
    write_dicom(cohort / "DICOMDIR", directory)
    outcome = run(cohort, tmp_path / "out")
    assert {fault.where for fault in outcome.refused} == {"bad.dcm", "cut.jpg", "DICOMDIR"}
    assert outcome.left_out == {".txt": 1}
    assert sum(outcome.ways.values()) == 7


def test_a_second_run_makes_only_what_is_missing_or_changed(cohort, tmp_path):
    out = tmp_path / "out"
    run(cohort, out)
    before = read_tree(out)
    files = sorted(out.rglob("*.dcm"))
    files[0].unlink()
    files[1].write_bytes(b"torn")
    record = out / RECORD
    record.write_text(record.read_text() + '{"file": "to')  # a kill tears the last line
    (out / ".x.dcm.abc.tmp").write_bytes(b"half")
    outcome = run(cohort, out)
    assert outcome.unchanged == 5
    assert read_tree(out) == before


def test_files_of_two_sources_do_not_overwrite_each_other_and_are_told(tmp_path):
    out = tmp_path / "out"
    for number, folder in enumerate(("first", "second")):
        write_jpeg(tmp_path / folder / "a.jpg", draw_frame() // (1 + number))
        outcome = run(tmp_path / folder, out)
    assert outcome.others == 1
    assert len(list(out.rglob("*.png"))) == 2
    again = run(tmp_path / "first", out)
    assert (again.unchanged, again.others) == (1, 1)
    assert len((out / RECORD).read_text().splitlines()) == 3


def test_no_name_of_a_file_stands_in_the_output_or_in_the_words_on_kinds(cohort, tmp_path):
    key, out = tmp_path / "key", tmp_path / "out"
    key.write_text("k" * 32)
    key.chmod(0o600)
    (cohort / "ZQbad.jpg").write_bytes(b"x")
    (cohort / "letter.ZQDoe").write_bytes(b"x")
    (cohort / "ZQ.zip").write_bytes(b"PK")
    done = call(cohort, "--out", out, "--key-file", key, "--trust-field", "--quiet")
    assert done.exit_code == 1
    told = [line for line in done.stdout.splitlines() if "zq" in line.lower()]
    assert [line.strip().partition(":")[0] for line in told] == ["ZQbad.jpg"]
    assert "1 with no known suffix, 1 .zip" in done.stdout
    given = b"".join(name.encode() + data for name, data in read_tree(out).items())
    assert not [word for word in (b"ZQ exam", b"ZQ photo", b"ZQbad", b"ZQDoe") if word in given]


@pytest.mark.parametrize(
    "change", [{"key": b"another key of good length"}, {"retained": frozenset({"dates"})}]
)
def test_another_key_or_option_needs_another_folder(cohort, tmp_path, change):
    run(cohort, tmp_path / "out")
    with pytest.raises(OutputError, match="another key"):
        run(cohort, tmp_path / "out", **change)


def test_places_within_each_other_or_in_use_are_refused(cohort, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    for out, words in (
        (cohort / "out", "lies within"),
        (tmp_path, "around"),
        (cohort, "within"),
        (tmp_path / "full", "holds other files"),
    ):
        with pytest.raises(OutputError, match=words):
            run(cohort, out)
    assert not (cohort / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights elsewhere")
def test_links_that_lead_outside_are_told_and_not_followed(tmp_path):
    write_jpeg(tmp_path / "outside" / "a.jpg")
    root = tmp_path / "in"
    write_jpeg(root / "b.jpg")
    (root / "file.jpg").symlink_to(tmp_path / "outside" / "a.jpg")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "inside.jpg").symlink_to(root / "b.jpg")
    outcome = run(root, tmp_path / "out")
    assert {fault.where for fault in outcome.refused} == {"file.jpg", "folder", "loop.jpg"}
    assert sum(outcome.ways.values()) == 2


def call(*words):
    return CliRunner().invoke(app, ["deidentify", *map(str, words)])


def test_the_verb_tells_what_it_did_and_ends_with_one_if_files_were_refused(cohort, tmp_path):
    key = tmp_path / "key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    options = ["--out", tmp_path / "out", "--key-file", key, "--trust-field", "--json", "--quiet"]
    done = call(cohort, *options, "--mapping", tmp_path / "map.csv")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["pixels"] == {"field": 7}
    assert any("not found by any program" in note for note in told["notes"])
    lines = (tmp_path / "map.csv").read_text().splitlines()
    assert lines[0] == "file,deidentified"
    assert len(lines) == 8
    assert (tmp_path / "map.csv").stat().st_mode & 0o077 == 0
    (cohort / "bad.dcm").write_bytes(b"x")
    again = call(cohort, *options)
    assert again.exit_code == 1
    assert json.loads(again.stdout)["unchanged"] == 7


def test_the_mapping_is_closed_from_its_first_byte_and_overwrites_no_other_file(tmp_path):
    path = tmp_path / "folder" / "map.csv"
    check_mapping(path, tmp_path / "out")
    seen = []
    replace = Path.replace

    def look(made, target):
        seen.append(made.stat().st_mode & 0o077)
        return replace(made, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", look)
        write_mapping(path, {"ZQ \udcff.jpg": "0a.jpg"})
    assert path.read_bytes() == b"file,deidentified\nZQ \xff.jpg,0a.jpg\n"
    assert [*seen, path.stat().st_mode & 0o077] == [0, 0]
    check_mapping(path, tmp_path / "out")
    thesis = tmp_path / "thesis.docx"
    thesis.write_bytes(b"PK of years")
    with pytest.raises(OutputError, match="another file"):
        check_mapping(thesis, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(OutputError, match="given away"):
        check_mapping(tmp_path / "link" / "map.csv", tmp_path / "out")


def test_the_verb_needs_one_key_and_a_mapping_outside(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("DEID_KEY", "k" * 32)
    out = tmp_path / "out"
    assert "secret key" in str(call(cohort, "--out", out).exception)
    done = call(cohort, "--out", out, "--key-env", "DEID_KEY", "--mapping", out / "map.csv")
    assert "given away" in str(done.exception)
    done = call(cohort, "--out", out, "--key-env", "DEID_KEY", "--retain", "names")
    assert "dates, device, patient" in str(done.exception)
    assert not out.exists()


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setenv("DEID_KEY", "k" * 32)
    return ["--out", tmp_path / "out", "--key-env", "DEID_KEY"]


def test_text_over_the_picture_is_told_before_the_work_and_looking_after_it(cohort, options):
    done = call(cohort, *options, "--trust-field")
    assert done.stderr.startswith("NOTE  --trust-field: text that a device writes over")
    assert "Open some results of each device and look." in done.stdout


def test_the_table_tells_how_many_files_of_which_size_each_rule_took(cohort, options, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        """
rules:
  - {match: {kind: dicom, manufacturer: zq*}, black: [[0, 0, 40, 96]]}
  - {match: {rows: 96}, clean: true}
"""
    )
    for _ in range(2):  # the second time, from the record
        done = call(cohort, *options, "--rules", path)
        assert "6  rule 1: 96 x 128 (rows x columns)" in done.stdout
        assert "1  rule 2: 96 x 128 (rows x columns)" in done.stdout
        assert "NOTE  rule: black: Your rules made rectangles black; text elsewhere" in done.stdout
        vague = "NOTE  rule 2 names neither manufacturer nor model"
        assert vague in done.stderr
        assert vague in done.stdout
    told = json.loads(call(cohort, *options, "--rules", path, "--json").stdout)
    assert told["rules"] == {"rule 1: 96 x 128": 6, "rule 2: 96 x 128": 1}


def test_a_folder_with_nothing_to_de_identify_ends_with_one(tmp_path, options):
    (tmp_path / "in").mkdir()
    done = call(tmp_path / "in", *options)
    assert done.exit_code == 1
    assert "Nothing to de-identify" in done.stdout
