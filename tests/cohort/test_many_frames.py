"""DICOM files and videos with votes, from the files to the cohort and its pixels."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hospital_files import draw_frame, write_dicom, write_image, write_key, write_table, write_video

from polypskd.cohort.frames import check_frames, read_frame
from polypskd.cohort.load import load_cohort
from polypskd.cohort.location import list_inputs
from polypskd.cohort.naming import read_time
from polypskd.config import CohortConfig
from polypskd.errors import CohortError, ConfigError

UID = "1.2.826.0.1.3680043.8.498.1"
LONG = "frame,annotator,vote"


@pytest.fixture
def exams(tmp_path):
    """Two patients: a file of three frames, one of a single frame, one without suffix."""
    write_dicom(tmp_path / "dicom" / "a" / "clip.dcm", [1, 2, 3], patient="4711-SECRET")
    write_dicom(tmp_path / "dicom" / "a" / "still.dcm", [4], patient="4711-SECRET", uid=UID)
    write_dicom(tmp_path / "dicom" / "b" / "IM0001", [5, 6], patient="4712-SECRET")
    (tmp_path / "dicom" / "notes.txt").write_text("nothing")
    (tmp_path / "dicom" / "README").write_text("nothing")
    write_key(tmp_path)
    return tmp_path


@pytest.fixture
def videos(tmp_path):
    pytest.importorskip("av", reason="the extra polypskd[video] is not installed")
    write_video(tmp_path / "videos" / "v.mkv", 20)
    return tmp_path


def load(folder, table, **more):
    path = write_table(folder / "votes.csv", table[0], table[1:])
    frames = {"kind": "dicom", "root": folder / "dicom", "key_file": folder / "key"}
    form = {"kind": "long", "path": path}
    raw = {"frames": frames, "votes": form, "classes": ["low", "high"]} | more
    raw["votes"] = form | more.get("votes", {})
    return load_cohort(CohortConfig.model_validate(raw))


def vote_on(frames):
    """Give a vote of each class on every other frame."""
    return [LONG, *(f"{name},A,{('low', 'high')[i % 2]}" for i, name in enumerate(frames))]


def video(folder, **more):
    return {"frames": {"kind": "video", "root": folder / "videos"} | more}


def test_frames_of_dicom_files_are_the_pixels_that_were_written(exams):
    named = ["a/clip.dcm#1", "a/clip.dcm#3", "a/still.dcm", "b/IM0001#2"]
    cohort = load(exams, vote_on(named))
    assert cohort.frame_ids.tolist() == named
    for name, number in zip(named, (1, 3, 4, 6), strict=True):
        np.testing.assert_array_equal(read_frame(exams / "dicom" / name), draw_frame(number))
    left = {item.frame_id: item.reason for item in cohort.exclusions}
    assert left == {"a/clip.dcm#2": "no votes", "b/IM0001#1": "no votes"}


def test_patients_come_from_the_headers_as_keyed_hashes(exams):
    cohort = load(exams, vote_on(["clip#1", "still", "IM0001#1"]))
    first, second, third = cohort.patient_ids
    assert first == second != third
    assert cohort.columns["device"].tolist() == ["SCOPE-1"] * 3
    told = str([cohort.patient_ids.tolist(), {k: v.tolist() for k, v in cohort.columns.items()}])
    assert "SECRET" not in told
    assert "SENTINEL" not in told
    (exams / "key").write_text("another key of sixteen bytes or more")
    other = load(exams, vote_on(["clip#1", "still", "IM0001#1"]))
    assert not set(other.patient_ids) & set(cohort.patient_ids)


def test_without_a_key_one_line_says_how_to_make_one(exams):
    frames = {"kind": "dicom", "root": exams / "dicom"}
    with pytest.raises(ConfigError, match="openssl rand -hex 32") as told:
        load(exams, vote_on(["clip#1"]), frames=frames)
    assert len(told.value.lines) == 1


def test_no_key_is_needed_where_nobody_can_be_told(exams):
    attributes = {"device": "ManufacturerModelName"}
    frames = {"kind": "dicom", "root": exams / "dicom", "attributes": attributes}
    cohort = load(exams, vote_on(["clip#1", "still"]), frames=frames)
    assert not cohort.patients_known
    assert set(cohort.columns) == {"device"}


def test_names_dates_and_free_text_never_stand_in_a_column(exams):
    attributes = {"patient": "PatientID", "who": "PatientName", "maker": "Manufacturer"}
    frames = {"kind": "dicom", "root": exams / "dicom", "key_file": exams / "key"}
    cohort = load(exams, vote_on(["clip#1", "still"]), frames=frames | {"attributes": attributes})
    assert cohort.columns["maker"].tolist() == ["ACME", "ACME"]
    assert all(len(word) == 16 for word in cohort.columns["who"])


def test_votes_may_name_files_by_their_uid(exams):
    cohort = load(exams, vote_on(["clip#2", UID]))
    assert cohort.frame_ids.tolist() == ["a/clip.dcm#2", "a/still.dcm"]


def test_a_uid_that_two_files_have_is_told_and_not_guessed(exams):
    write_dicom(exams / "dicom" / "copy.dcm", [4], uid=UID)
    with pytest.raises(CohortError) as told:
        load(exams, vote_on(["clip#2", UID]))
    assert told.value.lines[0].startswith("votes.csv row 3: several files have the UID ")
    assert len(load(exams, vote_on(["clip#2", "a/still.dcm"]))) == 2


def test_times_may_name_a_video_in_two_ways(videos):
    timed = [f"{LONG},t", "v.mkv,A,low,0.29", "v,A,high,0:00.5", "v,B,high,0.29"]
    cohort = load(videos, timed, **video(videos), votes={"time": "t"})
    assert cohort.frame_ids.tolist() == ["v.mkv#12", "v.mkv#7"]
    assert cohort.counts.sum() == 3


def test_a_number_may_stand_in_a_column_of_its_own(exams):
    votes = [f"{LONG},n", "clip,A,low,2", "clip,A,high,03", "still,A,low,"]
    cohort = load(exams, votes, votes={"number": "n"})
    assert cohort.frame_ids.tolist() == ["a/clip.dcm#2", "a/clip.dcm#3", "a/still.dcm"]
    with pytest.raises(CohortError, match="row 2: not a frame's number 'two'"):
        load(exams, [f"{LONG},n", "clip,A,low,two", "still,A,high,"], votes={"number": "n"})


def test_metadata_of_a_file_hold_for_its_frames(exams):
    table = write_table(exams / "m.csv", "frame,site", ["clip,colon", "clip#2,rectum"])
    cohort = load(exams, vote_on(["clip#1", "clip#2"]), metadata={"path": table})
    assert cohort.columns["site"].tolist() == ["colon", "rectum"]


def test_a_key_among_the_frames_is_refused(exams):
    key = write_key(exams / "dicom")
    frames = {"kind": "dicom", "root": exams / "dicom", "key_file": key}
    with pytest.raises(ConfigError, match="lies within the frames' folder") as told:
        load(exams, vote_on(["clip#1", "still"]), frames=frames)
    assert len(told.value.lines) == 1


def test_a_file_named_with_and_without_a_number_is_told_and_not_read_twice(exams):
    frames = {"kind": "dicom", "root": exams / "dicom", "key_file": exams / "key", "take": "named"}
    with pytest.raises(CohortError) as told:
        load(exams, vote_on(["clip", "clip#1", "still", "still#1"]), frames=frames)
    assert [line.partition(";")[0] for line in told.value.lines[:2]] == [
        "a/clip.dcm: holds 3 frames",
        "a/still.dcm#1: holds one frame '#1'",
    ]


def test_a_thread_reads_frames_of_one_file_side_by_side(exams, monkeypatch):
    seen = []

    def read(path, limits):
        seen.append((threading.get_ident(), int(path.name.partition("#")[2])))
        time.sleep(0.001)  # so that both threads are at work
        return draw_frame(1)

    monkeypatch.setattr("polypskd.cohort.frames.read_of_many", read)
    (exams / "dicom" / "v.mp4").write_bytes(b"x")
    names = [f"v.mp4#{number}" for number in range(60)]
    assert not check_frames(exams / "dicom", names, min_side=1, max_megapixels=1)
    by_thread = {}
    for thread, number in seen:
        by_thread.setdefault(thread, []).append(number)
    assert sorted(number for _, number in seen) == list(range(60))
    jumps = sum((np.diff(numbers) != 1).sum() for numbers in by_thread.values())
    assert jumps + len(by_thread) <= 2, "a video is sought in, and its groups decoded twice"


def test_a_stride_and_a_range_choose_among_the_frames(exams):
    frames = {"kind": "dicom", "root": exams / "dicom", "key_file": exams / "key"}
    cohort = load(exams, vote_on(["clip#2", "still"]), frames=frames | {"first": 2, "stride": 2})
    assert {item.frame_id for item in cohort.exclusions} == {"b/IM0001#2"}


def test_a_frame_that_the_file_lacks_is_a_fault_of_that_frame(exams):
    frames = {"kind": "dicom", "root": exams / "dicom", "key_file": exams / "key"}
    votes = vote_on(["clip#2", "clip#9", "still", "IM0001"])
    with pytest.raises(CohortError) as told:
        load(exams, votes, frames=frames | {"take": "named"})
    assert [line.partition(";")[0] for line in told.value.lines[:2]] == [
        "a/clip.dcm#9: no frame '9'",
        "b/IM0001: holds 2 frames",
    ]


def test_a_damaged_file_is_a_fault_and_the_others_are_read(exams):
    path = exams / "dicom" / "a" / "still.dcm"
    path.write_bytes(path.read_bytes()[:400])
    votes = vote_on(["clip#1", "clip#2"])
    with pytest.raises(CohortError, match=r"a/still.dcm: "):
        load(exams, votes)
    assert len(load(exams, votes, drop_faulty=True)) == 2


def test_frames_of_videos_are_exact_by_number_and_by_time(videos):
    named = vote_on(["v#0", "v.mkv#7"])
    cohort = load(videos, named, **video(videos))
    assert cohort.frame_ids.tolist() == ["v.mkv#0", "v.mkv#7"]
    for name, number in (("v.mkv#0", 0), ("v.mkv#7", 7), ("v.mkv#19", 19)):
        np.testing.assert_array_equal(read_frame(videos / "videos" / name), draw_frame(number))
    timed = [f"{LONG},t", "v.mkv,A,low,0.29", "v.mkv,A,high,0:00.5"]
    by_time = load(videos, timed, **video(videos), votes={"time": "t"})
    assert by_time.frame_ids.tolist() == ["v.mkv#12", "v.mkv#7"]


def test_a_time_outside_of_the_video_is_told_with_its_row(videos):
    timed = [f"{LONG},t", "v.mkv,A,low,0.29", "v.mkv,A,high,99", "v.mkv,A,high,soon"]
    with pytest.raises(CohortError) as told:
        load(videos, timed, **video(videos), votes={"time": "t"})
    lines = "\n".join(told.value.lines)
    assert "votes.csv row 3: " in lines
    assert "votes.csv row 4: not a time 'soon'" in lines


def test_every_nth_frame_of_a_video_is_listed_when_asked(videos):
    choice = video(videos, take="all", stride=5, first=2, last=12)
    cohort = load(videos, vote_on(["v#2", "v#7"]), **choice)
    assert [item.frame_id for item in cohort.exclusions] == ["v.mkv#12"]


def test_a_link_or_a_path_that_leads_outside_is_a_named_fault(tmp_path):
    write_image(tmp_path / "outside" / "x.png", 1)
    write_image(tmp_path / "images" / "a.png", 2)
    write_image(tmp_path / "images" / "b.png", 3)
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "outside" / "x.png")
    frames = {"kind": "image_folder", "root": tmp_path / "images"}
    with pytest.raises(CohortError) as told:
        load(tmp_path, vote_on(["a", "link.png", "../outside/x.png", "b"]), frames=frames)
    lines = told.value.lines
    assert any("link.png: leads outside the frames' folder" in line for line in lines)
    assert any("leads outside the frames' folder: '../outside/x.png'" in line for line in lines)
    inner = tmp_path / "images" / "inner.png"
    inner.symlink_to(tmp_path / "images" / "a.png")
    assert len(load(tmp_path, vote_on(["b", "inner.png"]), frames=frames)) == 2


def test_quality_becomes_columns_and_leaves_frames_out(tmp_path):
    import cv2

    for number in range(4):
        write_image(tmp_path / "images" / f"{number}.png", number)
    cv2.imwrite(str(tmp_path / "images" / "dark.png"), np.zeros((48, 48, 3), np.uint8))
    frames = {"kind": "image_folder", "root": tmp_path / "images"}
    votes = vote_on(["0", "1", "2", "3", "dark"])
    cohort = load(tmp_path, votes, frames=frames, quality={"min_brightness": 0.1})
    assert len(cohort) == 4
    assert cohort.columns["quality_brightness"].astype(float).min() > 0.1
    (left,) = cohort.exclusions
    assert (left.frame_id, left.reason) == ("dark.png", "quality beyond a limit of cohort.quality")
    assert "min_brightness" in left.detail


def test_a_box_beyond_a_frame_is_a_fault_before_training(tmp_path):
    write_image(tmp_path / "images" / "a.png", 1)
    write_image(tmp_path / "images" / "b.png", 2)
    frames = {"kind": "image_folder", "root": tmp_path / "images"}
    crop = {"kind": "box", "left": 30, "top": 0, "width": 30, "height": 30}
    with pytest.raises(CohortError, match="leaves the frame"):
        load(tmp_path, vote_on(["a", "b"]), frames=frames, crop=crop)


def test_the_fingerprint_covers_headers_and_the_key_but_does_not_hold_it(exams):
    def inputs():
        path = write_table(exams / "votes.csv", LONG, ["clip#1,A,low"])
        frames = {"kind": "dicom", "root": exams / "dicom", "key_file": exams / "key"}
        raw = {"frames": frames, "votes": {"kind": "long", "path": path}}
        return json.dumps(list_inputs(CohortConfig.model_validate(raw | {"classes": ["a", "b"]})))

    before = inputs()
    assert "0123456789abcdef" not in before
    write_dicom(exams / "dicom" / "a" / "still.dcm", [4], patient="4713-SECRET", uid=UID)
    changed = inputs()
    assert changed != before
    (exams / "key").write_text("another key of sixteen bytes or more")
    assert inputs() != changed


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1e3", "9" * 40])
def test_what_is_no_time_is_none(text):
    assert read_time(text) is None


@pytest.mark.realdata
def test_four_encodings_of_one_endoscopy_frame_join_into_one_patient(tmp_path):
    root = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom" / "endoscopy"
    frames = {"kind": "dicom", "root": root, "key_file": write_key(tmp_path)}
    cohort = load(tmp_path, vote_on(["VL1_UNC", "VL1_RLE", "VL1_J2KR"]), frames=frames)
    assert len(set(cohort.patient_ids)) == 1
    pixels = [read_frame(root / path) for path in cohort.paths]
    assert pixels[0].shape == (486, 756, 3)
    assert all(np.array_equal(pixels[0], other) for other in pixels[1:])
